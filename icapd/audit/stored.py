"""Reads rows whole, oldest first, in constant memory: records with their keys and proofs, for exports.

What `search` reads is what people ask for; here are also the columns that a verifier needs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Subquery,
    Table,
    and_,
    func,
    or_,
    select,
    union_all,
)

from icapd.audit.record import AuditRecord, FindingRecord
from icapd.audit.search import EVENT_FIELDS, FINDING_FIELDS, Filters, conditions, in_time, same_key
from icapd.audit.tables import NUMBERED, audit_checkpoint, audit_event, audit_finding, audit_writer

#: Rows fetched at a time.
BATCH = 500

#: The order: of time; the rest makes that of equal times a definite one.
_ORDER = ("occurred_at", "writer_id", "writer_seq")
_PROOF = ("subject_salt", "subject_commitment", "chain", "recorded_at")

#: Which of the columns that `_events` chooses it is.
_OCCURRED_AT = 3 + len(_PROOF) + EVENT_FIELDS.index("occurred_at")

_HIGHEST = 2**63 - 1

#: A row of any audit table, by its columns; instants are integers of microseconds, bytes hexadecimal text.
PlainRow = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """A record with all that its row in audit_event has."""

    writer_id: int
    writer_seq: int
    #: The name of the server that wrote it; None where its audit_writer row is gone.
    node: str | None
    subject_salt: bytes | None
    subject_commitment: bytes | None
    chain: bytes | None
    #: Microseconds since 1970-01-01 UTC.
    recorded_at: int
    record: AuditRecord


def events(connection: Connection, filters: Filters) -> Iterator[StoredEvent]:
    """Those that match, their limit left aside; errors are the database's."""
    yield from chosen_events(connection, *conditions(filters))


def chosen_events(connection: Connection, *wanted: ColumnElement[bool]) -> Iterator[StoredEvent]:
    """Those whose rows in audit_event meet all conditions."""
    yield from _grouped(connection.execution_options(yield_per=BATCH).execute(_events(*wanted)))


def events_outside(connection: Connection, filters: Filters) -> Iterator[StoredEvent]:
    """Those of another time whose numbers lie between, or next to, those of their writers' in that time."""
    spans = _spans(filters)
    statement = _events(*_outside(filters, audit_event, spans), spans=spans)
    yield from _grouped(connection.execution_options(yield_per=BATCH).execute(statement))


def events_of_writer(
    connection: Connection, writer_id: int, numbers: range, filters: Filters
) -> Iterator[StoredEvent]:
    """Of one writer's rows with these numbers, those that match, in the order of the numbers."""
    event = audit_event.c
    of_writer = event.writer_id == writer_id, event.writer_seq.between(numbers.start, numbers.stop - 1)
    statement = _events(*of_writer, *conditions(filters), order=("writer_seq", "occurred_at"))
    yield from _grouped(connection.execution_options(yield_per=BATCH).execute(statement))


def count_events(connection: Connection, filters: Filters) -> int:
    """How many `events` are there."""
    matching = select(func.count()).select_from(audit_event).where(*conditions(filters))
    return connection.execute(matching).scalar_one()


def plain_rows(connection: Connection, table: Table, filters: Filters) -> Iterator[PlainRow]:
    """The rows of another audit table, of the filters' time where it has one, in the order of its key."""
    yield from chosen_rows(connection, table, *(in_time(filters, table) if "occurred_at" in table.c else ()))


def plain_rows_outside(connection: Connection, table: Table, filters: Filters) -> Iterator[PlainRow]:
    """The same of another numbered table."""
    spans = _spans(filters)
    joined = table.join(spans, spans.c.writer_id == table.c.writer_id)
    yield from _plain_rows(
        connection, table, select(table).select_from(joined).where(*_outside(filters, table, spans))
    )


def chosen_rows(connection: Connection, table: Table, *wanted: ColumnElement[bool]) -> Iterator[PlainRow]:
    """The rows of a table other than audit_event that meet all conditions, in the order of its key."""
    yield from _plain_rows(connection, table, select(table).where(*wanted))


def _spans(filters: Filters) -> Subquery:
    """By writer, the lowest number of its rows of the filters' time, and the first signed one behind them."""
    of_tables = (
        select(table.c.writer_id, table.c.writer_seq).where(*in_time(filters, table)) for table in NUMBERED
    )
    each = union_all(*of_tables).subquery().c
    low, high = func.min(each.writer_seq).label("low"), func.max(each.writer_seq).label("high")
    span = select(each.writer_id, low, high).group_by(each.writer_id).subquery()
    signed = audit_checkpoint.c
    behind = and_(signed.writer_id == span.c.writer_id, signed.writer_seq > span.c.high)
    end = func.coalesce(func.min(signed.writer_seq), _HIGHEST).label("end")
    joined = select(span.c.writer_id, span.c.low, end).select_from(span.outerjoin(audit_checkpoint, behind))
    return joined.group_by(span.c.writer_id, span.c.low).subquery()


def _outside(filters: Filters, table: Table, spans: Subquery) -> Iterator[ColumnElement[bool]]:
    """Rows of another time that show that nothing was cut off, nor written anew.

    Those between; two before, for the chain of the nearer one begins in the other; and behind, up to what a
    checkpoint speaks for.
    """
    at, number = table.c.occurred_at, table.c.writer_seq
    elsewhere = []
    if filters.since is not None:
        elsewhere.append(at < filters.since)
        yield number >= spans.c.low - 2
    if filters.until is not None:
        elsewhere.append(at >= filters.until)
        yield number <= spans.c.end
    yield or_(*elsewhere)


def _plain_rows(
    connection: Connection, table: Table, statement: Select[*tuple[Any, ...]]
) -> Iterator[PlainRow]:
    statement = statement.order_by(*table.primary_key)
    for row in connection.execution_options(yield_per=BATCH).execute(statement):
        values = ((name, _plain(value)) for name, value in row._mapping.items())
        yield {"table": table.name, **dict(values)}


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _events(
    *wanted: ColumnElement[bool], order: tuple[str, ...] = _ORDER, spans: Subquery | None = None
) -> Select[*tuple[Any, ...]]:
    """One row per finding, and one for an event without any; those of one event stand together."""
    columns = [
        *(audit_event.c[name] for name in ("writer_id", "writer_seq")),
        audit_writer.c.node,
        *(audit_event.c[name] for name in (*_PROOF, *EVENT_FIELDS)),
        *(audit_finding.c[name] for name in FINDING_FIELDS),
    ]
    joined = audit_event.outerjoin(audit_writer, audit_writer.c.writer_id == audit_event.c.writer_id)
    joined = joined.outerjoin(audit_finding, same_key(audit_event))
    if spans is not None:
        joined = joined.join(spans, spans.c.writer_id == audit_event.c.writer_id)
    in_order = [*(audit_event.c[name] for name in order), audit_finding.c.item_no]
    return select(*columns).select_from(joined).where(*wanted).order_by(*in_order)


def _grouped(rows: Any) -> Iterator[StoredEvent]:
    # By the whole key: a number that is there twice is two rows.
    for _, rows_of_one in groupby(rows, key=itemgetter(0, 1, _OCCURRED_AT)):
        yield _event(list(rows_of_one))


def _event(rows: list[Row[*tuple[Any, ...]]]) -> StoredEvent:
    """The event of its rows."""
    start = 3 + len(_PROOF)
    end = start + len(EVENT_FIELDS)
    writer_id, writer_seq, node, salt, commitment, chain, recorded_at = rows[0][:start]
    # The outer join gives an event without findings one row whose finding is all NULL.
    findings = tuple(FindingRecord(*row[end:]) for row in rows if row[end] is not None)
    values = dict(zip(EVENT_FIELDS, rows[0][start:end], strict=True))
    return StoredEvent(
        writer_id=writer_id,
        writer_seq=writer_seq,
        node=node,
        subject_salt=salt,
        subject_commitment=commitment,
        chain=chain,
        recorded_at=recorded_at,
        record=AuditRecord(**values, findings=findings),
    )
