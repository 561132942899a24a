"""The ICAP request line (RFC 3507 section 4.3.2)."""

import re
from functools import lru_cache

from icapd.errors import RemoteProtocolError
from icapd.http.headers import TOKEN

#: Request lines that are remembered, and bytes of the longest: clients ask for the same few services.
_REMEMBERED_LINES, _MAX_REMEMBERED = 128, 256

# Request-Line = Method SP ICAP_URI SP ICAP-Version; the URI is absolute, but clients that send only the path
# are understood as well.
_REQUEST_LINE = re.compile(
    rb"(?P<method>" + TOKEN.pattern + rb") (?P<uri>[^\x00-\x20\x7f]+) ICAP/(?P<version>\d{1,3}\.\d{1,3})"
)
# ICAP_URI = "icap:" "//" Authority [ abs_path [ "?" query ] ] (section 4.2); the path names the service.
_URI = re.compile(rb"(?:icaps?://[^/?#]+)?(?P<path>/[^?#]*)?(?:\?[^#]*)?", re.IGNORECASE)


def _parse(line: bytes) -> tuple[str, str]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise RemoteProtocolError("the request line is not `METHOD icap://host/service ICAP/1.0`")
    if match["version"] != b"1.0":
        raise RemoteProtocolError("only ICAP/1.0 is spoken here", icap_status=505)
    uri = _URI.fullmatch(match["uri"])
    if uri is None:
        raise RemoteProtocolError("the request's URI is not icap://host[:port]/service[?query]")
    path = uri["path"] or b"/"
    return match["method"].decode("ascii"), path.decode("latin-1")


_remembered = lru_cache(_REMEMBERED_LINES)(_parse)


def parse_request_line(line: bytes) -> tuple[str, str]:
    """The method and the service's path; RemoteProtocolError 400 or 505 when it is no ICAP/1.0 request."""
    return _remembered(line) if len(line) <= _MAX_REMEMBERED else _parse(line)
