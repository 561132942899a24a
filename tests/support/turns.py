"""Turns without sockets: connections that are none, and a loop that runs when it is told to."""

import re
from collections import deque
from collections.abc import Callable

from support import wire

from icapd.server.session import Session
from icapd.server.session_context import Pending, SessionContext

CLEAN = wire.respmod(wire.OK, wire.chunked(b"{}", ieof=True), Preview="1024")
EVENTS_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#: An event stream that has begun, and its end.
STREAM = wire.respmod(EVENTS_HEAD, wire.chunked(b"data: one\n\n")[:-5], path="/stream")
STREAM_END = b"0\r\n\r\n"
#: Seconds that no test takes.
LONG = 60.0


class Line:
    """A connection without a socket."""

    def __init__(self, context: SessionContext) -> None:
        self.session = Session(context, defers=True)
        self.sent = b""

    @property
    def pending(self) -> Pending | None:
        return self.session.pending

    @property
    def waits(self) -> bool:
        return self.session.pending is not None or self.session.apart is not None

    def work(self, data: bytes) -> None:
        self.sent += self.session.receive(data)
        self._work_apart()

    def settle(self, durable: bool) -> None:
        self.sent += self.session.settle(durable)
        self._work_apart()

    def _work_apart(self) -> None:
        """Whatever takes longer than it should, as anything does on a machine that has much else to do."""
        while (apart := self.session.apart) is not None:
            apart.run()
            self.sent += self.session.rejoin()

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"ICAP/1\.0 (\d{3}) ", self.sent)]


class Loop:
    """Calls what is to be called soon, when it is told to."""

    def __init__(self) -> None:
        self.calls: deque[Callable[[], None]] = deque()

    def run_once(self) -> None:
        self.calls.popleft()()

    def run(self) -> None:
        while self.calls:
            self.run_once()
