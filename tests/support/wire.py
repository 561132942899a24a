"""ICAP requests as a client writes them."""

from collections.abc import Iterable, Iterator

GET = b"GET https://api.example/items?page=1 HTTP/1.1\r\nHost: api.example\r\nAccept: */*\r\n\r\n"
POST = (
    b"POST https://api.example/items HTTP/1.1\r\nHost: api.example\r\nContent-Type: application/json\r\n\r\n"
)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


def options(path: str = "/reqmod") -> bytes:
    return b"OPTIONS icap://127.0.0.1:1344%b ICAP/1.0\r\nHost: 127.0.0.1:1344\r\n\r\n" % path.encode()


def reqmod(http: bytes = GET, chunks: bytes | None = None, **headers: str) -> bytes:
    """A REQMOD request; `chunks`: the encoded body, None for null-body; `headers`: further ICAP headers."""
    return _mod(b"REQMOD", "/reqmod", [(b"req-hdr", http)], b"req-body", chunks, headers)


def respmod(
    http: bytes = OK,
    chunks: bytes | None = None,
    *,
    request: bytes = GET,
    path: str = "/respmod",
    **headers: str,
) -> bytes:
    """A RESPMOD request with both heads, as Squid sends it."""
    return _mod(b"RESPMOD", path, [(b"req-hdr", request), (b"res-hdr", http)], b"res-body", chunks, headers)


def _mod(
    method: bytes,
    path: str,
    heads: list[tuple[bytes, bytes]],
    body: bytes,
    chunks: bytes | None,
    headers: dict[str, str],
) -> bytes:
    offset, parts = 0, []
    for name, head in heads:
        parts.append(b"%b=%d" % (name, offset))
        offset += len(head)
    parts.append(b"%b=%d" % (body if chunks is not None else b"null-body", offset))
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
    return (
        b"%b icap://127.0.0.1:1344%b ICAP/1.0\r\nHost: 127.0.0.1:1344\r\n%bEncapsulated: %b\r\n\r\n%b%b"
        % (
            method,
            path.encode(),
            lines,
            b", ".join(parts),
            b"".join(head for _, head in heads),
            chunks or b"",
        )
    )


def chunked(*pieces: bytes, ieof: bool = False) -> bytes:
    """The pieces as chunks, and the last chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + (
        b"0; ieof\r\n\r\n" if ieof else b"0\r\n\r\n"
    )


def dechunked(data: bytes) -> tuple[bytes, bytes]:
    """The body of a chunked coding, and what stands behind its last chunk."""
    body = b""
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line, 16)
        body, data = body + data[:size], data[size + 2 :]
        if not size:
            return body, data


def pieces(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """The data cut into pieces of these sizes, the rest at the end."""
    position = 0
    for size in sizes:
        if position >= len(data):
            return
        yield data[position : position + size]
        position += size
    if position < len(data):
        yield data[position:]
