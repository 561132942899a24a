"""One connection on a blocking socket: every wait ends by itself, and what was read too far goes back.

All bytes that have arrived and were not yet taken are in one buffer, `unread`. The codec is fed from it, and
the file objects that pyicap reads and writes are made of it too: so whoever reads next begins where the one
before has stopped.
"""

import io
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Bytes of one read.
READ_SIZE = 64 * 1024


class Wire:
    """A socket with its clocks. One thread drives it; any thread may `cut` it."""

    def __init__(self, connection: socket.socket, stop: int | None, stall_timeout: float) -> None:
        """`stop`: a descriptor that becomes readable when idle connections are to end."""
        self.unread = bytearray()
        #: Bytes sent so far.
        self.sent = 0
        self.received = 0
        #: Whether the server ended the connection, not the peer.
        self.was_cut = False
        self._socket = connection
        self._stall_timeout = stall_timeout
        if connection.family != socket.AF_UNIX:
            # A reply in two pieces would wait for the peer to acknowledge the first one.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        if stop is not None:
            self._poll.register(stop, select.POLLIN)

    def handshake(self, context: ssl.SSLContext, timeout: float) -> None:
        """Go on in TLS. OSError, ssl's included, when that fails or takes too long."""
        # The socket is its new owner's from here on, but the descriptor stays the same.
        self._socket = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket.settimeout(timeout)
        self._socket.do_handshake()

    def wait(self, timeout: float) -> bool:
        """Wait for bytes, or for their end; False when the time is over, or the server stops."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        events = self._poll.poll(max(0.0, timeout) * 1000)
        return any(descriptor == self._socket.fileno() for descriptor, _ in events)

    def fill(self, timeout: float | None = None) -> bool:
        """Read on into `unread`; False when the peer has closed its side. TimeoutError: nothing came."""
        data = self._receive(self._stall_timeout if timeout is None else timeout)
        self.unread += data
        self.received += len(data)
        return bool(data)

    def take(self) -> bytes:
        """All that has arrived."""
        data = bytes(self.unread)
        self.unread.clear()
        return data

    def send(self, data: bytes) -> None:
        """Send it all. TimeoutError when the peer takes nothing for `stall_timeout`."""
        view = memoryview(data)
        while view:
            # Not sendall: its timeout would be for all of it, however large, not for each piece.
            self._socket.settimeout(self._stall_timeout)
            size = self._socket.send(view)
            self.sent += size
            view = view[size:]

    def cut(self) -> None:
        """End the connection from another thread, whose waits end with it."""
        self.was_cut = True
        try:
            # Of the socket itself: that of SSLSocket would take TLS away from under the other thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
        except OSError:
            return  # it has ended already

    def close(self, *, linger: float = 0.0, max_size: int = 0) -> None:
        """Close. `linger`: read on for so many seconds and bytes, and drop it.

        Closing a socket with unread bytes resets the connection, and the peer may lose the reply that was
        sent before (RFC 9112 section 9.6).
        """
        try:
            self._announce_end()
            deadline = time.monotonic() + linger
            while linger and max_size > 0 and self.wait(deadline - time.monotonic()):
                data = self._receive(deadline - time.monotonic())
                max_size -= len(data)
                if not data:
                    break
        except (OSError, ValueError):
            pass  # the peer is gone already
        finally:
            self._socket.close()

    def _announce_end(self) -> None:
        self._socket.settimeout(0)
        if isinstance(self._socket, ssl.SSLSocket):
            try:
                self._socket.unwrap()
            except ssl.SSLError:
                return  # close_notify is sent; the peer's is not waited for
        else:
            self._socket.shutdown(socket.SHUT_WR)

    def _receive(self, timeout: float) -> bytes:
        if timeout <= 0:
            raise TimeoutError
        self._socket.settimeout(timeout)
        return self._socket.recv(READ_SIZE)


class WireReader(io.BufferedIOBase):
    """What pyicap reads from; it has no bytes of its own."""

    def __init__(self, wire: Wire, fill: Callable[[], bool]) -> None:
        """`fill`: reads on into `wire.unread`, within the limits of what is being read."""
        self._wire = wire
        self._fill = fill

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = -1 if size is None else size
        while (wanted < 0 or len(self._wire.unread) < wanted) and self._fill():
            pass
        return self._taken(len(self._wire.unread) if wanted < 0 else wanted)

    def read1(self, size: int = -1, /) -> bytes:
        if not self._wire.unread:
            self._fill()
        return self._taken(len(self._wire.unread) if size < 0 else size)

    def readline(self, size: int | None = -1, /) -> bytes:
        limit = -1 if size is None else size
        unread, searched = self._wire.unread, 0
        while (end := unread.find(b"\n", searched)) < 0:
            searched = len(unread)
            if 0 <= limit <= searched or not self._fill():
                end = searched - 1
                break
        return self._taken(end + 1 if limit < 0 else min(end + 1, limit))

    def _taken(self, size: int) -> bytes:
        data = bytes(self._wire.unread[:size])
        del self._wire.unread[:size]
        return data


class WireWriter(io.BufferedIOBase):
    """What pyicap writes to; nothing is kept back."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        content = bytes(data)
        self._wire.send(content)
        return len(content)
