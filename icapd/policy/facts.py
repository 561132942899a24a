"""What scopes and exceptions ask about a message: who sends it, where to, and what it is."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

Direction = Literal["request", "response"]


@dataclass(frozen=True, slots=True)
class Facts:
    """One message; "" or () where a thing is not known. `facts_of` makes them comparable."""

    direction: Direction
    #: An address.
    client: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    host: str = ""
    path: str = ""
    method: str = ""
    #: The essence, `type/subtype`.
    media_type: str = ""


def facts_of(
    direction: Direction,
    *,
    client: str = "",
    user: str = "",
    groups: tuple[str, ...] = (),
    host: str = "",
    path: str = "",
    method: str = "",
    media_type: str = "",
) -> Facts:
    """The facts as they are compared: names without case, the path as an origin reads it."""
    return Facts(
        direction,
        client,
        user.casefold(),
        tuple(map(str.casefold, groups)),
        host.lower().rstrip("."),
        plain_path(path),
        method,
        media_type.lower(),
    )


def plain_path(path: str) -> str:
    """The path percent-decoded once, without `.` and `..` segments (RFC 3986 section 5.2.4).

    So that `/open/../private` is no way into a scope, and `/%70rivate` none out of it.
    """
    if "%" in path:
        path = unquote(path)
    if "/." not in path:
        return path
    *segments, last = path.split("/")
    kept: list[str] = []
    for segment in [*segments, last] if last == ".." else segments:
        if segment != "..":
            kept += [segment] if segment != "." else []
        elif len(kept) > 1:
            kept.pop()
    return "/".join([*kept, "" if last in {".", ".."} else last])
