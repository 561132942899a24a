"""Which records someone asks for, and reading them back, newest first, in constant memory."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Row, Select, and_, exists, or_, select, text

from icapd.audit import schema
from icapd.audit.database import Database
from icapd.audit.record import SEVERITIES, AuditRecord, FindingRecord, Severity, Verdict
from icapd.audit.tables import audit_event, audit_finding

#: Rows fetched at a time.
_BATCH = 500

#: The key, in the order of results: by time; the rest makes the order of equal times a definite one.
_KEY = ("occurred_at", "writer_id", "writer_seq")
FINDING_FIELDS = [field.name for field in fields(FindingRecord)]
EVENT_FIELDS = [field.name for field in fields(AuditRecord) if field.name != "findings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a record must have to be found; None asks for nothing. Texts are compared exactly."""

    #: Instants: this one or later; before this one.
    since: int | None = None
    until: int | None = None
    host: str | None = None
    user: str | None = None
    client: str | None = None
    verdict: Verdict | None = None
    #: Of one and the same finding: its rule's id, the least it must weigh, the fingerprint of its secret: one
    #: of these, for a secret has another one under each key.
    rule: str | None = None
    severity: Severity | None = None
    fingerprint: tuple[str, ...] | None = None
    txn: str | None = None
    #: A txn_id or an event_id.
    identity: str | None = None
    #: The newest so many.
    limit: int | None = None


def search(database_url: str, filters: Filters) -> Iterator[AuditRecord]:
    """The matching records, newest first, as they were at the first one. Raises AuditError."""
    database = Database.parse(database_url)
    with database.read(waits=True) as connection:
        schema.require_head(connection, database)
        if connection.dialect.name == "postgresql":
            # Compiling a question takes it up to a second, and the answer a few milliseconds.
            connection.execute(text("SET LOCAL jit = off"))
        rows = connection.execution_options(yield_per=_BATCH).execute(_statement(filters))
        for _, rows_of_one in groupby(rows, key=lambda row: row[: len(_KEY)]):
            yield _record(list(rows_of_one))


def _statement(filters: Filters) -> Select[*tuple[Any, ...]]:
    """One row per finding, and one for an event without any; those of one event stand together."""
    chosen = _events(filters).order_by(*_newest_first(audit_event)).limit(filters.limit).subquery()
    columns = [
        *(chosen.c[name] for name in (*_KEY, *EVENT_FIELDS)),
        *(audit_finding.c[name] for name in FINDING_FIELDS),
    ]
    joined = chosen.outerjoin(audit_finding, same_key(chosen))
    return select(*columns).select_from(joined).order_by(*_newest_first(chosen), audit_finding.c.item_no)


def _events(filters: Filters) -> Select[*tuple[Any, ...]]:
    """Those that match. Where nothing but findings is asked for, the newest of these lead to them.

    Otherwise PostgreSQL may look at millions of events for a hundred that have a frequent rule's finding.
    """
    aside = replace(filters, since=None, until=None, severity=None, rule=None, fingerprint=None, limit=None)
    if filters.limit is None or aside != Filters() or not (filters.rule or filters.fingerprint):
        return select(audit_event).where(*conditions(filters))
    one, before = audit_finding.alias("one"), audit_finding.alias("before")
    # Each event once, by its first finding that matches. DISTINCT would have all of them sorted.
    is_before = same_key(one, before), before.c.item_no < one.c.item_no
    is_first = ~exists().where(*is_before, *about_findings(filters, before))
    wanted = *about_findings(filters, one), *in_time(filters, one), is_first
    newest = select(*(one.c[name] for name in _KEY)).where(*wanted).order_by(*_newest_first(one))
    keys = newest.limit(filters.limit).subquery()
    return select(audit_event).join(keys, same_key(audit_event, keys))


def conditions(filters: Filters) -> Iterator[ColumnElement[bool]]:
    """What rows of audit_event have to meet, all but the limit."""
    event = audit_event.c
    if filters.since is not None:
        yield event.occurred_at >= filters.since
    if filters.until is not None:
        yield event.occurred_at < filters.until
    for column, wanted in (
        (event.host, filters.host),
        (event.client_user, filters.user),
        (event.client_ip, filters.client),
        (event.verdict, filters.verdict),
        (event.txn_id, filters.txn),
    ):
        if wanted is not None:
            yield column == wanted
    if filters.identity is not None:
        yield _has_identity(filters.identity)
    # Another name, for statements that have the findings themselves in them, too.
    one = audit_finding.alias("one")
    if about := list(about_findings(filters, one)):
        yield exists().where(same_key(audit_event, one), *about, *in_time(filters, one))


def about_findings(filters: Filters, findings: FromClause = audit_finding) -> Iterator[ColumnElement[bool]]:
    """What a row of `findings` has to meet to be one that is asked for, but for its time."""
    finding = findings.c
    if filters.rule is not None:
        yield finding.rule_id == filters.rule
    if filters.severity is not None:
        yield finding.severity.in_(SEVERITIES[SEVERITIES.index(filters.severity) :])
    if filters.fingerprint is not None:
        yield finding.fingerprint.in_([*filters.fingerprint, *_without_id(filters.fingerprint)])


def _without_id(fingerprints: Iterable[str]) -> Iterator[str]:
    """As they were before fingerprints named their key: the digests alone."""
    for fingerprint in fingerprints:
        _, dash, digest = fingerprint.partition("-")
        if dash:
            yield digest


def in_time(filters: Filters, findings: FromClause = audit_finding) -> Iterator[ColumnElement[bool]]:
    """That findings are of the time that is asked for, as their events are: so a search can begin there."""
    if filters.since is not None:
        yield findings.c.occurred_at >= filters.since
    if filters.until is not None:
        yield findings.c.occurred_at < filters.until


def _has_identity(identity: str) -> ColumnElement[bool]:
    is_txn = audit_event.c.txn_id == identity
    try:
        event_id = str(uuid.UUID(identity))
    except ValueError:
        # PostgreSQL refuses to compare a uuid with what is none.
        return is_txn
    return or_(is_txn, audit_event.c.event_id == event_id)


def same_key(events: FromClause, findings: FromClause = audit_finding) -> ColumnElement[bool]:
    """Of a finding and its event."""
    return and_(*(events.c[name] == findings.c[name] for name in _KEY))


def _newest_first(events: FromClause) -> list[ColumnElement[Any]]:
    return [events.c[name].desc() for name in _KEY]


def _record(rows: Sequence[Row[*tuple[Any, ...]]]) -> AuditRecord:
    """The record of one event's rows."""
    start, end = len(_KEY), len(_KEY) + len(EVENT_FIELDS)
    # The outer join gives an event without findings one row whose finding is all NULL.
    findings = tuple(FindingRecord(*row[end:]) for row in rows if row[end] is not None)
    return AuditRecord(**dict(zip(EVENT_FIELDS, rows[0][start:end], strict=True)), findings=findings)
