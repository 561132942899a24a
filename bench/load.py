"""The load: a closed loop of connections, each sending its next request when the last one is answered.

Plain sockets and epoll, because this loop costs some 15 µs a transaction where asyncio's streams cost 100,
and every answer is still read and checked to its last byte: a wrong one ends its server's part in the run.
"""

import select
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bench.wire import Answer

#: Seconds without any answer after which a server counts as hung.
PATIENCE = 30.0
_RECEIVE = 256 * 1024

Check = Callable[[Answer], None]


class WrongAnswer(RuntimeError):
    """A server answered what it must not; figures of such a server mean nothing."""


@dataclass
class Load:
    """What came of one turn."""

    seconds: float = 0.0
    #: Of this process: at 1.0 per second it was the client that set the pace.
    client_cpu: float = 0.0
    #: Seconds, of every transaction.
    latencies: list[float] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.latencies)


class _Conversation:
    """One connection with its transaction under way."""

    def __init__(self, port: int, parts: Sequence[bytes], check: Check) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._parts, self._check = parts, check
        self._unsent = memoryview(b"")
        self._answer = Answer()
        self._part = 0
        self.began = 0.0

    @property
    def wants_to_send(self) -> bool:
        return len(self._unsent) > 0

    def begin(self) -> None:
        self._part, self._answer = 0, Answer()
        self._unsent = memoryview(self._parts[0])
        self.began = time.perf_counter()
        self.send()

    def send(self) -> None:
        with suppress(BlockingIOError):
            self._unsent = self._unsent[self.socket.send(self._unsent) :]

    def receive(self) -> bool:
        """Whether the transaction is over; a 100 sends the rest of the request."""
        data = self.socket.recv(_RECEIVE)
        if not data:
            raise WrongAnswer("the server closed the connection within a transaction")
        try:
            complete = self._answer.feed(data)
            if complete and self._answer.status == 100:
                self._continue()
                complete = self._answer.feed(self._behind_100)
        except ValueError as error:
            raise WrongAnswer(str(error)) from None
        # Squid would leave the rest of a request that is answered early; no server here does that.
        if complete and self.wants_to_send:
            raise WrongAnswer("answered before the request was sent")
        return complete

    def _continue(self) -> None:
        self._part += 1
        if self._part >= len(self._parts):
            raise WrongAnswer("100 Continue to a request that has no rest")
        self._behind_100, self._answer = self._answer.behind_100, Answer()
        self._unsent = memoryview(self._parts[self._part])
        self.send()

    def check(self) -> None:
        self._check(self._answer)


def run_load(
    port: int,
    parts: Sequence[bytes],
    check: Check,
    *,
    seconds: float,
    connections: int,
    warm_up: int = 1,
    started: Callable[[], None] = lambda: None,
    ended: Callable[[], None] = lambda: None,
) -> Load:
    """Load one server for so long; `started` and `ended` are called at the edges of what is counted.

    Before it begins each connection has had `warm_up` transactions. Raises WrongAnswer.
    """
    poll = select.epoll()
    conversations = {
        c.socket.fileno(): c for c in (_Conversation(port, parts, check) for _ in range(connections))
    }
    try:
        for descriptor in conversations:
            poll.register(descriptor, select.EPOLLIN)
        for _ in range(warm_up):
            _drive(poll, conversations, 0.0)
        started()
        load = _drive(poll, conversations, seconds)
        ended()
        return load
    except OSError as error:
        raise WrongAnswer(f"the connection broke: {error}") from error
    finally:
        poll.close()
        for conversation in conversations.values():
            conversation.socket.close()


def _drive(poll: select.epoll, conversations: dict[int, _Conversation], seconds: float) -> Load:
    """Transactions until the time is over and those under way are answered; at least one per connection."""
    load = Load()
    cpu, began = time.process_time(), time.perf_counter()
    writing: set[int] = set()
    for descriptor, conversation in conversations.items():
        conversation.begin()
        _watch(poll, writing, descriptor, conversation)
    under_way, until = len(conversations), began + seconds
    while under_way:
        events = poll.poll(PATIENCE)
        if not events:
            raise WrongAnswer(f"no answer in {PATIENCE:.0f} s")
        for descriptor, event in events:
            conversation = conversations[descriptor]
            if event & select.EPOLLOUT:
                conversation.send()
            if event & ~select.EPOLLOUT and conversation.receive():
                now = time.perf_counter()
                load.latencies.append(now - conversation.began)
                conversation.check()
                if now < until:
                    conversation.begin()
                else:
                    under_way -= 1
            if conversation.wants_to_send or descriptor in writing:
                _watch(poll, writing, descriptor, conversation)
    load.seconds, load.client_cpu = time.perf_counter() - began, time.process_time() - cpu
    return load


def _watch(poll: select.epoll, writing: set[int], descriptor: int, conversation: _Conversation) -> None:
    """Ask for room to send only while there is something to send."""
    if conversation.wants_to_send and descriptor not in writing:
        writing.add(descriptor)
        poll.modify(descriptor, select.EPOLLIN | select.EPOLLOUT)
    elif not conversation.wants_to_send and descriptor in writing:
        writing.discard(descriptor)
        poll.modify(descriptor, select.EPOLLIN)
