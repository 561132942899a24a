"""An audit trail without a server: outboxes, a database, and shipping in between when a test asks for it."""

import sys
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.databases import make_tables

from icapd.audit import AuditRecord, AuditWriter
from icapd.audit.database import Database
from icapd.audit.evidence import notary_for
from icapd.audit.evidence.faults import Report
from icapd.audit.evidence.notes import load_or_create_signer
from icapd.audit.evidence.verify import verify
from icapd.audit.search import Filters, search
from icapd.audit.shipping.destination import Destination
from icapd.audit.shipping.shipper import Shipper
from icapd.settings import Audit

#: Bytes of an outbox.
LIMIT = 2**30


def tally(told: Collection[str], stored: Collection[str]) -> tuple[int, int]:
    """How many of the ids that were told of are lost, and how many are there more than once; printed, too."""
    lost, doubled = len(set(told) - set(stored)), len(stored) - len(set(stored))
    sys.stdout.write(f"told {len(told)}, stored {len(stored)}, lost {lost}, doubled {doubled}\n")
    return lost, doubled


@dataclass(frozen=True)
class Trail:
    """The directory of the outboxes, and the address of the database, which has the tables."""

    outbox: Path
    url: str

    @classmethod
    def make(cls, directory: Path, url: str = "") -> "Trail":
        """`url`: of an empty database; a SQLite file in the directory unless given."""
        url = url or f"sqlite:///{directory}/icapd.db"
        make_tables(url)
        outbox = directory / "outbox"
        outbox.mkdir()
        return cls(outbox, url)

    def writer(self, **options: Any) -> AuditWriter:
        return AuditWriter.open(
            self.outbox, **({"max_size": LIMIT, "mode": "relaxed", "role": "command"} | options)
        )

    def shipper(self) -> Shipper:
        return Shipper(
            self.outbox, Destination(Database.parse(self.url).bounded()), notary_for(self.settings)
        )

    @property
    def settings(self) -> Audit:
        """As they would be in a file."""
        key = str(self.outbox.parent / "signing.key")
        return Audit(database_url=self.url, outbox=str(self.outbox), signing_key=key)

    def ship(self) -> int:
        """All that the outboxes hold; returns how many entries that was."""
        count = 0
        with closing(self.shipper()) as shipper:
            while (shipped := shipper.round()) or shipper.backlog().entries:
                count += shipped
            # Files of the dead go when there is nothing more.
            shipper.round()
        return count

    def records(self) -> list[AuditRecord]:
        """What is in the database, newest first, once all is shipped."""
        self.ship()
        return list(search(self.url, Filters()))

    def write(self, *records: AuditRecord) -> None:
        """By a writer of their own."""
        with self.writer() as writer:
            for record in records:
                writer.write(record)

    def verify(self, **options: Any) -> Report:
        """What `icapd audit verify` has to say of the database, by its own key."""
        verifier = load_or_create_signer(Path(self.settings.signing_key)).verifier
        return verify(self.url, {verifier.id: verifier}, **options)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a statement finds in the database as it is."""
        with Database.parse(self.url).read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement)]
