"""Tells the records that come to the database, by looking at how far each writer's outbox is shipped.

A record comes long after its time when its message took long or its server was cut off; so what is new is
told by its number (`audit_shipment`), never by its time.
"""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection, func, select

from icapd.audit import schema
from icapd.audit.database import Database
from icapd.audit.search import Filters
from icapd.audit.stored import StoredEvent, events_of_writer
from icapd.audit.tables import NUMBERED, audit_event, audit_shipment

#: Microseconds by which new rows of a writer may be older than its newest and still be found by their key.
#: What began even earlier is looked for among all rows of the writer.
_USUAL_AGE = 600 * 1_000_000


class Tail:
    """What came since the last look."""

    def __init__(self, database_url: str, filters: Filters) -> None:
        """From now on; `filters`: without a limit. Raises AuditError."""
        self._database = Database.parse(database_url)
        self._filters = filters
        with self._database.read() as connection:
            schema.require_head(connection, self._database)
            self._shipped = shipped(connection)

    def look(self) -> list[StoredEvent]:
        """The new records that match, in the order of time. Raises AuditError."""
        with self._database.read() as connection:
            now = shipped(connection)
            found = [
                event
                for writer_id, last in now.items()
                if last > (before := self._shipped.get(writer_id, 0))
                for event in new_events(connection, writer_id, range(before + 1, last + 1), self._filters)
            ]
        self._shipped = now
        return sorted(found, key=lambda event: event.record.occurred_at)


def new_events(
    connection: Connection, writer_id: int, numbers: range, filters: Filters
) -> Iterator[StoredEvent]:
    """Of a writer's newest rows, which have these numbers, the records that match, in their order."""
    floor = _newest(connection, writer_id) - _USUAL_AGE
    recent = replace(filters, since=max(floor, filters.since or 0))
    if _count(connection, writer_id, numbers, floor) < len(numbers):
        recent = filters
    return events_of_writer(connection, writer_id, numbers, recent)


def shipped(connection: Connection) -> dict[int, int]:
    """By writer: up to which number its rows are there."""
    cursor = audit_shipment.c
    return {row[0]: row[1] for row in connection.execute(select(cursor.writer_id, cursor.shipped_seq))}


def _newest(connection: Connection, writer_id: int) -> int:
    statement = select(func.max(audit_event.c.occurred_at)).where(audit_event.c.writer_id == writer_id)
    return connection.execute(statement).scalar() or 0


def _count(connection: Connection, writer_id: int, numbers: range, since: int) -> int:
    """How many rows with these numbers are no older than that."""
    count = 0
    for table in NUMBERED:
        statement = select(func.count()).where(
            table.c.writer_id == writer_id,
            table.c.occurred_at >= since,
            table.c.writer_seq.between(numbers.start, numbers.stop - 1),
        )
        count += connection.execute(statement).scalar_one()
    return count
