"""The process that ships audit records, as the supervisor sees it: one, started again when it has died."""

import asyncio
import os
import signal
import time
from collections.abc import Callable

import structlog

from icapd.server.supervision import backoff, channel
from icapd.server.supervision.channel import Channel
from icapd.server.supervision.messages import Drain, Message, Shipped, Start

log = structlog.get_logger()

#: The program.
MODULE = "icapd.server.shipping"
#: Seconds without a word after which the database counts as one that does not answer.
SILENCE = 5.0
#: Seconds beyond its time that it gets at the end; then the next server ships what is left.
_KILL_AFTER = 5.0


class ShippingProcess:
    """Kept alive from `start` to `stop`."""

    def __init__(self, start: Start, on_report: Callable[[Shipped], None]) -> None:
        self._start = start
        self._on_report = on_report
        self._deaths = 0
        self._pidfd = -1
        self._pid = 0
        self._channel: Channel | None = None
        self._since = 0.0
        self._stopping = False
        self._ended = asyncio.Event()
        #: What it last told, and when by the clock that only goes forward.
        self.state = Shipped()
        self._heard = time.monotonic()

    @property
    def problem(self) -> str:
        """Why records don't reach the database; "" when they do."""
        if self._pidfd < 0:
            return "the process that ships its records has ended, and is being started again"
        if self.state.problem:
            return self.state.problem
        silent = time.monotonic() - self._heard
        return f"the audit database has not answered for {silent:.0f} s" if silent > SILENCE else ""

    def start(self) -> None:
        """Start the process if there is none, now or when the system lets us."""
        if self._pidfd >= 0:
            return
        self._stopping = False
        self._ended.clear()
        self._loop = asyncio.get_running_loop()
        try:
            self._spawn()
        except OSError as error:
            self._start_again(f"can't be started: {error.strerror}")

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109 (for what is left, not for this call)
        """Have it ship what is left within `timeout` seconds, and wait until it has ended."""
        self._stopping = True
        if self._pidfd < 0:
            return
        assert self._channel is not None
        self._channel.send(Drain(timeout, retire=False))
        try:
            async with asyncio.timeout(timeout + _KILL_AFTER):
                await self._ended.wait()
        except TimeoutError:
            # A database that does not answer: the outboxes keep what is left.
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            await self._ended.wait()

    def _spawn(self) -> None:
        ours, theirs = channel.pair()
        with theirs:
            try:
                self._pid = channel.spawn(MODULE, theirs)
            except OSError:
                ours.close()
                raise
        self._pidfd = os.pidfd_open(self._pid)
        self._since = time.time()
        self._channel = Channel(ours, self._receive, lambda: None)
        self._loop.add_reader(self._pidfd, self._end)
        self._channel.send(self._start)

    def _receive(self, message: Message, descriptor: int | None) -> None:
        if isinstance(message, Shipped):
            self.state, self._heard = message, time.monotonic()
            self._on_report(message)

    def _end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        _, status = os.waitpid(self._pid, 0)
        assert self._channel is not None
        self._channel.receive_rest()
        self._channel.close()
        self._ended.set()
        if not self._stopping:
            self._start_again(f"ended with status {os.waitstatus_to_exitcode(status)}")

    def _start_again(self, problem: str) -> None:
        self._deaths = backoff.deaths_in_a_row(self._deaths, time.time() - self._since)
        seconds = backoff.delay(self._deaths)
        log.error("shipping-ended", problem=problem, restart_in=seconds)
        self._loop.call_later(seconds, self._restart)

    def _restart(self) -> None:
        if not self._stopping:
            self.start()
