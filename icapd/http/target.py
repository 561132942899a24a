"""Where a request goes: its target (RFC 9112 section 3.2) taken apart for rules and records."""

import re
from dataclasses import dataclass

from icapd.http.heads import RequestHead

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21}
_ABSOLUTE_FORM = re.compile(rb"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?P<authority>[^/?#]*)(?P<path>[^#]*)")
# Host and port; an IPv6 address stands in brackets (RFC 3986 section 3.2.2). User information is left out.
_AUTHORITY = re.compile(rb"(?:[^@]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::(?P<port>\d{0,5}))?")


@dataclass(frozen=True, slots=True)
class Target:
    """`path` without its query; `port` 0 when it is not known."""

    scheme: str = ""
    host: str = ""
    port: int = 0
    path: bytes = b""


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
    match = _AUTHORITY.fullmatch(authority)
    host = match["host"].decode("latin-1").strip("[]").lower() if match else ""
    port = int(match["port"]) if match and match["port"] else _DEFAULT_PORTS.get(scheme, 0)
    return Target(scheme, host, port, path.partition(b"?")[0])


# RFC 6266 section 4.1: filename=token, filename="quoted", filename*=UTF-8''percent-encoded.
_FILE_NAME = re.compile(rb"""filename\*?\s*=\s*(?:[\w-]*'[\w-]*')?(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))""", re.I)


def file_name_of(disposition: bytes | None, request: RequestHead | None) -> bytes:
    """The name a body would be saved under: Content-Disposition's, else the last segment of the path."""
    match = _FILE_NAME.search(disposition) if disposition else None
    if match is not None:
        return match[1] or match[2] or b""
    return target_of(request).path.rpartition(b"/")[2]
