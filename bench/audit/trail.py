"""A trail to measure with: outboxes that are filled as workers fill theirs, and what ships them."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

from icapd.audit import AuditRecord, AuditWriter, migrations, notary_for, partitions
from icapd.audit.database import Database
from icapd.audit.partitions import Period
from icapd.audit.shipping.destination import Destination
from icapd.audit.shipping.shipper import Shipper
from icapd.settings import Audit

_T = TypeVar("_T")

#: Records in one commit of an outbox.
_COMMIT = 500
#: Bytes of an outbox.
LIMIT = 2**40


@dataclass(frozen=True)
class Trail:
    """A directory of outboxes, and a database with the tables and with partitions for now."""

    audit: Audit

    @classmethod
    def make(cls, directory: Path, url: str, period: Period = "month") -> Self:
        """In a directory of its own."""
        audit = Audit(
            database_url=url,
            outbox=str(directory / "outbox"),
            signing_key=str(directory / "signing.key"),
            partitions=period,
        )
        migrations.upgrade(url)
        partitions.make(Database.parse(url), period, datetime.now(UTC))
        Path(audit.outbox).mkdir(parents=True)
        return cls(audit)

    @property
    def outbox(self) -> Path:
        return Path(self.audit.outbox)

    def fill(self, records: Iterable[AuditRecord]) -> None:
        """Write them by one writer, and end it."""
        with AuditWriter.open(self.outbox, max_size=LIMIT, mode="relaxed", role="worker") as writer:
            for some in in_batches(records, _COMMIT):
                writer.write_all(("final", record) for record in some)

    def shipper(self) -> Shipper:
        destination = Destination(Database.parse(self.audit.database_url))
        return Shipper(self.outbox, destination, notary_for(self.audit))

    def drain(self) -> None:
        """Ship everything, with the last checkpoint."""
        with closing(self.shipper()) as shipper:
            while shipper.round() or shipper.backlog().entries:
                pass
            shipper.round()


def in_batches(things: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Of so many; the last one has the rest."""
    rest = iter(things)
    while some := list(islice(rest, size)):
        yield some
