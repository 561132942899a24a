"""Where the audit tables are: `database_url` parsed, and connections whose errors name place and remedy."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from icapd.audit import sqlite
from icapd.errors import AuditError

#: Seconds to wait for a lock; as long as two `icapd db upgrade` may reasonably take one after the other.
LOCK_TIMEOUT = 30.0

_EXAMPLES = "sqlite:////var/lib/icapd/icapd.db or postgresql+psycopg://user@host/database"


@dataclass(frozen=True, slots=True)
class Database:
    """A SQLite file or a PostgreSQL database."""

    url: URL
    #: The SQLite file; None for a server.
    file: Path | None

    @classmethod
    def parse(cls, database_url: str) -> Self:
        """From SQLAlchemy's form of address; AuditError, without the address, if it is none."""
        try:
            url = make_url(database_url)
            backend = url.get_backend_name()
        except (ArgumentError, ValueError):
            raise AuditError(f"[audit] database_url is no database address; write {_EXAMPLES}") from None
        if backend == "postgresql":
            return cls(url.set(drivername="postgresql+psycopg"), None)
        if backend != "sqlite":
            raise AuditError(f"[audit] database_url: {backend} is not supported; write {_EXAMPLES}")
        if not url.database or url.database == ":memory:":
            raise AuditError(f"[audit] database_url: SQLite needs a file; write {_EXAMPLES}")
        return cls(url, Path(url.database))

    @property
    def name(self) -> str:
        """What messages call it: the file, or the address without its password."""
        return str(self.file or self.url.render_as_string(hide_password=True))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that only reads, and sees one state of the database all along."""
        with self._connection("ro", "BEGIN") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at the end. In SQLite nobody else can write meanwhile."""
        with self._connection("rw", "BEGIN IMMEDIATE") as connection:
            yield connection
            connection.commit()

    @contextmanager
    def _connection(self, mode: sqlite.Mode, begin: str) -> Iterator[Connection]:
        with self._errors():
            engine = self._engine(mode, begin)
            with engine.connect() as connection:
                if self.file is None and mode == "ro":
                    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                yield connection

    def _engine(self, mode: sqlite.Mode, begin: str) -> Engine:
        if self.file is None:
            try:
                return create_engine(self.url, poolclass=NullPool)
            except ModuleNotFoundError:
                raise AuditError(f"{self.name}: needs a driver: pip install 'icapd[postgresql]'") from None
        connect = partial(sqlite.connect, self.file, mode, busy_timeout=LOCK_TIMEOUT)
        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
        # Python's sqlite3 begins transactions of its own accord, but not before DDL: so this begins them.
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            # str(error) would show the statement and its parameters.
            raise self._failure(error.orig) from None

    def _failure(self, error: BaseException | None) -> AuditError:
        if self.file is not None and isinstance(error, sqlite3.Error):
            return sqlite.failure(self.file, error)
        first_line = str(error).partition("\n")[0]
        return AuditError(f"{self.name}: {first_line}; see [audit] database_url, and whether the server runs")
