"""Clients of a bumping proxy: blocking ones for load and latency, and many at a time for event streams."""

import asyncio
import re
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import uvloop

TIMEOUT = 15.0  # seconds; far above any answer on loopback
#: Streams that are opened at one time; each costs Squid two TLS handshakes.
_OPENING = 20
_SENT = re.compile(rb'"sent": ([\d.]+)')


@dataclass(frozen=True)
class Tunnel:
    """The way through one proxy to one origin."""

    proxy_port: int
    #: The CA that the proxy mints certificates with.
    ca: Path
    host: str
    port: int

    def connect(self) -> ssl.SSLSocket:
        """A TLS connection to the origin, as far as its client can tell."""
        context = ssl.create_default_context(cafile=str(self.ca))
        plain = socket.create_connection(("127.0.0.1", self.proxy_port), TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.sendall(self.connect_request)
        answer = plain.recv(65536)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the proxy refuses: {answer[:100]!r}")
        return context.wrap_socket(plain, server_hostname=self.host)

    @property
    def connect_request(self) -> bytes:
        return f"CONNECT {self.authority} HTTP/1.1\r\nHost: {self.authority}\r\n\r\n".encode()

    @property
    def authority(self) -> str:
        """Host and port: Squid takes the bumped request's address from its Host header."""
        return f"{self.host}:{self.port}"


class Connection:
    """Keeps alive as long as the proxy does, and checks every body."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._socket = tunnel.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def get(self, path: str, expected: bytes) -> None:
        """One request; RuntimeError unless exactly `expected` comes back."""
        data = self._ask(path)
        if not data:
            # The proxy ended the connection behind the last answer: what any client does then.
            self._socket.close()
            self._socket = self._tunnel.connect()
            data = self._ask(path)
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, rest = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = self._by_length(rest, int(length[1])) if length else self._chunked(rest)
        if not head.startswith(b"HTTP/1.1 200") or body != expected:
            raise RuntimeError(f"{path}: a wrong answer through the proxy: {head[:200]!r}")

    def _ask(self, path: str) -> bytes:
        """The first bytes of the answer; none from a connection that has ended."""
        request = f"GET {path} HTTP/1.1\r\nHost: {self._tunnel.authority}\r\nAccept: */*\r\n\r\n"
        try:
            self._socket.sendall(request.encode())
            return self._socket.recv(256 * 1024)
        except (ConnectionError, ssl.SSLEOFError):
            return b""

    def _by_length(self, rest: bytes, length: int) -> bytes:
        pieces = [rest]
        missing = length - len(rest)
        while missing > 0:
            pieces.append(self._receive())
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def _chunked(self, rest: bytes) -> bytes:
        buffer, pieces = bytearray(rest), []
        while True:
            while (end := buffer.find(b"\r\n")) < 0:
                buffer += self._receive()
            size = int(buffer[:end].partition(b";")[0], 16)
            while len(buffer) < end + 2 + size + 2:
                buffer += self._receive()
            if not size:
                return b"".join(pieces)
            pieces.append(bytes(buffer[end + 2 : end + 2 + size]))
            del buffer[: end + 2 + size + 2]

    def _receive(self) -> bytes:
        data = self._socket.recv(256 * 1024)
        if not data:
            raise RuntimeError("the proxy closed the connection within an answer")
        return data


def event_lags(tunnel: Tunnel, streams: int, seconds: float) -> list[float]:
    """Seconds from the origin's sending of each event to its arrival, of so many streams at one time.

    The first event of each stream is left out: it waits for the handshakes.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_all_lags(tunnel, streams, seconds))


async def _all_lags(tunnel: Tunnel, streams: int, seconds: float) -> list[float]:
    context = ssl.create_default_context(cafile=str(tunnel.ca))
    gate = asyncio.Semaphore(_OPENING)
    opened = asyncio.Event()
    waiting = [streams]
    tasks = [
        asyncio.create_task(_lags(tunnel, context, gate, waiting, opened, seconds)) for _ in range(streams)
    ]
    return [lag for lags in await asyncio.gather(*tasks) for lag in lags]


async def _lags(
    tunnel: Tunnel,
    context: ssl.SSLContext,
    gate: asyncio.Semaphore,
    waiting: list[int],
    opened: asyncio.Event,
    seconds: float,
) -> list[float]:
    """The lags of one stream, from when all streams are open."""
    async with gate, asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection("127.0.0.1", tunnel.proxy_port)
        writer.write(tunnel.connect_request)
        await reader.readuntil(b"\r\n\r\n")
        await writer.start_tls(context, server_hostname=tunnel.host)
        writer.write(f"GET /events HTTP/1.1\r\nHost: {tunnel.authority}\r\n\r\n".encode())
        await reader.readuntil(b"\n\n")
    waiting[0] -= 1
    if not waiting[0]:
        opened.set()
    lags: list[float] = []
    until = None
    while until is None or time.monotonic() < until:
        async with asyncio.timeout(TIMEOUT):
            event = await reader.readuntil(b"\n\n")
        now = time.monotonic()
        if opened.is_set():
            until = until or now + seconds
            sent = _SENT.search(event)
            assert sent is not None, event
            lags.append(now - float(sent[1]))
    writer.transport.abort()
    return lags
