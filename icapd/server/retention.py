"""What the shipping process purges by itself, once a day, as [audit] retention_allowed and its like have it.

In a thread of its own: nothing waits for it, least of all what is to be shipped.
"""

import threading
import time
from collections.abc import Generator
from pathlib import Path

import structlog

from icapd.audit import deeds
from icapd.audit.database import Database
from icapd.audit.retention import purge
from icapd.audit.retention.classes import Cutoffs
from icapd.audit.retention.keys import Keys
from icapd.audit.retention.purge import Outcome
from icapd.errors import AuditError
from icapd.server.supervision.messages import told
from icapd.server.telemetry.internal_error import log_internal_error
from icapd.settings import Audit

log = structlog.get_logger()

#: Seconds from the end of one run to the next, and after one that failed.
INTERVAL, AGAIN = 86_400.0, 3600.0
#: Seconds between two looks whether it is time, and that a step gets to end.
_LOOK, _LAST = 5.0, 5.0


class Retention:
    """`work` is a step; `start` has a thread do them all until `close`."""

    def __init__(self, audit: Audit) -> None:
        """Raises AuditError for an address that is none."""
        self._audit = audit
        self._database = Database.parse(audit.database_url).bounded()
        self._due = 0.0
        self._steps: Generator[int, None, None] | None = None
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="icapd-retention", daemon=True)
        #: What a person should see to; "" when there is nothing.
        self.problem = ""

    def start(self) -> None:
        """Work in a thread, if there is anything that ever may go."""
        if self._cutoffs():
            self._thread.start()

    def work(self) -> bool:
        """One step, if it is time; returns whether there was any. Errors are in `problem`."""
        if self._steps is None:
            cutoffs = self._cutoffs()
            if not cutoffs or time.monotonic() < self._due:
                return False
            self._steps = self._run(cutoffs)
        try:
            if next(self._steps, None) is not None:
                return True
            seconds = INTERVAL
        except AuditError as error:
            self._tell(told(error))
            seconds = AGAIN
        except Exception as error:
            # Nobody waits for this thread: were it to end, nothing would ever be purged, and nobody told.
            log_internal_error(error)
            self._tell(f"retention: internal error ({type(error).__name__}); the log has its place")
            seconds = AGAIN
        self._steps, self._due = None, time.monotonic() + seconds
        return True

    def close(self) -> None:
        """What was begun is on record as far as it got; another run goes on."""
        self._is_closed.set()
        if self._thread.is_alive():
            self._thread.join(_LAST)
        elif self._steps is not None:
            self._steps.close()

    def _loop(self) -> None:
        while not self._is_closed.is_set():
            if not self.work():
                self._is_closed.wait(_LOOK)
        if self._steps is not None:
            self._steps.close()

    def _cutoffs(self) -> Cutoffs:
        return Cutoffs.of(self._audit, time.time_ns() // 1000)

    def _run(self, cutoffs: Cutoffs) -> Generator[int, None, None]:
        keys = Keys.load(Path(self._audit.signing_key))
        outcome = Outcome()
        if purge.is_due(self._database, keys, cutoffs):
            archive = Path(self._audit.retention_archive) if self._audit.retention_archive else None
            asked = cutoffs.told(archive)
            with deeds.on_record(self._audit, purge.ACTION, asked, is_long=True, is_server=True) as deed:
                try:
                    yield from purge.purge(self._database, keys, cutoffs, outcome, archive)
                finally:
                    deed.outcome = outcome.told()
            log.info("purged", **outcome.told())
        self._tell(outcome.problem)

    def _tell(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("retention-needs-care", problem=problem)
        self.problem = problem
