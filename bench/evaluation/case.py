"""One message of the evaluation, and what is known about it."""

from dataclasses import dataclass, field
from typing import Literal

from icapd.http.headers import Headers


@dataclass(frozen=True, slots=True)
class Case:
    """A message that carries a secret, or an attack (`harmful`), or neither."""

    #: What its figures are counted under.
    family: str
    direction: Literal["request", "response"]
    method: bytes
    url: bytes
    headers: Headers
    body: bytes = field(repr=False)
    #: What must not survive; of a key that spans lines, each line.
    secret: bytes | None = field(default=None, repr=False)
    #: Whether it has to be blocked.
    harmful: bool = False


def response(family: str, media_type: str, body: bytes, secret: bytes | None = None) -> Case:
    """A response to a plain GET."""
    headers = Headers(((b"Content-Type", media_type.encode("ascii")),))
    return Case(family, "response", b"GET", b"https://files.example/", headers, body, secret)


def request(
    family: str,
    media_type: str,
    body: bytes,
    secret: bytes | None = None,
    *,
    method: bytes = b"POST",
    url: bytes = b"https://api.example/",
    harmful: bool = False,
) -> Case:
    """A request with a body; `media_type` is "" for one without."""
    fields = ((b"Content-Type", media_type.encode("ascii")),) if media_type else ()
    return Case(family, "request", method, url, Headers(fields), body, secret, harmful)
