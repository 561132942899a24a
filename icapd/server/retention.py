"""What the shipping process purges by itself, once a day, as [audit] retention_allowed and its like have it.

A step at a time, between the batches that it ships: nothing waits for it.
"""

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
from icapd.settings import Audit

log = structlog.get_logger()

#: Seconds from the end of one run to the next, and after one that failed.
INTERVAL, AGAIN = 86_400.0, 3600.0


class Retention:
    """`work` whenever there is time; it knows what is due."""

    def __init__(self, audit: Audit) -> None:
        """Raises AuditError for an address that is none."""
        self._audit = audit
        self._database = Database.parse(audit.database_url)
        self._due = 0.0
        self._steps: Generator[int, None, None] | None = None
        #: What a person should see to; "" when there is nothing.
        self.problem = ""

    def work(self) -> None:
        """One step; errors are in `problem`."""
        if self._steps is None:
            cutoffs = Cutoffs.of(self._audit, time.time_ns() // 1000)
            if not cutoffs or time.monotonic() < self._due:
                return
            self._steps = self._run(cutoffs)
        try:
            if next(self._steps, None) is not None:
                return
            seconds = INTERVAL
        except AuditError as error:
            self._tell(told(error))
            seconds = AGAIN
        self._steps, self._due = None, time.monotonic() + seconds

    def close(self) -> None:
        """What was begun is on record as far as it got; another run goes on."""
        if self._steps is not None:
            self._steps.close()

    def _run(self, cutoffs: Cutoffs) -> Generator[int, None, None]:
        keys = Keys.load(Path(self._audit.signing_key))
        outcome = Outcome()
        if purge.is_due(self._database, keys, cutoffs):
            archive = Path(self._audit.retention_archive) if self._audit.retention_archive else None
            with deeds.on_record(self._audit, purge.ACTION, cutoffs.told(archive), is_long=True) as deed:
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
