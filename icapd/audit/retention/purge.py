"""Purges what is old enough and not held: whole partitions where all of one may go, the rest batch by batch.

Each step is a transaction that leaves the trail whole; killed at any moment, the next run goes on.
"""

from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Table, and_, exists, func, select

from icapd.audit.database import Database
from icapd.audit.evidence.purges import Purge
from icapd.audit.retention import batches, holds, units, whole_partitions, whole_writers
from icapd.audit.retention.archive import Archive, archived
from icapd.audit.retention.batches import Batch
from icapd.audit.retention.classes import MEMBERS, Class, Cutoffs, may_go
from icapd.audit.retention.holds import Hold
from icapd.audit.retention.keys import Keys
from icapd.audit.retention.stretches import joined
from icapd.audit.retention.transactions import reading, transaction
from icapd.audit.retention.units import Unit
from icapd.audit.retention.whole_partitions import Part
from icapd.audit.tables import audit_checkpoint, audit_shipment

#: What is done, in audit_admin.
ACTION = "purge"
#: Of each step, how many rows it took.
Steps = Iterator[int]


@dataclass(slots=True)
class Outcome:
    """What was done so far."""

    rows: int = 0
    #: Rows that should have gone and stay: they are not what their chain says.
    refused: int = 0
    partitions: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)

    def told(self) -> dict[str, object]:
        """For records and programs."""
        return asdict(self)

    @property
    def problem(self) -> str:
        """What a person should see to; "" when there is nothing."""
        if not self.refused:
            return ""
        return (
            f"{self.refused} rows that are old enough stay, for they are not what their chain says; run"
            " `icapd audit verify`, and give an older key of the trail with --public-key"
        )


@dataclass(frozen=True, slots=True)
class Due:
    """What would go now."""

    #: By class; and how many more would, were they not held.
    rows: dict[Class, int]
    held: int

    @property
    def total(self) -> int:
        return sum(self.rows.values())


def due(database: Database, keys: Keys, cutoffs: Cutoffs) -> Due:
    """Counted; raises AuditError."""
    counts: dict[Class, int] = {}
    held = 0
    with reading(database) as connection:
        in_force = holds.in_force(connection, keys.verifiers)
        for table in MEMBERS:
            is_held = holds.held(table, in_force)
            for name, is_due in cutoffs.due(table):
                rows = select(func.count()).select_from(table).where(is_due)
                counts[name] = counts.get(name, 0) + connection.execute(rows.where(~is_held)).scalar_one()
                if in_force:
                    held += connection.execute(rows.where(is_held)).scalar_one()
    return Due(counts, held)


def is_due(database: Database, keys: Keys, cutoffs: Cutoffs) -> bool:
    """Whether anything would go; told without counting it. Raises AuditError."""
    with reading(database) as connection:
        in_force = holds.in_force(connection, keys.verifiers)
        return any(
            connection.execute(
                select(exists().where(may_go(cutoffs, table, holds.held(table, in_force))))
            ).scalar()
            for table in MEMBERS
        ) or bool(whole_writers.find(connection, cutoffs, in_force))


def purge(
    database: Database, keys: Keys, cutoffs: Cutoffs, outcome: Outcome, archive: Path | None = None
) -> Steps:
    """Do it, step by step: yields how many rows each took; what was done is in `outcome`. Raises AuditError.

    `archive`: a directory that gets a file of the rows before they go.
    """
    yield from _Purging(database, keys, cutoffs, outcome, archive).run()


class _Purging:
    def __init__(
        self, database: Database, keys: Keys, cutoffs: Cutoffs, outcome: Outcome, archive: Path | None
    ) -> None:
        self._database = database
        self._keys = keys
        self._cutoffs = cutoffs
        self._outcome = outcome
        self._archive = archive
        #: By writer, what is to be stated of the rows of the partition that is to be dropped.
        self._pieces: dict[int, list[Purge]] = {}

    def run(self) -> Iterator[int]:
        with reading(self._database) as connection:
            in_force = self._holds(connection)
            parts = whole_partitions.find(connection, self._cutoffs, in_force)
            whole = [units.of_partition(connection, part) for part in parts]
        for part, unit in zip(parts, whole, strict=True):
            self._pieces.clear()
            proved = yield from self._take(unit)
            if self._drop(part, proved):
                self._outcome.rows += proved
                self._outcome.partitions += part.names.values()
        with reading(self._database) as connection:
            wanted = {table: self._wanted(connection, table) for table in MEMBERS}
            rest = list(units.of_writers(connection, wanted))
        for unit in rest:
            yield from self._take(unit)
        with reading(self._database) as connection:
            ended = whole_writers.find(connection, self._cutoffs, self._holds(connection))
        for writer_id in ended:
            yield from self._take(units.of_whole_writer(writer_id))

    def _take(self, unit: Unit) -> Generator[int, None, int]:
        """What may go of a unit, archived before if that is wanted; returns how many rows that were."""
        file = None
        if self._archive is not None:
            with reading(self._database) as connection:
                wanted = {table: self._wanted(connection, table, unit) for _, table in unit.work}
            file = yield from archived(self._database, self._keys, self._archive, unit, wanted)
            if file is None:
                return 0
            self._outcome.archives.append(file.path.name)
        taken = 0
        try:
            for writer_id, table in unit.work:
                taken += yield from self._take_rows(writer_id, table, unit, file)
        finally:
            if file is not None:
                file.close()
        return taken

    def _take_rows(
        self, writer_id: int, table: Table, unit: Unit, file: Archive | None
    ) -> Generator[int, None, int]:
        may = file.has(writer_id) if file is not None else lambda _: True
        after: tuple[int, int] | None = batches.START
        taken = 0
        while after is not None:
            with transaction(self._database) as connection:
                wanted = self._wanted(connection, table, unit)
                is_whole = unit.is_whole_writer
                if is_whole and not whole_writers.has_no_other(connection, writer_id, wanted):
                    return taken
                is_chained = _is_chained(connection, writer_id)
                batch = batches.take(
                    connection,
                    *(self._keys, writer_id, table, wanted, after),
                    is_chained=is_chained,
                    is_kept=unit.part is not None,
                    is_end=is_whole and is_chained,
                    may=may,
                )
                if is_whole:
                    whole_writers.forget(connection, writer_id)
            if batch.pieces:
                self._pieces[writer_id] = list(joined([*self._pieces.get(writer_id, ()), *batch.pieces]))
            after = batch.after
            taken += batch.gone
            if unit.part is None:
                self._count(batch)
            yield batch.gone
        return taken

    def _wanted(self, connection: Connection, table: Table, unit: Unit | None = None) -> ColumnElement[bool]:
        """By what is held just now, for somebody may have put a hold since the batch before."""
        in_force = self._holds(connection)
        if unit is not None and unit.is_whole_writer:
            return whole_writers.frame(self._cutoffs, in_force)
        wanted = may_go(self._cutoffs, table, holds.held(table, in_force))
        return wanted if unit is None else and_(wanted, unit.within(table))

    def _count(self, batch: Batch) -> None:
        self._outcome.refused += batch.refused
        self._outcome.rows += batch.gone

    def _drop(self, part: Part, proved: int) -> bool:
        with transaction(self._database) as connection:
            in_force = self._holds(connection)
            is_dropped = whole_partitions.drop(connection, part, self._cutoffs, in_force, proved)
            if is_dropped:
                for writer_id, pieces in self._pieces.items():
                    batches.state(connection, self._keys, writer_id, pieces)
        return is_dropped

    def _holds(self, connection: Connection) -> list[Hold]:
        return holds.in_force(connection, self._keys.verifiers)


def _is_chained(connection: Connection, writer_id: int) -> bool:
    """Not, for an icapd before revision 0003: as `evidence.judgement` tells them."""
    return any(
        connection.execute(select(table.c.writer_id).where(table.c.writer_id == writer_id).limit(1)).first()
        for table in (audit_shipment, audit_checkpoint)
    )
