"""Replies to bytes (RFC 3507 sections 4.3.3 and 4.4)."""

from icapd.http.headers import Headers
from icapd.icap.replies import AdaptedHead, ErrorReply, OptionsReply, Unmodified

CONTINUE = b"ICAP/1.0 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
_CLOSE = b"Connection: close\r\n"

# RFC 3507 section 4.3.3, and RFC 9110 where it refers to HTTP.
_REASONS = {
    400: b"Bad request",
    404: b"ICAP Service not found",
    405: b"Method not allowed for service",
    408: b"Request timeout",
    500: b"Server error",
    501: b"Method not implemented",
    503: b"Service overloaded",
    505: b"ICAP version not supported by server",
}


def options(reply: OptionsReply, close: bool) -> bytes:
    return _head(b"200 OK", reply.headers, close, b"null-body=0")


def unmodified(reply: Unmodified, close: bool) -> bytes:
    return _head(b"204 No modifications needed", reply.headers, close)


def error(reply: ErrorReply, close: bool) -> bytes:
    status = b"%d %s" % (reply.status, _REASONS[reply.status])
    headers = reply.headers.with_(b"X-Icapd-Error", reply.explanation.encode("ascii", "backslashreplace"))
    return _head(status, headers, close, b"null-body=0")


def adapted_head(reply: AdaptedHead, close: bool) -> bytes:
    http_head = reply.head.encode()
    kind = b"res" if http_head.startswith(b"HTTP/") else b"req"
    body = b"%s-body" % kind if reply.has_body else b"null-body"
    encapsulated = b"%s-hdr=0, %s=%d" % (kind, body, len(http_head))
    return _head(b"200 OK", reply.headers, close, encapsulated) + http_head


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(status: bytes, headers: Headers, close: bool, encapsulated: bytes | None = None) -> bytes:
    """An ICAP head; a 204 and a 100 have no Encapsulated header, since nothing follows them (errata e1)."""
    return b"ICAP/1.0 %b\r\n%b%b%b\r\n" % (
        status,
        headers.encode(),
        _CLOSE if close else b"",
        b"Encapsulated: %b\r\n" % encapsulated if encapsulated else b"",
    )
