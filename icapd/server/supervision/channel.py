"""How the supervisor and its workers speak: a message a datagram, some with a descriptor.

One socket pair of type SOCK_SEQPACKET for each worker: messages keep their bounds and their order, and each
side sees when the other is gone. After a restart the new supervisor goes on with the workers of the old one,
so a message that is not understood is passed over: a newer icapd may say what an older one never heard of.
"""

import asyncio
import errno
import os
import signal
import socket
import sys
from array import array
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec
import structlog

from icapd.server.listening import descriptors
from icapd.server.supervision.messages import Message

log = structlog.get_logger()

#: The descriptor of a worker's end, in the worker.
WORKER_END = 3
#: What only the supervisor obeys: blocked until a worker has begun, ignored from then on. A terminal and a
#: service manager send them to all processes of a group.
SUPERVISOR_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)
#: Bytes of a message. The settings are the longest, some kilobytes; texts that may be longer are in a file.
MAX_MESSAGE = 64 * 1024
#: Messages taken before the loop's other business has its turn.
_BATCH = 64
#: What passes by itself: too many descriptors under way, no memory for one message more.
_PASSING = frozenset({errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM})
#: Seconds.
_RETRY_INTERVAL = 0.05
_FD_SIZE = array("i").itemsize


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


class Descriptor(Protocol):
    """A socket or a file."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def spawn(module: str, end: socket.socket) -> int:
    """Start a program of its own, so that it has the code that is installed now, and that end; its pid.

    Raises OSError.
    """
    return os.posix_spawn(
        sys.executable,
        # -P: nothing that lies in the working directory is taken for a module.
        [sys.executable, "-P", "-m", module],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, end.fileno(), WORKER_END)],
        setsigmask=SUPERVISOR_SIGNALS,
        setsigdef=SUPERVISOR_SIGNALS,
    )


def receive(end: socket.socket) -> tuple[Message | None, int | None]:
    """The next message and its descriptor; EOFError when the other side is gone. None: not understood."""
    data, ancillary, _, _ = end.recvmsg(MAX_MESSAGE, socket.CMSG_SPACE(_FD_SIZE), socket.MSG_CMSG_CLOEXEC)
    descriptors = array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % _FD_SIZE])
    if not data:
        raise EOFError
    descriptor = descriptors[0] if descriptors else None
    try:
        return _decoder.decode(data), descriptor
    except msgspec.MsgspecError as error:
        log.warning("message-not-understood", problem=str(error))
        if descriptor is not None:
            os.close(descriptor)
        return None, None


def send_now(end: socket.socket, message: Message) -> None:
    """Send from where there is no event loop."""
    with suppress(OSError):
        end.send(_encoder.encode(message))


class Channel:
    """One end, on the event loop. What can't be sent at once waits its turn; nothing blocks."""

    def __init__(
        self,
        end: socket.socket,
        on_message: Callable[[Message, int | None], None],
        on_end: Callable[[], None],
        room: descriptors.Room | None = None,
    ) -> None:
        """`on_message` owns the descriptor that it gets. `on_end`: the other side is gone.

        `room`: messages wait while there is none for a descriptor; without it, they come without theirs.
        """
        end.setblocking(False)
        self._end = end
        self._on_message, self._on_end, self._room = on_message, on_end, room
        self._waiting: deque[tuple[bytes, Descriptor | None]] = deque()
        self._is_alive = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end, self._receive)

    def fileno(self) -> int:
        return self._end.fileno()

    @property
    def is_alive(self) -> bool:
        """Whether the other side is there, as far as is known: it may be gone, and still be heard."""
        return self._is_alive

    @property
    def is_flushed(self) -> bool:
        """Whether nothing waits to be sent."""
        return not self._waiting

    def send(self, message: Message, descriptor: Descriptor | None = None) -> bool:
        """Send, now or when there is room. The descriptor is closed once the other side has its own.

        False when the other side is gone: nothing is sent, and the descriptor is still the caller's.
        """
        if not self._is_alive:
            return False
        self._waiting.append((_encoder.encode(message), descriptor))
        if len(self._waiting) > 1 or self._send_waiting():
            return True
        self._waiting.pop()
        return False

    def receive_rest(self) -> None:
        """Take what arrived before the other side was gone."""
        while self._receive():
            pass

    def close(self) -> None:
        """Let go of the channel; what still waits is dropped."""
        if not self._is_open:
            return
        self._is_alive = False
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        self._drop_waiting()

    @property
    def _is_open(self) -> bool:
        return self._end.fileno() >= 0

    def _send_on(self) -> None:
        """There may be room for what waits."""
        if not (self._is_alive and self._send_waiting()):
            self._drop_waiting()

    def _drop_waiting(self) -> None:
        for _, descriptor in self._waiting:
            if descriptor is not None:
                descriptor.close()
        self._waiting.clear()

    def _send_waiting(self) -> bool:
        """Send as much as there is room for; False when the other side is gone."""
        while self._waiting:
            data, descriptor = self._waiting[0]
            rights = array("i", [descriptor.fileno()] if descriptor is not None else [])
            try:
                self._end.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else [])
            except BlockingIOError:
                self._loop.add_writer(self._end, self._send_on)
                return True
            except OSError as error:
                if error.errno in _PASSING:
                    self._loop.call_later(_RETRY_INTERVAL, self._send_on)
                    return True
                # Reading will tell, behind what it still said.
                self._is_alive = False
                break
            self._waiting.popleft()
            if descriptor is not None:
                descriptor.close()
        self._loop.remove_writer(self._end)
        return self._is_alive

    def _resume(self) -> None:
        if self._is_open:
            self._loop.add_reader(self._end, self._receive)

    def _receive(self) -> bool:
        """Take what has arrived; returns whether there may be more."""
        for _ in range(_BATCH):
            if not self._is_open:
                return False
            if self._room is not None and not self._room.is_there(self.fileno()):
                self._loop.remove_reader(self._end)
                self._loop.call_later(descriptors.PAUSE, self._resume)
                return False
            try:
                message, descriptor = receive(self._end)
            except BlockingIOError:
                return False
            except (EOFError, OSError):
                self.close()
                self._on_end()
                return False
            if message is not None:
                self._on_message(message, descriptor)
        return True
