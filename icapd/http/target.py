"""Where a request goes: its target (RFC 9112 section 3.2) taken apart for rules and records."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from icapd.http.heads import RequestHead

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
# A fragment has no place in a request (RFC 9110 section 7.1), but Squid hands one on that a client sends.
_ABSOLUTE_FORM = re.compile(
    rb"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<authority>[^/?#]*)(?P<path>[^#]*)(?:#.*)?", re.DOTALL
)
# Host and port; an IPv6 address stands in brackets (RFC 3986 section 3.2.2).
_AUTHORITY = re.compile(rb"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::(?P<port>\d{0,5}))?")


@dataclass(frozen=True, slots=True)
class Target:
    """`path` without its query, `query` without its `?`; `port` 0 when it is not known."""

    scheme: str = ""
    #: As it was written; without the brackets of an IPv6 address.
    host: bytes = b""
    port: int = 0
    path: bytes = b""
    query: bytes = b""


def target_of(head: RequestHead | None) -> Target:
    """The target of a request in absolute, authority (CONNECT), origin or asterisk form; never raises."""
    if head is None:
        return Target()
    if head.method == b"CONNECT":
        return _target("https", head.target, b"")
    absolute = _ABSOLUTE_FORM.fullmatch(head.target)
    if absolute is None:
        return _target("http", head.headers.get(b"host") or b"", head.target)
    scheme = absolute["scheme"].decode("ascii").lower()
    return _target(scheme, absolute["authority"], absolute["path"] or b"/")


def _target(scheme: str, authority: bytes, path: bytes) -> Target:
    # User information ends at the last @, as clients take it; it is a credential, and left out.
    match = _AUTHORITY.fullmatch(authority.rpartition(b"@")[2])
    host = match["host"].strip(b"[]") if match else b""
    port = int(match["port"]) if match and match["port"] else _DEFAULT_PORTS.get(scheme, 0)
    # A fragment is no part of either.
    path, _, query = path.partition(b"#")[0].partition(b"?")
    return Target(scheme, host, port, path, query)


# RFC 6266 section 4.1: filename=token, filename="quoted", filename*=charset'language'percent-encoded.
_FILE_NAME = re.compile(
    rb"""filename(?:\*\s*=\s*[\w-]*'[\w-]*'|\*?\s*=\s*)(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))""", re.IGNORECASE
)


def file_names_of(disposition: bytes | None, request: RequestHead | None) -> tuple[bytes, ...]:
    """Every name that a client may save a body under, percent-decoded.

    Content-Disposition's, of which clients choose by their own lights, or else the last segment of the path.
    """
    given = [match[1] or match[2] or b"" for match in _FILE_NAME.finditer(disposition or b"")]
    names = given or [target_of(request).path.rpartition(b"/")[2]]
    return tuple(unquote_to_bytes(name) for name in names if name)
