"""The shipper's SQL, for each kind of database: compiled once from the tables, run by its driver.

SQLAlchemy's own execution of a batch takes as long again as the database's (20,900 rows/s for 29,200).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Self, cast

from sqlalchemy import Connection, Dialect, Insert, Table
from sqlalchemy.dialects import mysql, postgresql, sqlite

from icapd.audit import instants
from icapd.audit.shipping.rows import Row
from icapd.audit.shipping.running import copy_rows, insert_rows
from icapd.audit.tables import (
    audit_admin,
    audit_checkpoint,
    audit_dead_letter,
    audit_event,
    audit_finding,
    audit_shadow,
    audit_shipment,
    audit_writer,
)

#: Columns that the database fills in itself.
_OF_DATABASE = frozenset({"recorded_at"})


@dataclass(frozen=True, slots=True)
class Way:
    """One way of bringing a batch's rows: a statement for each table, and what runs it with the rows."""

    run: Callable[[Connection, str, list[Row]], None]
    event: str
    finding: str
    admin: str
    shadow: str

    @classmethod
    def of(cls, run: Callable[[Connection, str, list[Row]], None], sql: Callable[[Table], str]) -> Self:
        return cls(run, sql(audit_event), sql(audit_finding), sql(audit_admin), sql(audit_shadow))


@dataclass(frozen=True, slots=True)
class Statements:
    """What brings rows, unless they are there. `instant`: microseconds as the driver wants them."""

    #: In the order in which they are tried, where a row undoes the one before.
    ways: tuple[Way, ...]
    writer: str
    dead_letter: str
    checkpoint: str
    #: The cursor: set, whatever it was.
    shipment: str
    instant: Callable[[int], object]


def columns_of(table: Table) -> list[str]:
    """The columns that rows bring, in their order."""
    return [column.name for column in table.c if column.name not in _OF_DATABASE]


@cache
def statements_for(backend: str) -> Statements:
    """For `sqlite`, `postgresql` or `mariadb`."""
    dialect, insert, instant = _KINDS[backend]

    def sql(table: Table, *, replacing: tuple[str, ...] = ()) -> str:
        statement = insert(table, replacing)
        return str(statement.compile(dialect=dialect, column_keys=columns_of(table)))

    inserting = Way.of(insert_rows, sql)
    return Statements(
        ways=(Way.of(copy_rows, copy_of), inserting) if backend == "postgresql" else (inserting,),
        writer=sql(audit_writer),
        dead_letter=sql(audit_dead_letter),
        checkpoint=sql(audit_checkpoint),
        shipment=sql(audit_shipment, replacing=("shipped_seq", "shipped_at")),
        instant=instant,
    )


def copy_of(table: Table) -> str:
    """PostgreSQL's COPY of rows into a table, as text."""
    return f"COPY {table.name} ({', '.join(columns_of(table))}) FROM STDIN"


def _on_conflict(insert: Callable[[Table], Any]) -> Callable[[Table, tuple[str, ...]], Insert]:
    """For SQLite and PostgreSQL, which say it alike."""

    def of(table: Table, replacing: tuple[str, ...]) -> Insert:
        statement = insert(table)
        if replacing:
            news = {name: statement.excluded[name] for name in replacing}
            replaced = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=news)
            return cast(Insert, replaced)
        return cast(Insert, statement.on_conflict_do_nothing())

    return of


def _of_mariadb(table: Table, replacing: tuple[str, ...]) -> Insert:
    # INSERT IGNORE would also cut what is too long, and say nothing.
    statement = mysql.insert(table)
    news = {name: statement.inserted[name] for name in replacing or ("writer_id",)}
    return statement.on_duplicate_key_update(**news)


def _naive(instant: int) -> datetime:
    return instants.to_datetime(instant).replace(tzinfo=None)


_KINDS: dict[str, tuple[Dialect, Callable[[Table, tuple[str, ...]], Insert], Callable[[int], object]]] = {
    "sqlite": (sqlite.dialect(paramstyle="qmark"), _on_conflict(sqlite.insert), instants.sqlite_text),
    "postgresql": (
        postgresql.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
        _on_conflict(postgresql.insert),
        instants.to_datetime,
    ),
    "mariadb": (mysql.dialect(paramstyle="format"), _of_mariadb, _naive),
}
