"""Reads the rows of a writer as the links of its chain: streamed, or so many at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    String,
    Table,
    extract,
    func,
    select,
    type_coerce,
)

from icapd.audit.evidence.rows import COLUMNS, FINDING_COLUMNS, Link, links_of, microseconds, number
from icapd.audit.tables import NUMBERED, audit_event, audit_finding

#: The lowest number that a column can hold, though none is below 1.
LOWEST = -(2**63)
#: Rows fetched at a time.
_BATCH = 1000


class Reader:
    """Reads from one connection. For `links`, that has to see one state of the database all along."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name
        # MariaDB's driver can't stream several results at once: there they are fetched whole.
        can_stream = self._dialect in ("sqlite", "postgresql")
        self._options: dict[str, Any] = {"yield_per": _BATCH} if can_stream else {}
        if self._dialect == "sqlite":
            # SQLite takes what is no UTF-8, too, and its driver would end at that.
            driver_connection: Any = connection.connection.driver_connection
            driver_connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")

    def links(self, writer_id: object, first: int, last: int | None) -> Iterator[Link]:
        """The writer's rows from number `first` to `last` (None: to its end), in their order."""

        def rows(table: Table, names: Sequence[str], then: str = "occurred_at") -> Iterator[Sequence[Any]]:
            key = table.c.writer_seq
            statement = select(*self._columns(table, names)).where(
                table.c.writer_id == writer_id, key >= first
            )
            if last is not None:
                statement = statement.where(key <= last)
            return self.stream(statement.order_by(key, table.c[then]))

        numbered = {table: rows(table, names) for table, names in COLUMNS.items()}
        return links_of(writer_id, numbered, rows(audit_finding, FINDING_COLUMNS, "item_no"))

    def batch(
        self, writer_id: int, table: Table, wanted: ColumnElement[bool], after: tuple[int, int], limit: int
    ) -> list[Link]:
        """Of a writer's rows in a table, the first so many, in the order of time, that are `wanted`.

        `after`: time and number of the row that they have to come behind. They are returned in the order of
        their numbers.
        """
        at, seq = table.c.occurred_at, table.c.writer_seq
        of_writer = table.c.writer_id == writer_id, wanted
        # From the beginning also what is no time, and sorts before all of them.
        behind = (at >= after[0], (at > after[0]) | (seq > after[1])) if after > (0, 0) else ()
        chosen = select(*self._columns(table, COLUMNS[table])).where(*of_writer, *behind)
        rows = self._connection.execute(chosen.order_by(at, seq).limit(limit)).all()
        findings: Sequence[Sequence[Any]] = ()
        since, until = _first_instant(rows), _first_instant(reversed(rows))
        if table is audit_event and since is not None:
            column = audit_finding.c
            statement = select(*self._columns(audit_finding, FINDING_COLUMNS)).where(
                column.writer_id == writer_id,
                column.occurred_at.between(since, until),
                column.writer_seq.in_([row[0] for row in rows]),
            )
            findings = self._connection.execute(statement).all()
        return list(
            links_of(
                writer_id,
                {table: iter(sorted(rows, key=_in_order))},
                iter(sorted(findings, key=lambda row: (*_in_order(row), number(row[2])))),
            )
        )

    def chains(self, writer_id: int, numbers: Sequence[int], times: tuple[int, int]) -> Mapping[int, object]:
        """The chains of those rows that are there; `times`: when they are likely to have occurred."""
        found: dict[int, object] = {}
        # Without an index on their numbers: by time first, which the key has; else all of the writer's.
        for is_near in (True, False):
            for table in NUMBERED:
                column = table.c
                of_writer = select(column.writer_seq, column.chain).where(column.writer_id == writer_id)
                if is_near:
                    of_writer = of_writer.where(column.occurred_at.between(*times))
                missing = [one for one in numbers if one not in found]
                for start in range(0, len(missing), _BATCH):
                    some = column.writer_seq.in_(missing[start : start + _BATCH])
                    found.update(
                        (seq, chain) for seq, chain in self._connection.execute(of_writer.where(some))
                    )
        return found

    def stream(self, statement: Select[Any]) -> Iterator[Sequence[Any]]:
        """The rows that it finds, in constant memory."""
        return iter(self._connection.execute(statement, execution_options=self._options))

    def bounds(self, writer_id: object, since: int | None, until: int | None) -> tuple[int, int] | None:
        """The lowest and the highest number of the writer's rows of that time; None when there is none."""
        lowest, highest = [], []
        for table in NUMBERED:
            statement = select(func.min(table.c.writer_seq), func.max(table.c.writer_seq))
            statement = statement.where(table.c.writer_id == writer_id)
            if since is not None:
                statement = statement.where(table.c.occurred_at >= since)
            if until is not None:
                statement = statement.where(table.c.occurred_at < until)
            found = self._connection.execute(statement).one()
            if type(found[0]) is int and type(found[1]) is int:
                lowest.append(found[0])
                highest.append(found[1])
        return (min(lowest), max(highest)) if lowest else None

    def instant(self, column: Column[Any]) -> ColumnElement[Any]:
        """What `microseconds` reads: not what would be made of it, which might not work."""
        if self._dialect == "postgresql":
            # Also for `infinity`, which has no datetime.
            return type_coerce(extract("epoch", column) * 1_000_000, String)
        return type_coerce(column, String)

    def _columns(self, table: Table, names: Sequence[str]) -> list[ColumnElement[Any]]:
        return [table.c.writer_seq, self.instant(table.c.occurred_at), *(table.c[name] for name in names)]


def _first_instant(rows: Iterable[Sequence[Any]]) -> int | None:
    """Of those that have one."""
    return next((found for row in rows if (found := microseconds(row[1])) is not None), None)


def _in_order(row: Sequence[Any]) -> tuple[int, str]:
    """By number; the findings of a number that is there twice stand together, too."""
    return number(row[0]), str(row[1])
