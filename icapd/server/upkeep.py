"""What the shipping process does for the database besides: partitions are made ahead, and strays told of."""

import time
from datetime import UTC, datetime

import structlog

from icapd.audit import partitions
from icapd.audit.database import Database
from icapd.errors import AuditError
from icapd.server.supervision.messages import told
from icapd.settings import Audit

log = structlog.get_logger()

#: Seconds between two looks, and after one that failed.
INTERVAL, AGAIN = 3600.0, 60.0


class Upkeep:
    """`work` whenever there is time; it knows what is due."""

    def __init__(self, audit: Audit) -> None:
        """Raises AuditError for an address that is none."""
        self._database = Database.parse(audit.database_url).bounded()
        self._period = audit.partitions
        self._due = 0.0
        #: What a person should see to; "" when there is nothing.
        self.problem = ""

    def work(self) -> None:
        """Waits for the database, within its limits; errors are in `problem`."""
        if time.monotonic() < self._due:
            return
        try:
            if made := partitions.make(self._database, self._period, datetime.now(UTC)):
                log.info("partitions-made", partitions=made)
            problem, seconds = partitions.problem(self._database), INTERVAL
        except AuditError as error:
            problem, seconds = told(error), AGAIN
        if problem and problem != self.problem:
            log.warning("partitions-need-care", problem=problem)
        self.problem = problem
        self._due = time.monotonic() + seconds
