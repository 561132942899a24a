"""Ships the records of a server's workers to the database: `python -m icapd.server.shipping`.

A process of its own, started by the supervisor, with the channel to it as descriptor 3: whatever the database
does, no verdict waits for it. It tells how far it is each second, and ends when it is told to, with all that
is left shipped if the time suffices, or when the supervisor is gone: then the next server's goes on.
"""

import queue
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from icapd.audit.database import Database
from icapd.audit.evidence import notary_for
from icapd.audit.shipping.destination import Destination
from icapd.audit.shipping.shipper import BATCH, Shipper
from icapd.errors import AuditError
from icapd.server.retention import Retention
from icapd.server.supervision import backoff
from icapd.server.supervision.channel import receive, send_now
from icapd.server.supervision.child import begin
from icapd.server.supervision.messages import Drain, Shipped, told
from icapd.server.upkeep import Upkeep
from icapd.settings import Audit

log = structlog.get_logger()

#: Seconds between two looks for new records, while there is less than a batch of them; and where verdicts
#: wait for them, while there are none. A few cost a transaction and its syncs, and so do a thousand.
INTERVAL, STRICT_INTERVAL = 0.1, 0.005
#: Seconds between two reports.
REPORT_INTERVAL = 1.0
#: Seconds in which the last records are shipped at an end; what is left then the next server ships.
LAST = 5.0

#: The part of the room for outboxes from which on it is a problem.
_NEARLY_FULL = 0.7

#: Waits for as many seconds, or for less, when there is something to be told: then what.
Wait = Callable[[float], Drain | None]


class Shipping:
    """Ships until it is told to end."""

    def __init__(self, audit: Audit, report: Callable[[Shipped], None]) -> None:
        """Raises AuditError for an address that is none, and for a broken key."""
        self._destination = Destination(Database.parse(audit.database_url).bounded())
        self._shipper = Shipper(Path(audit.outbox), self._destination, notary_for(audit))
        self._upkeep = Upkeep(audit)
        self._retention = Retention(audit)
        self._limit = audit.outbox_limit
        #: And so many records that the next ones are looked for at once.
        self._interval, self._many = (STRICT_INTERVAL, 1) if audit.mode == "strict" else (INTERVAL, BATCH)
        self._report = report
        self._reported = 0.0
        self._shipped = 0
        self._failures = 0
        self._problem = ""

    def run(self, wait: Wait) -> None:
        """`wait` says when to end, and how long what is left may take."""
        end: float | None = None
        self._retention.start()
        try:
            while end is None or time.monotonic() < end:
                if end is None:
                    self._upkeep.work()
                count = self._round()
                if end is not None and not count:
                    break
                self._tell()
                if end is not None:
                    continue
                if (drain := wait(min(self._pause(count), REPORT_INTERVAL))) is not None:
                    end = time.monotonic() + drain.timeout
        finally:
            self._retention.close()
            self._shipper.close()

    def _pause(self, count: int) -> float:
        if self._failures:
            return backoff.delay(self._failures)
        return 0.0 if count >= self._many else self._interval

    def _round(self) -> int:
        try:
            count = self._shipper.round()
        except AuditError as error:
            self._failures += 1
            if told(error) != self._problem:
                self._problem = told(error)
                log.error("audit-not-shipped", problem=self._problem)
            return 0
        if self._failures:
            log.info("audit-shipped-again", after_failures=self._failures)
        self._failures, self._problem = 0, ""
        self._shipped += count
        return count

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._reported >= REPORT_INTERVAL:
            self._reported = now
            backlog = self._shipper.backlog()
            problems = [self._problem, *self._shipper.problems, self._upkeep.problem, self._retention.problem]
            if backlog.size >= self._limit * _NEARLY_FULL:
                problems.append(f"the outboxes hold {backlog.size} of {self._limit} bytes")
            self._report(
                Shipped(
                    shipped=self._shipped,
                    backlog=backlog.entries,
                    oldest=backlog.oldest / 1e6,
                    size=backlog.size,
                    checkpointed=self._shipper.checkpointed_at / 1e6,
                    dead_letters=self._destination.dead_letters,
                    problem="; ".join(dict.fromkeys(filter(None, problems))),
                )
            )
            self._shipped = self._destination.dead_letters = 0


class ShippingThread:
    """Ships beside the threads of a site's own server. Runs from its making on."""

    def __init__(self, audit: Audit, report: Callable[[Shipped], None]) -> None:
        """`report` is called each second, in the thread. Raises AuditError for an address that is none."""
        self._drain: queue.SimpleQueue[Drain] = queue.SimpleQueue()
        shipping = Shipping(audit, report)
        self._thread = threading.Thread(target=shipping.run, args=(self._wait,), name="icapd-shipping")
        self._thread.start()

    def stop(self) -> None:
        """Ship what is left, if that can be done in time; once is enough, and more does no harm."""
        self._drain.put(Drain(LAST, retire=False))
        self._thread.join()

    def _wait(self, seconds: float) -> Drain | None:
        try:
            return self._drain.get(timeout=seconds) if seconds else self._drain.get_nowait()
        except queue.Empty:
            return None


def waiting_on(end: socket.socket) -> Wait:
    """Waits for the supervisor's word; when the supervisor is gone, there is no time left."""

    def wait(seconds: float) -> Drain | None:
        readable, _, _ = select.select([end], [], [], seconds)
        if not readable:
            return None
        try:
            message, _ = receive(end)
        except (EOFError, OSError):
            return Drain(0, retire=False)
        return message if isinstance(message, Drain) else None

    return wait


def main() -> None:
    """What the process does."""
    begun = begin()
    if begun is None:
        return
    end, start = begun
    try:
        shipping = Shipping(start.settings.audit, lambda shipped: send_now(end, shipped))
    except AuditError as error:
        log.error("audit-not-shipped", problem=told(error))
        sys.exit(error.exit_code)
    shipping.run(waiting_on(end))


if __name__ == "__main__":
    main()
