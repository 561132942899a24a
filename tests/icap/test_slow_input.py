"""A client that sends byte by byte costs in proportion to its bytes: nothing is searched twice.

Work is counted, not timed: every byte that a search or a slice of the buffer touches, and every call.
"""

from typing import Any, SupportsIndex

import pytest
from support import wire

from icapd.errors import RemoteProtocolError
from icapd.icap import Connection, Continue, PreviewEnd
from icapd.icap.limits import CodecLimits

KiB = 1024
LIMITS = CodecLimits(
    max_icap_head=64 * KiB, max_http_head=64 * KiB, max_chunk_line=64 * KiB, max_trailer=64 * KiB
)


class CountingBuffer(bytearray):
    """A buffer that knows how much work was done on it."""

    work = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        found = super().find(sub, start, end)
        last = found if found >= 0 else min(len(self), len(self) if end is None else end)
        self.work += 1 + max(0, last - start)
        return found

    def startswith(self, *arguments: Any) -> bool:
        self.work += 1
        return super().startswith(*arguments)

    def strip(self, *arguments: Any) -> bytearray:
        self.work += 1 + len(self)
        return super().strip(*arguments)

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        self.work += 1 + (len(range(*key.indices(len(self)))) if isinstance(key, slice) else 1)
        return super().__getitem__(key)

    def __bytes__(self) -> bytes:
        self.work += 1 + len(self)
        return bytes(bytearray(self))


def work_on(data: bytes) -> int:
    """What it takes to read this, byte by byte, with the questions that an engine asks after each."""
    connection = Connection(LIMITS)
    connection._buffer = buffer = CountingBuffer()
    for at in range(len(data)):
        connection.receive_data(data[at : at + 1])
        try:
            while (event := connection.next_event()) is not None:
                if isinstance(event, PreviewEnd):
                    connection.send(Continue())
        except RemoteProtocolError:
            break
        assert not (connection.is_idle and connection.is_reading_head)
        assert not connection.must_close and not connection.is_draining
    assert connection._buffer is buffer
    return buffer.work


def _field(size: int) -> bytes:
    return b"X-Long: %b" % (b"x" * size)


SLOW = {
    "ICAP head": lambda size: b"OPTIONS icap://h/x ICAP/1.0\r\nHost: h\r\n" + _field(size),
    "ICAP head of CRs": lambda size: b"\r" * size,
    "ICAP head of LFs": lambda size: b"OPTIONS icap://h/x ICAP/1.0\r\nX: " + b"\n" * size,
    "ICAP head of lines": lambda size: b"OPTIONS icap://h/x ICAP/1.0\r\n" + b"A:b\r\n" * (size // 5),
    "empty lines": lambda size: b"\r\n" * (size // 2),
    "HTTP head": lambda size: wire.reqmod(b"GET / HTTP/1.1\r\n" + _field(size) + b"\r\n\r\n")[:-1],
    "chunk line": lambda size: wire.reqmod(wire.POST, b"3;" + b"x" * size),
    "chunk line of CRs": lambda size: wire.reqmod(wire.POST, b"3;" + b"\r" * size),
    "leading zeros": lambda size: wire.reqmod(wire.POST, b"0" * size),
    "trailers": lambda size: wire.reqmod(wire.POST, b"0\r\n" + _field(size)),
    "trailers of lines": lambda size: wire.reqmod(wire.POST, b"0\r\n" + b"A:b\r\n" * (size // 5)),
    "trailers of a preview": lambda size: wire.reqmod(wire.POST, b"0\r\n" + _field(size), Preview="9"),
    "one chunk": lambda size: wire.reqmod(wire.POST, b"%x\r\n" % size + b"x" * size),
    "chunks of one byte": lambda size: wire.reqmod(wire.POST, b"1\r\nx\r\n" * (size // 6)),
    "chunks behind a preview": lambda size: wire.reqmod(
        wire.POST, wire.chunked() + b"1\r\nx\r\n" * (size // 6), Preview="0"
    ),
}


@pytest.mark.parametrize("kind", SLOW)
def test_work_grows_with_the_bytes_and_no_faster(kind: str) -> None:
    make = SLOW[kind]
    small, large = work_on(make(4 * KiB)), work_on(make(16 * KiB))
    assert large < 4.5 * small, f"{small} operations for 4 KiB, {large} for 16 KiB"
    assert large < 12 * len(make(16 * KiB))
