"""Counts of what the audit tables hold; the database does the counting.

A row that stands for several transactions (`repeats`) counts as often, with its bytes and its findings.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Integer, Select, Subquery, cast, func, null, select

from icapd.audit import schema
from icapd.audit.database import Database
from icapd.audit.search import Filters, about_findings, conditions, in_time, same_key
from icapd.audit.tables import audit_event, audit_finding

By = Literal["host", "user", "client", "rule", "verdict", "hour", "day"]

_KEY = ("writer_id", "occurred_at", "writer_seq")
_COLUMNS = {
    "host": audit_event.c.host,
    "user": audit_event.c.client_user,
    "client": audit_event.c.client_ip,
    "verdict": audit_event.c.verdict,
}
#: How each database writes the beginning of an hour, and of a day, of UTC.
_TIMES = {
    "sqlite": {"hour": "%Y-%m-%dT%H:00Z", "day": "%Y-%m-%d"},
    "postgresql": {"hour": 'YYYY-MM-DD"T"HH24:00"Z"', "day": "YYYY-MM-DD"},
    "mariadb": {"hour": "%Y-%m-%dT%H:00Z", "day": "%Y-%m-%d"},
}


@dataclass(frozen=True, slots=True)
class Count:
    """What there is of one host, user, rule, hour ..."""

    #: None: of those rows that have none, or of all.
    of: str | None
    transactions: int
    #: Of those that the filters ask for, where they ask for some.
    findings: int
    #: Of bodies.
    bytes: int


def stats(database_url: str, by: By | None, filters: Filters) -> list[Count]:
    """The counts, hours and days in their order, all else by the most transactions; raises AuditError.

    Without `by`, one of all. By rule, a transaction counts for each rule that found something in it. The
    filters' limit is one of counts.
    """
    database = Database.parse(database_url)
    with database.read(waits=True) as connection:
        schema.require_head(connection, database)
        rows = connection.execute(_statement(by, filters, connection.dialect.name))
        # MariaDB's sums are decimal numbers, and of no rows they are NULL.
        return [Count(row[0], *(int(number or 0) for number in row[1:])) for row in rows]


def _statement(by: By | None, filters: Filters, dialect: str) -> Select[*tuple[Any, ...]]:
    found = _found(by, filters)
    event = audit_event.c
    of: ColumnElement[Any] = null()
    if by == "rule":
        of = found.c.rule_id
    elif by in ("hour", "day"):
        of = _time(by, dialect)
    elif by is not None:
        of = _COLUMNS[by]
    transactions = func.sum(event.repeats)
    statement = select(
        of.label("category"),
        transactions.label("transactions"),
        func.sum(event.repeats * func.coalesce(found.c.findings, 0)),
        func.sum(event.repeats * (event.request_bytes + event.response_bytes)),
    )
    joined = audit_event.join(found, same_key(audit_event, found), isouter=by != "rule")
    statement = statement.select_from(joined).where(*conditions(filters))
    if by is None:
        return statement
    order = ["category"] if by in ("hour", "day") else [transactions.desc(), "category"]
    return statement.group_by("category").order_by(*order).limit(filters.limit)


def _found(by: By | None, filters: Filters) -> Subquery:
    """How many findings each event has; for counts by rule, of each rule."""
    finding = audit_finding.c
    columns = [finding[name] for name in (*_KEY, "rule_id")[: 4 if by == "rule" else 3]]
    count = cast(func.count(), Integer).label("findings")
    wanted = *about_findings(filters), *in_time(filters)
    return select(*columns, count).where(*wanted).group_by(*columns).subquery()


def _time(unit: Literal["hour", "day"], dialect: str) -> ColumnElement[str]:
    at = audit_event.c.occurred_at
    if dialect == "mariadb":
        return func.date_format(at, _TIMES["mariadb"][unit])
    if dialect == "postgresql":
        return func.to_char(func.timezone("UTC", at), _TIMES[dialect][unit])
    return func.strftime(_TIMES["sqlite"][unit], at)
