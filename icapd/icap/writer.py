"""Replies to bytes (RFC 3507 sections 4.3.3 and 4.4)."""

from icapd.http.headers import Headers
from icapd.http.heads import MessageHead
from icapd.icap.replies import AdaptedEnd, AdaptedHead, ErrorReply, OptionsReply, PartialContent, Unmodified

CONTINUE = b"ICAP/1.0 100 Continue\r\n\r\n"
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
    headers = reply.headers
    if reply.trailer_names:
        # Both must be there, or Squid takes the reply for broken (draft-rousskov-icap-trailers).
        headers = headers.with_(b"Trailer", b", ".join(reply.trailer_names)).with_(b"Allow", b"trailers")
    return _message_head(b"200 OK", headers, close, reply.head, reply.has_body)


def adapted_end(reply: AdaptedEnd, has_body: bool, has_icap_trailers: bool) -> bytes:
    last_chunk = b"0\r\n%b\r\n" % reply.trailers.encode() if has_body else b""
    return last_chunk + (b"%b\r\n" % reply.icap_trailers.encode() if has_icap_trailers else b"")


def partial_content(reply: PartialContent, close: bool) -> bytes:
    head = _message_head(b"206 Partial Content", reply.headers, close, reply.head, True)
    data = chunk(reply.data) if reply.data else b""
    # Squid reads the extension on the last chunk only, and wants a body even where only the head is changed.
    return b"%b%b0; use-original-body=%d\r\n\r\n" % (head, data, reply.use_original_body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _message_head(status: bytes, headers: Headers, close: bool, head: MessageHead, has_body: bool) -> bytes:
    http_head = head.encode()
    kind = b"res" if http_head.startswith(b"HTTP/") else b"req"
    body = b"%s-body" % kind if has_body else b"null-body"
    encapsulated = b"%s-hdr=0, %s=%d" % (kind, body, len(http_head))
    return _head(status, headers, close, encapsulated) + http_head


def _head(status: bytes, headers: Headers, close: bool, encapsulated: bytes | None = None) -> bytes:
    """An ICAP head; a 204 and a 100 have no Encapsulated header, since nothing follows them (errata e1)."""
    return b"ICAP/1.0 %b\r\n%b%b%b\r\n" % (
        status,
        headers.encode(),
        _CLOSE if close else b"",
        b"Encapsulated: %b\r\n" % encapsulated if encapsulated else b"",
    )
