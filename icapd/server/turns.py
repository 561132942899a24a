"""The work of all connections of a worker in turns, with one commit for the records of each.

Between two turns the event loop looks for new bytes, so that an OPTIONS, which needs no turn, is answered
however much work waits. A commit costs about the same for one record as for ten. Where it waits for a disk or
a database it is made *aside*, by a thread: one at a time, while turns go on and what they bring waits for the
next.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import compress
from typing import NamedTuple, Protocol

from icapd.audit import AuditRecord, Commit, Phase
from icapd.errors import AuditBusyError
from icapd.server.session_context import Pending, SessionContext
from icapd.server.telemetry.internal_error import log_internal_error

#: Seconds after which a turn ends, whatever still waits; one piece of work is never cut.
TURN = 0.005
#: Records in one commit.
MAX_RECORDS = 64

_OVERDUE = AuditBusyError("not kept in time; `icapd status` tells how the disk and the database are")


class Working(Protocol):
    """A connection, as far as turns need to know."""

    @property
    def pending(self) -> Pending | None:
        """The record that its next reply waits for."""

    @property
    def waits(self) -> bool:
        """Whether what it sends has to wait: for that record, or for work that is apart."""

    def work(self, data: bytes) -> None:
        """Take the data in; `pending` may be set then."""

    def settle(self, durable: bool) -> None:
        """What was pending has been written, or could not be; `pending` may be set anew."""

    def abort(self, reason: str) -> None:
        """End now, whatever is under way."""


#: Has a commit made in a thread, and the second called on the event loop with what that raised, or None.
#: The third is called if it takes longer than a record may.
Aside = Callable[[Commit, Callable[[Exception | None], None], Callable[[], None]], None]


class _Flight(NamedTuple):
    """A commit on its way, and who waits for it."""

    commit: Commit
    staged: list[Working]
    entries: list[tuple[Phase, AuditRecord]]
    since: float


class Turns:
    """A queue of bytes that wait to be looked at."""

    def __init__(
        self,
        context: SessionContext,
        max_delay: float,
        call_soon: Callable[[Callable[[], None]], object],
        turn: float = TURN,
        aside: Aside | None = None,
    ) -> None:
        """`max_delay`: seconds that bytes may wait before what begins with them counts as overload.

        `turn`: seconds after which a turn ends. Without `aside`, turns wait for commits.
        """
        self._context = context
        self._audit_clock = context.metrics.stage("audit")
        self._max_delay = max_delay
        self._turn = turn
        self._call_soon = call_soon
        self._aside = aside
        self._queue: deque[tuple[Working, bytes, float]] = deque()
        #: In their order; the values say nothing.
        self._staged: dict[Working, None] = {}
        #: What has come from those that wait, in its order.
        self._behind: dict[Working, list[tuple[Working, bytes, float]]] = {}
        self._flight: _Flight | None = None
        #: Whether nobody waits for it any more.
        self._is_overdue = False
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
        self._staged[connection] = None
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
            connection, data, since = piece = self._queue.popleft()
            if connection.waits:
                # What it sent before comes first: it may have sent several requests at once.
                self._behind.setdefault(connection, []).append(piece)
                continue
            self._waited = time.monotonic() - since
            try:
                connection.work(data)
            except Exception as error:
                abort_defective(connection, error)
            if _is_pending(connection):
                self._staged[connection] = None
            if time.monotonic() >= end:
                break
        self._waited = 0.0
        self._commit()
        self._go_on()

    def _go_on(self) -> None:
        # With as many records as a commit takes, turns wait for the commit that is on its way.
        if self._queue and len(self._staged) < MAX_RECORDS:
            self._call()

    def _commit(self) -> None:
        """Have what is pending written; what becomes pending by that waits for the next turn."""
        if self._flight is not None and not self._is_overdue:
            return
        entries, staged = [], []
        for connection in self._staged:
            if (pending := connection.pending) is not None:
                staged.append(connection)
                entries.append((pending.phase, pending.record))
            else:
                # It has ended meanwhile.
                self.release(connection)
        self._staged = {}
        if not entries:
            return
        if self._aside is None:
            self._settle(staged, entries, self._written(entries))
            return
        if self._is_overdue:
            self._settle(staged, entries, self._refused(entries))
            return
        since = time.perf_counter()
        try:
            commit = self._context.audit.prepare(entries)
        except Exception as error:
            self._settle(staged, entries, self._written_anew(entries, error, len(entries)))
        else:
            self._flight = _Flight(commit, staged, entries, since)
            self._aside(commit, self._landed, self._overdue)

    def _landed(self, error: Exception | None) -> None:
        flight, self._flight = self._flight, None
        assert flight is not None
        was_overdue, self._is_overdue = self._is_overdue, False
        if not was_overdue:
            if error is None:
                self._observe(flight.since, len(flight.entries))
                durable = [True] * len(flight.entries)
            else:
                durable = self._wanted_anew(flight, error)
            self._settle(flight.staged, flight.entries, durable)
        self._commit()
        self._go_on()

    def _overdue(self) -> None:
        """Nobody waits for the commit any longer: what it was for, and what comes, meets the fail mode."""
        flight = self._flight
        if flight is None or not flight.commit.give_up():
            return
        self._is_overdue = True
        for phase, record in flight.entries:
            if phase == "open" and self._context.blocks_unrecorded:
                # It will be there, and its message is over.
                self._context.audit.cuts.add(record)
        self._settle(flight.staged, flight.entries, self._failed(flight.entries, _OVERDUE))
        self._commit()
        self._go_on()

    def _settle(
        self,
        staged: Sequence[Working],
        entries: Sequence[tuple[Phase, AuditRecord]],
        durable: Sequence[bool],
    ) -> None:
        for connection, (_, record), is_durable in zip(staged, entries, durable, strict=True):
            pending = connection.pending
            # While the commit was on its way it may have ended, or got more to be written.
            if pending is not None and (pending.record is record or not is_durable):
                try:
                    connection.settle(is_durable)
                except Exception as error:
                    abort_defective(connection, error)
            if _is_pending(connection):
                self.stage(connection)
            else:
                self.release(connection)

    def release(self, connection: Working) -> None:
        """Unless it still waits, what it has sent meanwhile has its turn next, before what came later."""
        if not connection.waits and (pieces := self._behind.pop(connection, None)):
            self._queue.extendleft(reversed(pieces))
            self._call()

    def _written(self, entries: Sequence[tuple[Phase, AuditRecord]]) -> list[bool]:
        """Which of the records are durable now: all, unless one of them, or the database, is at fault."""
        began = time.perf_counter()
        try:
            self._context.audit.write_all(entries)
        except Exception as error:
            return self._written_anew(entries, error, len(entries))
        self._observe(began, len(entries))
        return [True] * len(entries)

    def _written_anew(
        self, entries: Sequence[tuple[Phase, AuditRecord]], error: Exception, together: int
    ) -> list[bool]:
        """The same of those that could not be written, so many of them together."""
        # Behind another program's lock, each alone would wait as long as all of them together.
        if together > 1 and not isinstance(error, AuditBusyError):
            return [durable for entry in entries for durable in self._written([entry])]
        return self._failed(entries, error)

    def _wanted_anew(self, flight: _Flight, error: Exception) -> list[bool]:
        """The same of those that were on their way.

        Who has ended meanwhile has written what takes the place of its record, and who got more to be written
        waits for that: the record as it was would come behind it.
        """
        pendings = [connection.pending for connection in flight.staged]
        wanted = [
            pending is not None and pending.record is record
            for pending, (_, record) in zip(pendings, flight.entries, strict=True)
        ]
        entries = list(compress(flight.entries, wanted))
        anew = iter(self._written_anew(entries, error, together=len(wanted)))
        return [next(anew) if is_wanted else True for is_wanted in wanted]

    def _refused(self, entries: Sequence[tuple[Phase, AuditRecord]]) -> list[bool]:
        """None of them: they would wait behind a commit that nobody waits for."""
        self._context.audit.refuse(_OVERDUE)
        return self._failed(entries, _OVERDUE)

    def _failed(self, entries: Sequence[tuple[Phase, AuditRecord]], error: Exception) -> list[bool]:
        for _, record in entries:
            self._context.note_unrecorded(record, error)
        return [False] * len(entries)

    def _observe(self, began: float, records: int) -> None:
        share = (time.perf_counter() - began) / records
        for _ in range(records):
            self._audit_clock.observe(share)

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
