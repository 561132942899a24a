"""The work of all connections of a worker in turns, with one commit for the records of each.

Between two turns the event loop looks for new bytes, so that an OPTIONS, which needs no turn, is answered
however much work waits. A commit costs about the same for one record as for ten.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from icapd.audit import AuditRecord, Phase
from icapd.errors import AuditBusyError
from icapd.server.session_context import Pending, SessionContext
from icapd.server.telemetry.internal_error import log_internal_error

#: Seconds after which a turn ends, whatever still waits; one piece of work is never cut.
TURN = 0.005
#: Records in one commit.
MAX_RECORDS = 64


class Working(Protocol):
    """A connection, as far as turns need to know."""

    @property
    def pending(self) -> Pending | None:
        """The record that its next reply waits for."""

    def work(self, data: bytes) -> None:
        """Take the data in; `pending` may be set then."""

    def settle(self, durable: bool) -> None:
        """What was pending has been written, or could not be; `pending` may be set anew."""

    def abort(self, reason: str) -> None:
        """End now, whatever is under way."""


class Turns:
    """A queue of bytes that wait to be looked at."""

    def __init__(
        self,
        context: SessionContext,
        max_delay: float,
        call_soon: Callable[[Callable[[], None]], object],
        turn: float = TURN,
    ) -> None:
        """`max_delay`: seconds that bytes may wait before what begins with them counts as overload.

        `turn`: seconds after which a turn ends.
        """
        self._context = context
        self._audit_clock = context.metrics.stage("audit")
        self._max_delay = max_delay
        self._turn = turn
        self._call_soon = call_soon
        self._queue: deque[tuple[Working, bytes, float]] = deque()
        self._staged: list[Working] = []
        self._is_called = False
        self._waited = 0.0
        context.metrics.queue_waiting.set_function(lambda: len(self._queue))
        context.metrics.queue_oldest.set_function(self._oldest_wait)

    def add(self, connection: Working, data: bytes) -> None:
        """Bytes that have arrived; their turn comes as soon as it can."""
        self._queue.append((connection, data, time.monotonic()))
        self._call()

    def stage(self, connection: Working) -> None:
        """A connection has got something pending outside of its turn."""
        self._staged.append(connection)
        self._call()

    def is_overloaded(self) -> bool:
        """Whether the bytes whose turn it is have waited for too long."""
        return self._waited > self._max_delay

    def _call(self) -> None:
        if not self._is_called:
            self._is_called = True
            self._call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._is_called = False
        end = time.monotonic() + self._turn
        while self._queue and len(self._staged) < MAX_RECORDS:
            connection, data, since = self._queue[0]
            if _is_pending(connection):
                # What it sent before comes first: it may have sent several requests at once.
                self._commit()
            else:
                self._queue.popleft()
                self._waited = time.monotonic() - since
                try:
                    connection.work(data)
                except Exception as error:
                    abort_defective(connection, error)
                if _is_pending(connection):
                    self._staged.append(connection)
            if time.monotonic() >= end:
                break
        self._waited = 0.0
        self._commit()
        if self._queue:
            self._call()

    def _commit(self) -> None:
        """Write what is pending; what becomes pending by that waits for the next turn."""
        entries, staged = [], []
        for connection in self._staged:
            # One that has ended meanwhile may have nothing to be written any more.
            if (pending := connection.pending) is not None:
                staged.append(connection)
                entries.append((pending.phase, pending.record))
        self._staged = []
        for connection, is_durable in zip(staged, self._written(entries), strict=True):
            try:
                connection.settle(is_durable)
            except Exception as error:
                abort_defective(connection, error)
            if _is_pending(connection):
                self.stage(connection)

    def _written(self, entries: Sequence[tuple[Phase, AuditRecord]]) -> list[bool]:
        """Which of the records are durable now: all, unless one of them, or the database, is at fault."""
        if not entries:
            return []
        began = time.perf_counter()
        try:
            self._context.audit.write_all(entries)
        except Exception as error:
            # Behind another program's lock, each alone would wait as long as all of them together.
            if len(entries) > 1 and not isinstance(error, AuditBusyError):
                return [durable for entry in entries for durable in self._written([entry])]
            for _, record in entries:
                self._context.note_unrecorded(record, error)
            return [False] * len(entries)
        share = (time.perf_counter() - began) / len(entries)
        for _ in entries:
            self._audit_clock.observe(share)
        return [True] * len(entries)

    def _oldest_wait(self) -> float:
        return time.monotonic() - self._queue[0][2] if self._queue else 0.0


def _is_pending(connection: Working) -> bool:
    # A call of its own: work and settle change the answer, which a type checker does not see.
    return connection.pending is not None


def abort_defective(connection: Working, error: Exception) -> None:
    """A defect of ours ends this connection, and no other one."""
    log_internal_error(error)
    try:
        connection.abort("internal-error")
    except Exception as another:
        log_internal_error(another)
