"""Partitions by time of the audit tables in PostgreSQL, made ahead.

Retention drops a partition in no time, and a question about a day reads that day. A row whose time has no
partition, as after a step of the clock, goes to the DEFAULT partition: nothing is lost, and `problem` tells
of it.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from icapd.audit.database import Database
from icapd.audit.schema import ADVISORY_LOCK
from icapd.errors import AuditBusyError, AuditError

Period = Literal["month", "day"]
#: From an instant, to before another.
Span = tuple[datetime, datetime]

#: The tables that are partitioned, each by occurred_at.
TABLES = ("audit_event", "audit_finding", "audit_admin", "audit_shadow")
#: How many periods behind the one that is.
AHEAD: dict[Period, int] = {"month": 2, "day": 7}
#: Seconds to wait for those who read the tables; who wants to write waits meanwhile.
_LOCK_TIMEOUT = 5
#: Rows of a DEFAULT partition that are counted.
MOST = 1000

_BEGINNING, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_BOUNDS = re.compile(r"FOR VALUES FROM \('?([^')]+)'?\) TO \('?([^')]+)'?\)")
_ALL = text("""
    SELECT parent.relname, child.oid::regclass::text, pg_get_expr(child.relpartbound, child.oid),
        pg_total_relation_size(child.oid)
    FROM pg_inherits
    JOIN pg_class parent ON parent.oid = inhparent
    JOIN pg_class child ON child.oid = inhrelid
    WHERE inhparent IN (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) name)
    ORDER BY 1, 2
""")
_OWNERS = text("""
    SELECT relname, pg_get_userbyid(relowner) AS owner FROM pg_class
    WHERE relkind = 'p' AND oid IN (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) name)
""")


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition that is there."""

    table: str
    name: str
    #: None for the DEFAULT partition.
    span: Span | None
    #: Bytes, with indexes.
    size: int


@dataclass(frozen=True, slots=True)
class Strays:
    """What a DEFAULT partition holds."""

    partition: Partition
    #: At most MOST are counted.
    rows: int
    since: datetime
    until: datetime


def partitions(database: Database) -> list[Partition]:
    """All that there are, by table and name; none in SQLite and MariaDB. Raises AuditError."""
    with database.read() as connection:
        return listed(connection)


def strays(database: Database) -> list[Strays]:
    """The DEFAULT partitions that hold rows. Raises AuditError."""
    found = []
    with database.read() as connection:
        for one in listed(connection):
            if not one.span:
                with _remedies(database, f"look into {one.name}", _owners(connection)[one.table]):
                    found.append(_strays(connection, one))
    return [one for one in found if one.rows]


def problem(database: Database) -> str:
    """What a person should see to; "" when there is nothing. Raises AuditError."""
    held = ", ".join(
        f"{one.partition.name} holds {one.rows}{' or more' if one.rows == MOST else ''} rows of"
        f" {one.since:%Y-%m-%d} to {one.until:%Y-%m-%d}"
        for one in strays(database)
    )
    why = "a clock was off, or no partition was made in time"
    return held and f"{held}: {why}; `icapd audit partitions --make` gives them their own"


def make(database: Database, period: Period, now: datetime, *, for_strays: bool = False) -> list[str]:
    """Make the partitions that are missing from now to AHEAD; returns their names.

    Rows of their time in the DEFAULT partition move to them. `for_strays`: make months for all others there,
    too. Raises AuditError, also when this role may not make tables.
    """
    with database.read() as connection:
        if connection.dialect.name != "postgresql":
            return []
        wanted = [(table, span) for table in TABLES for span in ahead(period, now)]
        if for_strays:
            wanted += _months_of_strays(connection)
        owners = _owners(connection)
        missing = [one for one in wanted if one[0] in owners and _missing(connection, *one)]
    made: list[str] = []
    for table, span in missing:
        # One transaction each: as few as possible wait, and not for long.
        deed = _remedies(database, f"make partitions of {table}", owners[table])
        with database.write(waits=True) as connection, deed:
            _begin(connection)
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}s'"))
            connection.execute(text("SELECT set_config('role', :owner, true)"), {"owner": owners[table]})
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            # Another icapd may have been faster.
            made += [_make(connection, table, piece) for piece in _missing(connection, table, span)]
    return made


def ahead(period: Period, now: datetime) -> list[Span]:
    """The period that is, and those behind it."""
    spans = [_period(period, now)]
    for _ in range(AHEAD[period]):
        spans.append(_period(period, spans[-1][1]))
    return spans


def uncovered(wanted: Span, taken: Iterable[Span]) -> Iterator[Span]:
    """The pieces of a span that none of the others has."""
    since, until = wanted
    for start, end in sorted(taken):
        if end > since and start < until:
            if start > since:
                yield since, start
            since = max(since, end)
    if since < until:
        yield since, until


def _period(period: Period, moment: datetime) -> Span:
    """The month or the day, of UTC, that holds the moment."""
    start = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return start, start + timedelta(days=1)
    start = start.replace(day=1)
    return start, (start + timedelta(days=32)).replace(day=1)


def _begin(connection: Connection) -> None:
    """So that bounds are written as `_bound` reads them."""
    connection.execute(text("SET LOCAL timezone = 'UTC'"))
    connection.execute(text("SET LOCAL datestyle = 'ISO'"))


def listed(connection: Connection) -> list[Partition]:
    """The same on a connection."""
    if connection.dialect.name != "postgresql":
        return []
    _begin(connection)
    return [
        Partition(table, name, _span(bounds), size)
        for table, name, bounds, size in connection.execute(_ALL, {"tables": list(TABLES)})
    ]


def _owners(connection: Connection) -> dict[str, str]:
    """Of the tables that are partitioned, who owns them."""
    return {row.relname: row.owner for row in connection.execute(_OWNERS, {"tables": list(TABLES)})}


def _span(bounds: str) -> Span | None:
    match = _BOUNDS.fullmatch(bounds)
    return (_bound(match[1], _BEGINNING), _bound(match[2], _END)) if match else None


def _bound(written: str, beyond: datetime) -> datetime:
    """`beyond` for what no datetime can hold: MINVALUE, infinity, years before 1 and after 9999."""
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):
        return beyond


def _missing(connection: Connection, table: str, span: Span) -> list[Span]:
    taken = [one.span for one in listed(connection) if one.table == table and one.span]
    return list(uncovered(span, taken))


def _strays(connection: Connection, partition: Partition) -> Strays:
    sample = f"SELECT occurred_at FROM {partition.name} LIMIT {MOST}"
    counted = text(f"SELECT count(*), min(occurred_at), max(occurred_at) FROM ({sample}) sample")
    return Strays(partition, *connection.execute(counted).one())


def _months_of_strays(connection: Connection) -> list[tuple[str, Span]]:
    months = (
        "SELECT DISTINCT date_trunc('month', occurred_at) FROM {} WHERE occurred_at < '9999-12-01' ORDER BY 1"
    )
    return [
        (partition.table, _period("month", month))
        for partition in listed(connection)
        if not partition.span
        for (month,) in connection.execute(text(months.format(partition.name)))
    ]


def _make(connection: Connection, table: str, span: Span) -> str:
    """Made apart and attached whole: who writes to the table meanwhile waits for nothing but DEFAULT."""
    name = f"{table}_p{span[0]:%Y%m%d}"
    connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)"))
    since, until = (moment.isoformat() for moment in span)
    for one in listed(connection):
        if one.table == table and not one.span:
            connection.execute(text(f"LOCK TABLE {one.name} IN ACCESS EXCLUSIVE MODE"))
            within = f"occurred_at >= '{since}' AND occurred_at < '{until}'"
            moved = f"WITH moved AS (DELETE FROM {one.name} WHERE {within} RETURNING *)"
            connection.execute(text(f"{moved} INSERT INTO {name} SELECT * FROM moved"))
    bounds = f"FOR VALUES FROM ('{since}') TO ('{until}')"
    connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} {bounds}"))
    return name


@contextmanager
def _remedies(database: Database, deed: str, owner: str) -> Iterator[None]:
    """Errors that other words help with than those of `Database.errors`."""
    try:
        yield
    except DBAPIError as error:
        match getattr(error.orig, "sqlstate", None):
            # insufficient_privilege, lock_not_available (PostgreSQL, appendix A)
            case "42501":
                raise AuditError(
                    f"{database.name}: this role has no right to {deed}; run `icapd audit partitions --make`"
                    f" as {owner} each day, and see `icapd db roles`"
                ) from None
            case "55P03":
                raise AuditBusyError(
                    f"{database.name}: can't {deed}: others use the audit tables for longer than"
                    f" {_LOCK_TIMEOUT} s; will be tried again"
                ) from None
        raise
