"""Transactions of retention: one at a time, and with words of their own for what a role may not."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from icapd.audit import schema
from icapd.audit.database import LOCK_TIMEOUT, Database
from icapd.errors import AuditBusyError, AuditError


@contextmanager
def transaction(database: Database) -> Iterator[Connection]:
    """Committed at the end; meanwhile nobody else purges, erases, holds, or changes the tables.

    Raises AuditError.
    """
    with database.write(waits=True) as connection, remedies(database):
        match connection.dialect.name:
            case "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT:.0f}s'"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": schema.ADVISORY_LOCK})
            case "mariadb":
                # Until the connection ends, along with the transaction.
                taken = text("SELECT GET_LOCK(concat('icapd ', database()), :seconds)")
                if not connection.execute(taken, {"seconds": LOCK_TIMEOUT}).scalar():
                    raise AuditBusyError(
                        f"{database.name}: another icapd works on its tables; try again later"
                    )
            case _:
                # In SQLite, BEGIN IMMEDIATE is this lock.
                pass
        schema.require_head(connection, database)
        yield connection


@contextmanager
def reading(database: Database) -> Iterator[Connection]:
    """Only reads, and sees one state of the database. Raises AuditError."""
    with database.read(waits=True) as connection, remedies(database):
        schema.require_head(connection, database)
        yield connection


@contextmanager
def remedies(database: Database) -> Iterator[None]:
    """Errors that other words help with than those of `Database.errors`."""
    try:
        yield
    except DBAPIError as error:
        match getattr(error.orig, "sqlstate", None):
            # insufficient_privilege, lock_not_available (PostgreSQL, appendix A)
            case "42501":
                raise AuditError(
                    f"{database.name}: this role has no right to purge, erase or hold; run the command of"
                    " `icapd audit` as a member of icapd_retention (a timer does, see docs/audit.md), and see"
                    " `icapd db roles`"
                ) from None
            case "55P03":
                raise AuditBusyError(
                    f"{database.name}: others use the audit tables for too long; will be tried again"
                ) from None
        raise
