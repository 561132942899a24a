"""ICAP requests in any legal form, as values; and how each form is written."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle


@dataclass(frozen=True)
class Spelling:
    """What a client is free to choose in writing chunks (RFC 3507 section 4.4, RFC 9112 section 7.1)."""

    #: Sizes of the chunks, again and again; none: one chunk.
    sizes: tuple[int, ...] = ()
    extension: bytes = b""
    zeros: int = 0
    upper: bool = False
    ieof: bytes = b"; ieof"
    #: HTTP trailers behind the last chunk, each with its CRLF.
    trailers: bytes = b""

    def chunks(self, body: bytes) -> Iterator[tuple[bytes, int]]:
        """The body's chunks, and how many bytes of it each carries."""
        position, sizes = 0, cycle(self.sizes or (len(body),))
        while position < len(body):
            data = body[position : position + next(sizes)]
            size = f"{len(data):X}" if self.upper else f"{len(data):x}"
            line = b"0" * self.zeros + size.encode() + self.extension
            yield line + b"\r\n" + data + b"\r\n", len(data)
            position += len(data)

    def last_chunk(self, *, ieof: bool = False) -> bytes:
        return b"0" + (self.ieof if ieof else self.extension) + b"\r\n" + self.trailers + b"\r\n"


@dataclass(frozen=True)
class Request:
    """One ICAP request. `body` None: null-body."""

    method: str
    path: str
    request_head: bytes = b""
    response_head: bytes = b""
    body: bytes | None = None
    preview: int | None = None
    #: Whether a body that fits into the preview is said to be whole (ieof), or an empty rest follows a 100.
    says_ieof: bool = True
    allow: tuple[str, ...] = ()
    #: Further ICAP header lines.
    fields: tuple[bytes, ...] = ()
    spelling: Spelling = Spelling()
    #: Empty lines before it, as RFC 9112 section 2.2 lets clients send.
    empty_lines: int = 0

    @property
    def is_mod(self) -> bool:
        return self.method in {"REQMOD", "RESPMOD"}

    @property
    def previews(self) -> bool:
        """Whether a preview travels: with null-body there is nothing to preview."""
        return self.preview is not None and self.body is not None

    @property
    def previewed(self) -> bytes:
        return (self.body or b"")[: self.preview]

    @property
    def is_whole_in_preview(self) -> bool:
        return self.previews and self.says_ieof and len(self.body or b"") <= (self.preview or 0)

    def head(self) -> bytes:
        """The ICAP head and the encapsulated ones."""
        lines = [f"{self.method} icap://127.0.0.1:1344{self.path} ICAP/1.0".encode(), b"Host: 127.0.0.1:1344"]
        parts, offset = [], 0
        for name, head in (("req-hdr", self.request_head), ("res-hdr", self.response_head)):
            if head:
                parts.append(f"{name}={offset}")
                offset += len(head)
        body = {"OPTIONS": "opt-body", "RESPMOD": "res-body"}.get(self.method, "req-body")
        parts.append(f"{body if self.body is not None else 'null-body'}={offset}")
        if self.method != "OPTIONS" or self.body is not None:
            lines.append(f"Encapsulated: {', '.join(parts)}".encode())
        if self.preview is not None:
            lines.append(b"Preview: %d" % self.preview)
        if self.allow:
            lines.append(f"Allow: {', '.join(self.allow)}".encode())
        lines += self.fields
        head = b"\r\n".join(lines) + b"\r\n\r\n" + self.request_head + self.response_head
        return b"\r\n" * self.empty_lines + head

    def upfront(self) -> list[tuple[bytes, int]]:
        """What is sent unasked: pieces that belong together, with the bytes of the body that each carries."""
        pieces = [(self.head(), 0)]
        if self.body is None:
            return pieces
        if self.preview is None:
            return [*pieces, *self.spelling.chunks(self.body), (self.spelling.last_chunk(), 0)]
        if self.is_whole_in_preview:
            return [*pieces, *self.spelling.chunks(self.previewed), (self.spelling.last_chunk(ieof=True), 0)]
        # Trailers are those of the body, not of its preview.
        end = replace(self.spelling, trailers=b"").last_chunk()
        return [*pieces, *self.spelling.chunks(self.previewed), (end, 0)]

    def rest(self) -> list[tuple[bytes, int]]:
        """What a 100 Continue asks for."""
        if not self.previews or self.is_whole_in_preview:
            return []
        body = (self.body or b"")[len(self.previewed) :]
        return [*self.spelling.chunks(body), (self.spelling.last_chunk(), 0)]
