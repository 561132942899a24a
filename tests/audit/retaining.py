"""Trails to purge: records of all classes, and what has become of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit_records import FINDING, NOON, make_record
from support.trail import Trail

from icapd.audit import AuditRecord
from icapd.audit.database import Database
from icapd.audit.evidence.notes import load_or_create_signer
from icapd.audit.retention import purge as purging
from icapd.audit.retention.classes import Cutoffs
from icapd.audit.retention.keys import Keys
from icapd.audit.retention.purge import Outcome

#: Microseconds.
DAY = 86_400_000_000
#: Behind all records, and behind all that is written now, too.
AFTER_RECORDS, AFTER_ALL = NOON + 10 * DAY, 4_000_000_000_000_000
#: Of so many records one has a finding.
EACH = 10


def records(count: int, at: int = NOON, **changes: Any) -> Iterator[AuditRecord]:
    """Of all but one in EACH nothing is to be told; a millisecond apart."""
    for number in range(count):
        findings = (FINDING,) if number % EACH == EACH - 1 else ()
        verdict = "redacted" if findings else "allowed"
        yield make_record(occurred_at=at + number * 1000, findings=findings, verdict=verdict, **changes)


@dataclass(frozen=True)
class Kept:
    """A trail, and what purges it."""

    trail: Trail

    @property
    def database(self) -> Database:
        return Database.parse(self.trail.url)

    @property
    def keys(self) -> Keys:
        signing_key = Path(self.trail.settings.signing_key)
        load_or_create_signer(signing_key)
        return Keys.load(signing_key)

    def write(self, count: int, at: int = NOON, **changes: Any) -> int:
        """By a writer of its own, which is shipped; returns the writer."""
        with self.trail.writer() as writer:
            writer.write_all(("final", record) for record in records(count, at, **changes))
        self.trail.ship()
        return writer.writer_id

    def purge(self, archive: Path | None = None, **cutoffs: int) -> Outcome:
        outcome = Outcome()
        for _ in purging.purge(self.database, self.keys, Cutoffs(**cutoffs), outcome, archive):
            pass
        return outcome

    def count(self, table: str = "audit_event") -> int:
        ((count,),) = self.trail.rows(f"SELECT count(*) FROM {table}")
        return int(count)

    def stretches(self) -> list[tuple[int, int]]:
        """Of all writers, the numbers that went."""
        found = self.trail.rows("SELECT first_seq, last_seq FROM audit_purge ORDER BY writer_id, first_seq")
        return [(first, last) for first, last in found]
