"""HTTP/1.1 as both ends of the soak read and write it: heads, bodies by length, by chunks, or to the end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """A start line and its fields, by names in lower case."""

    start_line: str
    fields: dict[str, str]

    def get(self, name: str) -> str:
        return self.fields.get(name, "")

    @property
    def status(self) -> int:
        return int(self.start_line.split(" ")[1])


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head; None when the connection ends instead of it."""
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    pairs = (line.partition(":") for line in lines[1:] if line)
    return Head(lines[0], {name.lower(): value.strip() for name, _, value in pairs})


async def read_body(reader: asyncio.StreamReader, head: Head, sink: Callable[[bytes], None]) -> bool:
    """Give the body to `sink` as it comes; False when it broke off, as far as its framing tells."""
    try:
        if head.get("transfer-encoding") == "chunked":
            while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
                await _read_exactly(reader, size, sink)
                await reader.readexactly(2)
            while (await reader.readuntil(b"\r\n")) != b"\r\n":
                pass
        elif length := head.get("content-length"):
            await _read_exactly(reader, int(length), sink)
        elif head.start_line.startswith("HTTP/"):
            while data := await reader.read(PIECE):
                sink(data)
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    return True


async def _read_exactly(reader: asyncio.StreamReader, size: int, sink: Callable[[bytes], None]) -> None:
    while size:
        data = await reader.read(min(size, PIECE))
        if not data:
            raise asyncio.IncompleteReadError(b"", size)
        sink(data)
        size -= len(data)


async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Raises ConnectionResetError when the other end has gone: asyncio would only complain in its log."""
    if writer.transport.is_closing():
        raise ConnectionResetError
    writer.write(data)
    await writer.drain()


def chunk(data: bytes) -> bytes:
    """One chunk; an empty one ends the body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
