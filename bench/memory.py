"""Memory of icapd under many connections, slow ones, and a body larger than any memory.

    python -m bench.memory [--idle 10000] [--slow 500] [--body-size 10G] [--workers 1]

Four scenes, each with the RSS of all of icapd's processes before, at its peak, and after: idle ones that
had one transaction each; slow ones, half of them trickling a body in and half of them reading an echo as
slowly; and one body through RESPMOD as text that is inspected as it flows, then as an image that is not.
"""

import argparse
import resource
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from bench.cases import REQUEST, Case
from bench.load import run_load
from bench.measure import usage_of
from bench.processes import free_port, running
from bench.servers import Icapd
from bench.wire import CHUNK, Answer, Offer, encode

#: Seconds between two looks at the memory.
SAMPLE_INTERVAL = 0.1
#: Seconds after a scene for memory to be given back.
SETTLING = 2.0
#: One address has some 28,000 ports for its clients; these share the connections.
CLIENT_ADDRESSES = [f"127.0.0.{number}" for number in range(2, 10)]
#: Bytes that each slow connection sends, or reads, in a second.
SLOW_RATE = 20
SLOW_SECONDS = 15.0
_SLOW_TICK = 0.25  # seconds
_SLOW_BODY = 512 * 1024
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_BLOCKS = {
    "text/plain": (b"2026-01-02 03:04:05 INFO worker-7 fetched page 42 of the catalogue in 31 ms\n" * 1000)[
        :CHUNK
    ],
    "image/png": bytes(range(256)) * (CHUNK // 256),
}


class RoomyIcapd(Icapd):
    """Admits as many connections as the scenes need."""

    max_connections = 20_000

    def more_settings(self) -> str:
        return f"max_connections = {self.max_connections}\nidle_timeout = 3600\nfirst_byte_timeout = 600\n"


class Watch:
    """Samples the memory of a server in a thread of its own."""

    def __init__(self, session: int) -> None:
        self._session = session
        self._ended = threading.Event()
        self.peak = 0
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_INTERVAL):
            self.peak = max(self.peak, usage_of(self._session).rss)

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()


def measure(server: Icapd, name: str, scene: Callable[[], str]) -> None:
    """One line of the table: what `scene` needed, and what it says about itself."""
    before, watch = usage_of(server.pid), Watch(server.pid)
    began = time.monotonic()
    remark = scene()
    took = time.monotonic() - began
    watch.stop()
    time.sleep(SETTLING)
    after = usage_of(server.pid)
    sizes = [f"{size / 1e6:.1f}" for size in (before.rss, max(watch.peak, before.rss), after.rss)]
    print(
        f"| {name} | {' | '.join(sizes)} | {after.cpu - before.cpu:.1f} | {took:.1f} | {remark} |", flush=True
    )


def idle(server: Icapd, count: int) -> str:
    """Connections that had one transaction each, and stay."""
    request = encode(Case("GET", "REQMOD"), server.port, "reqmod", Offer(0, False))[0]
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(_connect(server.port, number))
            connection.sendall(request)
            if not connection.recv(4096).startswith(b"ICAP/1.0 204"):
                raise RuntimeError(f"connection {number}: refused")
        time.sleep(SETTLING)
    return f"{count} open at one time"


def slow(server: Icapd, count: int) -> str:
    """Half send a body some bytes at a time, half read an echo so."""
    body = _BLOCKS["image/png"] * (_SLOW_BODY // CHUNK)
    head = _response_head("image/png", len(body))
    wire = encode(Case("slow", "RESPMOD", head, body), server.port, "respmod", Offer(None, False))[0]
    with ExitStack() as stack:
        senders = [stack.enter_context(_connect(server.port, number)) for number in range(count // 2)]
        readers = [
            stack.enter_context(_connect(server.port, number, small=True)) for number in range(count // 2)
        ]
        position = wire.index(b"\r\n\r\n") // 2
        for sender in senders:
            sender.sendall(wire[:position])
        for reader in readers:
            reader.setblocking(False)
        unsent = {reader: memoryview(wire) for reader in readers}
        step = max(1, int(SLOW_RATE * _SLOW_TICK))
        read, until = 0, time.monotonic() + SLOW_SECONDS
        while time.monotonic() < until:
            for sender in senders:
                sender.sendall(wire[position : position + step])
            position += step
            for reader in readers:
                with suppress(BlockingIOError):
                    unsent[reader] = unsent[reader][reader.send(unsent[reader]) :]
                with suppress(BlockingIOError):
                    read += len(reader.recv(step))
            time.sleep(_SLOW_TICK)
    return f"{len(senders)} sending and {len(readers)} reading {SLOW_RATE} bytes a second; {read} bytes read"


def flow(server: Icapd, media_type: str, size: int) -> str:
    """One body, made on the way and compared on its way back."""
    block = _BLOCKS[media_type]
    head = _response_head(media_type, size)
    icap = (
        f"RESPMOD icap://127.0.0.1:{server.port}/respmod ICAP/1.0\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Encapsulated: req-hdr=0, res-hdr={len(REQUEST)}, res-body={len(REQUEST) + len(head)}\r\n"
        "Allow: trailers\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        connection.setblocking(False)
        began = time.monotonic()
        _converse(connection, icap + REQUEST + head, block, size)
        return f"{size / 1e6 / (time.monotonic() - began):.0f} MB/s, every byte back as sent"


def _converse(connection: socket.socket, head: bytes, block: bytes, size: int) -> None:
    """Send and receive at the same time; RuntimeError for a byte that is not as it was sent."""
    chunk = b"%x\r\n%b\r\n" % (len(block), block)
    last = size % len(block)
    whole_chunks = size // len(block)
    ending = (b"%x\r\n%b\r\n" % (last, block[:last]) if last else b"") + b"0\r\n\r\n"
    unsent, reader = memoryview(head), _EchoReader(block, size)
    poll = select.poll()
    poll.register(connection, select.POLLIN | select.POLLOUT)
    is_ended = False
    while not reader.done:
        for _, event in poll.poll(60_000) or [(0, 0)]:
            if not event:
                raise RuntimeError(f"nothing moved for a minute; {reader.received} bytes are back")
            if event & select.POLLOUT:
                if not unsent and whole_chunks:
                    unsent, whole_chunks = memoryview(chunk), whole_chunks - 1
                elif not unsent and not is_ended:
                    unsent, is_ended = memoryview(ending), True
                elif not unsent:
                    poll.modify(connection, select.POLLIN)
                with suppress(BlockingIOError):
                    unsent = unsent[connection.send(unsent) :]
            if event & ~select.POLLOUT:
                data = connection.recv(4 * CHUNK)
                if not data:
                    raise RuntimeError(f"closed after {reader.received} of {size} bytes")
                reader.feed(data)


class _EchoReader:
    """Reads an answer whose body is a repeated block; keeps no more of it than one chunk."""

    def __init__(self, block: bytes, size: int) -> None:
        self._block, self._size = block * 2, size
        self._buffer = bytearray()
        self._answer: Answer | None = Answer()
        self.received = 0
        self.done = False

    def feed(self, data: bytes) -> None:
        self._buffer += data
        if self._answer is not None and not self._skip_heads():
            return
        while (end := self._buffer.find(b"\r\n", 0, 32)) >= 0:
            length = int(self._buffer[:end].partition(b";")[0], 16)
            if len(self._buffer) < end + 2 + length + 2:
                return
            self._compare(self._buffer[end + 2 : end + 2 + length])
            del self._buffer[: end + 2 + length + 2]
            if not length:
                self.done = True
                if self.received != self._size:
                    raise RuntimeError(f"{self.received} bytes came back of {self._size}")
                return

    def _compare(self, data: bytearray) -> None:
        """Piece by piece, each at most a block."""
        size = len(self._block) // 2
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            offset = self.received % size
            if piece != self._block[offset : offset + len(piece)]:
                raise RuntimeError(f"a wrong byte behind {self.received}")
            self.received += len(piece)

    def _skip_heads(self) -> bool:
        icap_end = self._buffer.find(b"\r\n\r\n")
        if icap_end < 0:
            return False
        http_end = self._buffer.find(b"\r\n\r\n", icap_end + 4)
        if http_end < 0:
            return False
        if not self._buffer.startswith(b"ICAP/1.0 200"):
            raise RuntimeError(f"answered by {bytes(self._buffer[:60])!r}")
        del self._buffer[: http_end + 4]
        self._answer = None
        return True


def _response_head(media_type: str, size: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {size}\r\n\r\n".encode()


def _connect(port: int, number: int, *, small: bool = False) -> socket.socket:
    """From one of several addresses of loopback. `small`: with a receive buffer that soon is full."""
    connection = socket.socket()
    connection.settimeout(60)
    if small:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.bind((CLIENT_ADDRESSES[number % len(CLIENT_ADDRESSES)], 0))
    connection.connect(("127.0.0.1", port))
    return connection


def _size(text: str) -> int:
    """Bytes from `10G`, `512M` or a plain number."""
    unit = _UNITS.get(text[-1:].upper())
    return int(float(text[:-1]) * unit) if unit else int(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections (default: %(default)s)")
    parser.add_argument("--slow", type=int, default=500, help="slow connections (default: %(default)s)")
    parser.add_argument(
        "--body-size", type=_size, default=_size("10G"), help="bytes, or 10G, 512M (default: 10G)"
    )
    parser.add_argument("--workers", type=int, default=1, help="of icapd (default: 1)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    needed = options.idle + options.slow + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        if hard < needed:
            sys.exit(f"this needs {needed} open files, the limit is {hard}: ulimit -Hn {needed}, as root")
        # icapd inherits it.
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    RoomyIcapd.workers = options.workers
    with ExitStack() as stack:
        directory = tempfile.TemporaryDirectory(prefix="icapd-bench-", ignore_cleanup_errors=True)
        name = stack.enter_context(directory)
        server = stack.enter_context(running(RoomyIcapd(Path(name), free_port())))
        _warm_up(server)
        print(
            "| scene | RSS before, MB | peak, MB | after, MB | CPU, s | took, s | |\n"
            "|---|---|---|---|---|---|---|"
        )
        measure(server, f"{options.idle} idle connections", lambda: idle(server, options.idle))
        measure(server, f"{options.slow} slow connections", lambda: slow(server, options.slow))
        size = options.body_size
        name = f"{size / _UNITS['G']:.3g} GB"
        measure(server, f"{name} of text, inspected", lambda: flow(server, "text/plain", size))
        measure(server, f"{name} of an image, echoed", lambda: flow(server, "image/png", size))


def _warm_up(server: Icapd) -> None:
    """Some traffic first: what is made once at the first transaction is no cost of any scene."""
    request = encode(Case("GET", "REQMOD"), server.port, "reqmod", Offer(0, False))
    run_load(server.port, request, lambda _: None, seconds=1.0, connections=4)


if __name__ == "__main__":
    main()
