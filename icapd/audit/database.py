"""Where the audit tables are: `database_url` parsed, and connections whose errors name place and remedy."""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Self

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from icapd.audit import sqlite
from icapd.errors import AuditError

#: Seconds to wait for a lock; as long as two `icapd db upgrade` may reasonably take one after the other.
LOCK_TIMEOUT = 30.0
#: The same for records, which others wait behind.
_BUSY_TIMEOUT = 5.0

#: Seconds. A server that can't be reached, or that says nothing any more, is given up then.
CONNECT_TIMEOUT, SILENCE_TIMEOUT = 5, 30
#: The same for a statement that may take long, in a process that must not wait for ever.
LONG_TIMEOUT = 600

_EXAMPLES = (
    "sqlite:////var/lib/icapd/icapd.db, postgresql://user@host/database or mariadb://user@host/database"
)
#: What SQLAlchemy calls them -> the driver, what installs it, and what bounds its waits.
_SERVERS: dict[str, tuple[str, str, dict[str, object]]] = {
    "postgresql": (
        "postgresql+psycopg",
        "icapd[postgresql]",
        {
            "connect_timeout": CONNECT_TIMEOUT,
            "keepalives_idle": CONNECT_TIMEOUT,
            "keepalives_interval": CONNECT_TIMEOUT,
            "tcp_user_timeout": SILENCE_TIMEOUT * 1000,
        },
    ),
    "mariadb": (
        "mariadb+pymysql",
        "icapd[mariadb]",
        {
            "charset": "utf8mb4",
            # Whatever the server's own are: what does not fit is refused and not cut, and its clock is UTC.
            "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            "init_command": "SET time_zone = '+00:00'",
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": SILENCE_TIMEOUT,
            "write_timeout": SILENCE_TIMEOUT,
        },
    ),
}
_SERVERS["mysql"] = _SERVERS["mariadb"]
#: Of them, those that a statement must keep to which only takes its time.
_WITHIN_STATEMENTS = ("read_timeout", "write_timeout")


@dataclass(frozen=True, slots=True)
class Database:
    """A SQLite file, or a database of PostgreSQL or MariaDB."""

    url: URL
    #: The SQLite file; None for a server.
    file: Path | None
    #: Whether a server is given up that says nothing, whatever it was asked.
    is_bounded: bool = False

    @classmethod
    def parse(cls, database_url: str) -> Self:
        """From SQLAlchemy's form of address; AuditError, without the address, if it is none."""
        try:
            url = make_url(database_url)
            backend = url.get_backend_name()
        except (ArgumentError, ValueError):
            raise AuditError(f"[audit] database_url is no database address; write {_EXAMPLES}") from None
        if backend in _SERVERS:
            return cls(url.set(drivername=_SERVERS[backend][0]), None)
        if backend != "sqlite":
            raise AuditError(f"[audit] database_url: {backend} is not supported; write {_EXAMPLES}")
        if not url.database or url.database == ":memory:":
            raise AuditError(f"[audit] database_url: SQLite needs a file; write {_EXAMPLES}")
        return cls(url, Path(url.database))

    @property
    def name(self) -> str:
        """What messages call it: the file, or the address without its password."""
        return str(self.file or self.url.render_as_string(hide_password=True))

    def bounded(self) -> Self:
        """The same for a process that nobody watches: no wait in it is without end."""
        return replace(self, is_bounded=True)

    @contextmanager
    def read(self, *, waits: bool = False) -> Iterator[Connection]:
        """A connection that only reads, and sees one state of the database all along.

        `waits`: for a statement that may take long, as those do that look at all rows.
        """
        with self._connection("ro", "BEGIN", waits=waits) as connection:
            yield connection

    @contextmanager
    def write(self, *, waits: bool = False) -> Iterator[Connection]:
        """One transaction, committed at the end. In SQLite nobody else can write meanwhile.

        `waits`: for a statement that may take long, as those do that change large tables.
        """
        with self._connection("rw", "BEGIN IMMEDIATE", waits=waits) as connection:
            yield connection
            connection.commit()

    @contextmanager
    def _connection(self, mode: sqlite.Mode, begin: str, *, waits: bool = False) -> Iterator[Connection]:
        with self.errors():
            engine = self._engine(mode, begin, waits=waits)
            with engine.connect() as connection:
                if self.file is None and mode == "ro":
                    connection.execution_options(isolation_level="REPEATABLE READ")
                    if engine.dialect.name == "postgresql":
                        connection.execution_options(postgresql_readonly=True)
                yield connection

    def connect(self) -> Connection:
        """A connection to write with that is kept, each transaction begun by its first statement.

        Raises AuditError. Errors of what is done with it `failure` translates.
        """
        with self.errors():
            return self._engine("rw", "BEGIN IMMEDIATE", _BUSY_TIMEOUT).connect()

    def _engine(
        self, mode: sqlite.Mode, begin: str, busy_timeout: float = LOCK_TIMEOUT, *, waits: bool = False
    ) -> Engine:
        if self.file is None:
            _, extra, options = _SERVERS[self.url.get_backend_name()]
            if waits:
                longer = LONG_TIMEOUT if self.is_bounded else None
                options = {
                    name: longer if name in _WITHIN_STATEMENTS else value for name, value in options.items()
                }
            try:
                engine = create_engine(self.url, poolclass=NullPool, connect_args=options)
            except ModuleNotFoundError:
                raise AuditError(f"{self.name}: needs a driver: pip install '{extra}'") from None
            if self.is_bounded:
                _bound(engine, LONG_TIMEOUT if waits else SILENCE_TIMEOUT)
            return engine
        connect = partial(sqlite.connect, self.file, mode, busy_timeout=busy_timeout)
        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
        # Python's sqlite3 begins transactions of its own accord, but not before DDL: so this begins them.
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Errors of the driver become AuditErrors that name the database and the remedy."""
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


def _bound(engine: Engine, seconds: float) -> None:
    """Have a silence end on both sides.

    A server would keep what its client has given up, and with it the locks on a batch, for which the next try
    would wait.
    """
    if engine.dialect.name == "postgresql":
        # Imported where the driver is there.
        connect = partial(import_module("icapd.audit.silence").connect, seconds)
        event.listen(engine, "do_connect", lambda _dialect, _record, args, options: connect(*args, **options))
        # For the transaction alone: the session may be a pooler's, and others' next.
        limits = "SELECT " + ", ".join(
            f"set_config('{name}', '{seconds * 1000:.0f}', true)"
            for name in ("statement_timeout", "idle_in_transaction_session_timeout")
        )
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(limits))
    else:
        # MySQL takes for a comment what only MariaDB has. The client's limits are its driver's.
        limits = (
            "SET time_zone = '+00:00'"
            f"/*M!100300 , max_statement_time = {seconds}, idle_transaction_timeout = {math.ceil(seconds)} */"
        )
        event.listen(engine, "connect", lambda connection, _record: connection.cursor().execute(limits))
