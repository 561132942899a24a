"""Partitions of PostgreSQL of which all rows may go: these are dropped, which is done in no time.

Not with DETACH ... CONCURRENTLY, which PostgreSQL refuses where there is a DEFAULT partition; who writes
waits for the lock on the table no longer than `LOCK` says, and retention gives up then.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, and_, exists, func, not_, select, text

from icapd.audit import instants, partitions
from icapd.audit.retention.classes import MEMBERS, Cutoffs, may_go
from icapd.audit.retention.holds import Hold, held
from icapd.audit.tables import audit_event, audit_finding

#: Seconds to wait for those who read the tables.
LOCK = 5


@dataclass(frozen=True, slots=True)
class Part:
    """The partition of a table; of audit_event along with that of its findings."""

    table: Table
    #: By its table's name.
    names: dict[str, str]
    #: Microseconds: from here, to before this.
    since: int
    until: int

    def within(self, table: Table) -> ColumnElement[bool]:
        """The rows of its time."""
        at = table.c.occurred_at
        return and_(at >= self.since, at < self.until)


def find(connection: Connection, cutoffs: Cutoffs, holds: Sequence[Hold]) -> list[Part]:
    """Those of which nothing stays, as far as that can be told now; the oldest first."""
    spans = {(one.table, one.span): one.name for one in partitions.listed(connection) if one.span}
    found = []
    for (name, span), partition in spans.items():
        table = next((table for table in MEMBERS if table.name == name), None)
        if table is None or span is None:
            continue
        names = {name: partition}
        if table is audit_event:
            names[audit_finding.name] = spans.get((audit_finding.name, span), "")
        since, until = (max(0, instants.from_datetime(moment)) for moment in span)
        part = Part(table, names, since, until)
        cutoff = cutoffs.whole(table)
        is_old = cutoff is not None and until <= cutoff and all(names.values())
        if is_old and not _keeps_some(connection, part, cutoffs, holds):
            found.append(part)
    return sorted(found, key=lambda part: (part.since, part.table.name))


def drop(connection: Connection, part: Part, cutoffs: Cutoffs, holds: Sequence[Hold], proved: int) -> bool:
    """Drop it, unless it has other rows by now than those that were `proved`; returns whether it did."""
    if {one.name for one in partitions.listed(connection)}.isdisjoint(part.names.values()):
        # Another purge was faster.
        return False
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK}s'"))
    for partition in part.names.values():
        # Rows may still be read, but none comes any more.
        connection.execute(text(f"LOCK TABLE {partition} IN SHARE ROW EXCLUSIVE MODE"))
    rows = select(func.count()).select_from(part.table).where(part.within(part.table))
    if connection.execute(rows).scalar_one() != proved or _keeps_some(connection, part, cutoffs, holds):
        return False
    for table, partition in part.names.items():
        connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {partition}"))
        connection.execute(text(f"DROP TABLE {partition}"))
    return True


def _keeps_some(connection: Connection, part: Part, cutoffs: Cutoffs, holds: Sequence[Hold]) -> bool:
    table = part.table
    stays = not_(may_go(cutoffs, table, held(table, holds)))
    return bool(connection.execute(select(exists().where(part.within(table), stays))).scalar())
