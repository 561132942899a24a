"""One connection to the server: exact bytes out, replies in, and never a wait without an end."""

import select
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType

from icapd.conformance.check import Violation
from icapd.conformance.replies import Reply, read_reply
from icapd.conformance.target import Target
from icapd.errors import IcapdError

KiB = 1024
_PIECE = 64 * KiB
#: What may have arrived and not been read by a check; beyond it the server is left to wait.
_MAX_BUFFER = 1024 * KiB
#: How many times the timeout one answer may take, however busily it comes: a body may have no end.
_PATIENCE = 60


class Unreachable(IcapdError):
    """No connection could be made."""

    exit_code = 4


class Silence(Violation):
    """The server neither answered, nor took what was sent, nor closed."""


class Closed(Violation):
    """The server closed where it should have answered or listened."""


class CutShort(Closed):
    """The server closed in the middle of its answer."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A request in two parts: `rest` travels only when the server asks for it by 100."""

    upfront: bytes
    rest: bytes | None = None


class Conversation:
    """Sends and receives at the same time, in one thread: neither side has to wait for the other."""

    def __init__(self, target: Target, timeout: float) -> None:
        """Connect; Unreachable when that fails. `timeout`: seconds without a byte in either direction."""
        self._timeout = timeout
        self._incoming = bytearray()
        self._outgoing = memoryview(b"")
        self._source: Iterator[bytes] = iter(())
        self._ended = False
        self._reads = True
        self._reply_begun = False
        self._reply_deadline = 0.0
        try:
            plain = socket.create_connection((target.host, target.port), timeout)
        except OSError as error:
            raise Unreachable(f"{target.authority}: {error.strerror or error}; is the server up?") from None
        self._socket = plain
        if target.tls is not None:
            try:
                self._socket = target.tls.wrap_socket(plain, server_hostname=target.host)
            except (OSError, ssl.SSLError) as error:
                plain.close()
                raise Unreachable(f"{target.authority}: no TLS: {error}; see --ca") from None
        self._socket.setblocking(False)

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    @property
    def tls_version(self) -> str | None:
        """The version of TLS that was agreed on."""
        return self._socket.version() if isinstance(self._socket, ssl.SSLSocket) else None

    # --- sending

    def send(self, data: bytes) -> None:
        """Send all of it, and take in meanwhile what arrives. Silence when it is not taken."""
        self._outgoing = memoryview(bytes(self._outgoing) + data)
        while self._outgoing:
            if not self._turn(self._timeout):
                raise Silence(f"the server took nothing more for {self._timeout:g} s")
            if self._ended:
                # It may have answered before it closed; who reads the reply will see.
                self.stop_sending()

    def send_along(self, pieces: Iterable[bytes]) -> None:
        """Send these while replies are read; only what the server takes, when it takes it."""
        self._source = iter(pieces)

    def stop_sending(self) -> None:
        """Forget what is still to be sent."""
        self._source, self._outgoing = iter(()), memoryview(b"")

    def fill_up(self, pieces: Iterable[bytes], patience: float) -> bool:
        """Send without ever reading, until the server takes no more for `patience` seconds.

        What is left is sent along. Returns whether the server took everything.
        """
        self.send_along(pieces)
        self._reads = False
        try:
            while self._turn(patience) and not self._ended:
                if not self._pending_output():
                    return True
            return False
        finally:
            self._reads = True

    def finish_sending(self) -> bool:
        """Send what is still to be sent, reading into the buffer only; whether the server took it all."""
        while self._pending_output() and not self._ended:
            if not self._turn(self._timeout):
                raise Silence(f"the server took nothing more for {self._timeout:g} s, and did not close")
        return not self._ended

    # --- receiving

    def reply(self) -> Reply:
        """The next reply."""
        self._reply_begun = False
        self._reply_deadline = time.monotonic() + _PATIENCE * self._timeout
        return read_reply(self)

    def transact(self, sending: Sending) -> tuple[bool, Reply]:
        """Send as Squid would; returns whether the rest was asked for, and the final reply."""
        self.send(sending.upfront)
        reply = self.reply()
        if reply.status != 100 or sending.rest is None:
            return False, reply
        self.send(sending.rest)
        return True, self.reply()

    def is_silent(self, seconds: float) -> bool:
        """Whether nothing arrives within that time, not even the end."""
        deadline = time.monotonic() + seconds
        while not self._incoming and not self._ended:
            left = deadline - time.monotonic()
            if left <= 0 or not self._turn(left):
                return not self._incoming and not self._ended
        return False

    def is_closed(self, seconds: float) -> bool:
        """Whether the server closes within that time, with nothing before it."""
        return not self.is_silent(seconds) and not self._incoming

    def holds_whole_reply(self, seconds: float) -> bool:
        """Whether a reply arrives to its end within that time, with nothing more being sent."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                read_reply(_Held(bytes(self._incoming)))
            except _Incomplete:
                left = deadline - time.monotonic()
                if left <= 0 or self._ended or not self._turn(left):
                    return False
            else:
                return True

    def unread(self, limit: int) -> bytes:
        """The beginning of what has arrived and was not read."""
        return bytes(self._incoming[:limit])

    # --- the stream that a reply is read from

    def read_until(self, ends: tuple[bytes, ...], limit: int) -> bytes:
        """See replies.Stream."""
        while True:
            found = [at + len(end) for end in ends if (at := self._incoming.find(end)) >= 0]
            if found:
                return self._take(min(found))
            if len(self._incoming) >= limit:
                raise Violation(f"{limit} bytes without the end of a line or head")
            self._receive()

    def read_some(self, limit: int) -> bytes:
        """See replies.Stream."""
        while not self._incoming:
            self._receive()
        return self._take(min(limit, len(self._incoming)))

    def _take(self, size: int) -> bytes:
        self._reply_begun = True
        data = bytes(self._incoming[:size])
        del self._incoming[:size]
        return data

    def _receive(self) -> None:
        before = len(self._incoming)
        while len(self._incoming) == before:
            if self._ended:
                if before or self._reply_begun:
                    raise CutShort("the server closed in the middle of its answer")
                raise Closed("the server closed without an answer")
            if not self._turn(self._timeout):
                raise Silence(f"no answer within {self._timeout:g} s")
        if time.monotonic() > self._reply_deadline:
            raise Silence(f"no end of the answer within {_PATIENCE * self._timeout:g} s")

    # --- one turn of both directions

    def _pending_output(self) -> bool:
        if not self._outgoing:
            self._outgoing = memoryview(next(self._source, b""))
        return bool(self._outgoing)

    def _turn(self, seconds: float) -> bool:
        """Wait until a byte moves in either direction, or the end; False when the time runs out first."""
        deadline = time.monotonic() + seconds
        while True:
            moved = self._read_now() if self._wants_input() else False
            moved = (self._write_now() if self._pending_output() else False) or moved
            if moved or self._ended:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            readers = [self._socket] if self._wants_input() else []
            select.select(readers, [self._socket] if self._outgoing else [], [], left)

    def _wants_input(self) -> bool:
        return self._reads and len(self._incoming) < _MAX_BUFFER

    def _read_now(self) -> bool:
        try:
            data = self._socket.recv(_PIECE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            data = b""
        self._incoming += data
        self._ended = self._ended or not data
        return True

    def _write_now(self) -> bool:
        try:
            count = self._socket.send(self._outgoing[:_PIECE])
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            # What it said before it closed is still to be read.
            self.stop_sending()
            while not self._ended and len(self._incoming) < _MAX_BUFFER and self._read_now():
                pass
            self._ended = True
            return True
        self._outgoing = self._outgoing[count:]
        return True


class _Incomplete(Exception):
    """The bytes end before the reply does."""


class _Held:
    """What has arrived, as a stream that ends where it ends."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read_until(self, ends: tuple[bytes, ...], limit: int) -> bytes:
        """See replies.Stream."""
        found = [at + len(end) for end in ends if (at := self._data.find(end)) >= 0]
        if not found:
            raise _Incomplete
        return self.read_some(min(found))

    def read_some(self, limit: int) -> bytes:
        """See replies.Stream."""
        if not self._data:
            raise _Incomplete
        data, self._data = self._data[:limit], self._data[limit:]
        return data
