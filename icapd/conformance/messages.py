"""What a check sends: HTTP messages, and the ICAP requests that carry them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

ORIGIN = b"conformance.example"


@dataclass(frozen=True, slots=True)
class Message:
    """An HTTP request, or a response with the request that it answers."""

    request: bytes = field(repr=False)
    #: None: the request itself is to be adapted.
    response: bytes | None = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)

    @property
    def method(self) -> bytes:
        """The ICAP method that adapts it."""
        return b"REQMOD" if self.response is None else b"RESPMOD"

    @property
    def head(self) -> bytes:
        """The head of what is to be adapted."""
        return self.request if self.response is None else self.response

    def with_body(self, body: bytes | None) -> "Message":
        """The same heads before another body."""
        return replace(self, body=body)


def _lines(fields: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\r\n" for line in fields)


def get(target: bytes = b"/", fields: Iterable[bytes] = (), method: bytes = b"GET") -> bytes:
    """The head of a request without a body."""
    uri = target if method == b"CONNECT" else b"http://%b%b" % (ORIGIN, target)
    return b"%b %b HTTP/1.1\r\nHost: %b\r\nAccept: */*\r\n%b\r\n" % (method, uri, ORIGIN, _lines(fields))


def post(
    body: bytes,
    content_type: bytes = b"application/json",
    fields: Iterable[bytes] = (),
    *,
    path: bytes = b"/",
    with_length: bool = True,
) -> Message:
    """A request with a body."""
    line = b"POST http://%b%b HTTP/1.1\r\nHost: %b\r\n" % (ORIGIN, path, ORIGIN)
    return Message(line + _entity(body, content_type, fields, with_length), None, body)


def _entity(body: bytes | None, content_type: bytes, fields: Iterable[bytes], with_length: bool) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body or b"") if with_length else b""
    return b"Content-Type: %b\r\n%b%b\r\n" % (content_type, length, _lines(fields))


def response(
    body: bytes | None,
    content_type: bytes = b"application/json",
    fields: Iterable[bytes] = (),
    *,
    path: bytes = b"/",
    with_length: bool = True,
) -> Message:
    """A response to a GET."""
    head = b"HTTP/1.1 200 OK\r\n" + _entity(body, content_type, fields, with_length)
    return Message(get(path), head, body)


def note(text: str) -> bytes:
    """JSON with the text in it: a body that servers which inspect will look into."""
    return json.dumps({"user": "conformance", "note": text}).encode()


def chunked(*pieces: bytes, ieof: bool = False, trailers: bytes = b"") -> bytes:
    """The pieces as chunks, and the last chunk."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    return chunks + (b"0; ieof\r\n" if ieof else b"0\r\n") + trailers + b"\r\n"


def encapsulated(message: Message) -> bytes:
    """The Encapsulated header's value for a message with both its heads."""
    heads = [(b"req-hdr", message.request)]
    if message.response is not None:
        heads.append((b"res-hdr", message.response))
    parts, offset = [], 0
    for name, head in heads:
        parts.append(b"%b=%d" % (name, offset))
        offset += len(head)
    kind = b"req-body" if message.response is None else b"res-body"
    parts.append(b"%b=%d" % (kind if message.body is not None else b"null-body", offset))
    return b", ".join(parts)


def icap_head(method: bytes, uri: str, host: str, fields: Iterable[bytes]) -> bytes:
    """An ICAP head with its empty line."""
    line = b"%b %b ICAP/1.0\r\nHost: %b\r\n" % (method, uri.encode(), host.encode())
    return line + _lines(fields) + b"\r\n"
