"""What is purged, and archived, at a time: a partition, what may go of one writer, or the last of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, select, true

from icapd.audit.retention.whole_partitions import Part
from icapd.audit.tables import audit_admin


@dataclass(frozen=True, slots=True)
class Unit:
    """Rows by writer and table."""

    #: Stands in the name of its archive.
    name: str
    work: tuple[tuple[int, Table], ...]
    part: Part | None = None
    #: Whether these are the last rows of a writer, with which it goes (`whole_writers`).
    is_whole_writer: bool = False

    def within(self, table: Table) -> ColumnElement[bool]:
        """What a row has to meet besides."""
        return true() if self.part is None else self.part.within(table)


def of_partition(connection: Connection, part: Part) -> Unit:
    """All rows of a partition."""
    table = part.table
    writers = select(table.c.writer_id).where(part.within(table)).distinct().order_by(table.c.writer_id)
    work = tuple((writer_id, table) for (writer_id,) in connection.execute(writers))
    return Unit(part.names[table.name], work, part)


def of_whole_writer(writer_id: int) -> Unit:
    """What is left of a writer."""
    return Unit(f"writer-{writer_id}-end", ((writer_id, audit_admin),), is_whole_writer=True)


def of_writers(connection: Connection, wanted: Mapping[Table, ColumnElement[bool]]) -> Iterator[Unit]:
    """Of each writer that has some, the rows that are wanted."""
    tables: dict[int, list[Table]] = {}
    for table, is_wanted in wanted.items():
        for (writer_id,) in connection.execute(select(table.c.writer_id).where(is_wanted).distinct()):
            tables.setdefault(writer_id, []).append(table)
    for writer_id in sorted(tables):
        yield Unit(f"writer-{writer_id}", tuple((writer_id, table) for table in tables[writer_id]))
