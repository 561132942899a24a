"""Writes records to the server's own SQLite file: what `write` returned from is committed.

**What that promises.** A committed record survives the death of the process (kill -9, a crash) always: it
is with the kernel. With `synchronous="normal"`, the default, the death of the machine (power loss, kernel
panic) may take the last commits with it, never the database; `synchronous="full"` waits for the disk at
each commit and survives that as well (https://sqlite.org/pragma.html#pragma_synchronous).

**Streams** end long after their first bytes were passed on. So a stream gets a provisional record when it
opens, renewed whenever it has a new finding, which its final record replaces. What a dead writer left open
becomes records of the next one: cut, with reason `server-stopped`.

**Several writers** may be at work, those of one server's workers. They take turns (`locks`).
"""

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Literal, Self

import msgspec

from icapd import __version__
from icapd.audit import instants, locks, schema, sqlite, statements
from icapd.audit.database import Database
from icapd.audit.record import AuditRecord, Phase
from icapd.audit.shadow import ShadowRecord
from icapd.audit.storable import fit_text, storable
from icapd.errors import AuditError

Synchronous = Literal["normal", "full"]

#: Seconds that a verdict, and with it every connection, may wait for another program's transaction. Those
#: of `icapd db upgrade` are shorter by far; behind one that is not, messages meet the audit's fail mode.
BUSY_TIMEOUT = 0.5

#: Pages of 4 KiB in the write-ahead log before a commit moves them into the database, which waits for the
#: disk. Four times SQLite's own figure: a quarter of the waits, each of about 12 ms where it was 5, and
#: less to move in all.
CHECKPOINT_PAGES = 4000


def reserve(database_url: str) -> IO[bytes]:
    """The right to be the one server that writes to this database; held until the file is closed.

    Raises AuditError, naming the file and the remedy, for a database that no server can write to, is not at
    this icapd's schema, or has a server already.
    """
    return locks.lock_for_serving(serving_file(database_url))


class AuditWriter:
    """One run of one worker: made by `open`, used by any of its threads, ended by `close`."""

    def __init__(self, file: Path, connection: sqlite3.Connection, server_lock: IO[bytes] | None) -> None:
        """Raises AuditError."""
        self.file = file
        self.writer_id = locks.new_writer_id()
        self._sequence = 0
        self._connection = connection
        self._server_lock = server_lock
        self._turn = locks.Turn(file, self.writer_id)
        self._identity = _identity(file)
        self._thread_lock = threading.Lock()
        self._failing = False  # the last transaction could not be committed
        self._closed = False

    @classmethod
    def open(
        cls,
        database_url: str,
        *,
        synchronous: Synchronous = "normal",
        node: str | None = None,
        busy_timeout: float = BUSY_TIMEOUT,
        reserved: bool = False,
    ) -> Self:
        """The writer of this database, with its start noted and dead writers' streams turned into records.

        `node` names this server in the records' `audit_writer` row: the host's name unless given. `reserved`:
        the server, of which this is one writer of several, holds the right to write (`reserve`). Raises
        AuditError, naming the file and the remedy, for a database that can't be written, is not at this
        icapd's schema, or has a server already.
        """
        file = serving_file(database_url)
        server_lock = None if reserved else locks.lock_for_serving(file)
        with ExitStack() as undo:
            if server_lock is not None:
                undo.callback(server_lock.close)
            try:
                connection = sqlite.connect(file, "rw", busy_timeout=busy_timeout)
            except sqlite3.Error as error:
                raise sqlite.failure(file, error) from error
            undo.callback(connection.close)
            writer = cls(file, connection, server_lock)
            undo.callback(writer._turn.close)
            writer._start(synchronous, node or socket.gethostname())
            undo.pop_all()
        return writer

    def write(self, record: AuditRecord) -> None:
        """Commits the record and its findings. AuditError: it can't be done, and nothing of it is stored."""
        self.write_all((("final", record),))

    def write_all(self, entries: Iterable[tuple[Phase, AuditRecord]]) -> None:
        """Commits them together. AuditError: it can't be done, and nothing of any is stored.

        A record that is `open` takes the place of an earlier one; `close` drops it.
        """
        with self._transaction() as connection:
            for phase, record in entries:
                fitting = storable(record)
                key = self.writer_id, record.event_id
                if phase == "open":
                    text = msgspec.json.encode(fitting).decode()
                    connection.execute(statements.REPLACE_OPEN, (*key, text))
                    continue
                self._insert(connection, fitting)
                if phase == "close":
                    connection.execute(statements.DELETE_OPEN, key)

    def note(self, action: str, detail: Mapping[str, object]) -> None:
        """Commits an administrative row: what was done to the policy. AuditError: it can't be."""
        with self._transaction() as connection:
            self._insert_admin(connection, action, detail)

    def write_shadow(self, records: Iterable[ShadowRecord]) -> None:
        """Commits them together. AuditError: it can't be done."""
        with self._transaction() as connection:
            for record in records:
                key = self._next_key(record.occurred_at)
                connection.execute(statements.INSERT_SHADOW, key + statements.shadow_values(record))

    def check_writable(self) -> None:
        """AuditError when a record could not be written now, as far as can be told without writing one.

        Once that has failed, only a write tells that there is room again: of a row that nobody ever sees.
        """
        with self._transaction() as connection:
            if self._failing:
                connection.execute(statements.REPLACE_OPEN, (self.writer_id, "", ""))
                connection.execute(statements.DELETE_OPEN, (self.writer_id, ""))

    def close(self) -> None:
        """Notes the stop and lets go of the file; once is enough, and more does no harm."""
        if self._closed:
            return
        try:
            with self._transaction() as connection:
                self._insert_admin(connection, "stop", {})
        finally:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, synchronous: Synchronous, node: str) -> None:
        with self._transaction() as connection:
            row = (
                self.writer_id,
                fit_text(node, limit=255),
                os.getpid(),
                __version__,
                instants.sqlite_text(_now()),
            )
            connection.execute(statements.INSERT_WRITER, row)
            left = self._left_by_the_dead(connection)
            detail = {"synchronous": synchronous, "unfinished_streams": sum(map(len, left.values()))}
            self._insert_admin(connection, "start", detail)
            for writer_id, records in left.items():
                for record in records:
                    self._insert(connection, record)
                connection.execute(statements.DELETE_OPEN_OF_WRITER, (writer_id,))
        self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")

    def _left_by_the_dead(self, connection: sqlite3.Connection) -> dict[int, list[AuditRecord]]:
        """By writer: the records of streams that nobody will end any more."""
        writers = [writer_id for (writer_id,) in connection.execute(statements.SELECT_OPEN_WRITERS)]
        return {
            writer_id: [
                self._as_cut(event_id, text)
                for event_id, text in connection.execute(statements.SELECT_OPEN_OF_WRITER, (writer_id,))
            ]
            for writer_id in writers
            if not self._turn.is_alive(writer_id)
        }

    def _as_cut(self, event_id: str, text: str) -> AuditRecord:
        try:
            record = msgspec.json.decode(text, type=AuditRecord)
        except msgspec.MsgspecError as error:
            raise AuditError(
                f"{self.file}: audit_open: the record of event {event_id} can't be read ({error});"
                " run the icapd that wrote it once, or keep a copy of the row elsewhere and delete it"
            ) from None
        return replace(record, disposition="cut", inspection="error", skip_reason="server-stopped")

    def _insert(self, connection: sqlite3.Connection, record: AuditRecord) -> None:
        key = self._next_key(record.occurred_at)
        connection.execute(statements.INSERT_EVENT, key + statements.event_values(record))
        if record.findings:
            rows = [
                (*key, item_no, *statements.finding_values(finding))
                for item_no, finding in enumerate(record.findings, 1)
            ]
            connection.executemany(statements.INSERT_FINDING, rows)

    def _insert_admin(
        self, connection: sqlite3.Connection, action: str, detail: Mapping[str, object]
    ) -> None:
        row = (*self._next_key(_now()), action, msgspec.json.encode(detail).decode())
        connection.execute(statements.INSERT_ADMIN, row)

    def _next_key(self, occurred_at: int) -> tuple[int, str, int]:
        self._sequence += 1
        return self.writer_id, instants.sqlite_text(occurred_at), self._sequence

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Committed at the end; undone, its numbers too, on any exception. sqlite3's become AuditError."""
        with self._thread_lock:
            if self._closed:
                raise AuditError(f"{self.file}: this writer was closed")
            sequence = self._sequence
            try:
                self._require_file_in_place()
                with self._turn, self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
                self._failing = False
            except sqlite3.Error as error:
                self._sequence = sequence
                self._failing = True
                raise sqlite.failure(self.file, error) from error
            except BaseException:
                self._sequence = sequence
                raise

    def _require_file_in_place(self) -> None:
        """Without this, records would go on being committed to a file that has no name any more."""
        if _identity(self.file) != self._identity:
            raise AuditError(
                f"{self.file}: was removed or replaced while in use; put it back, or restart icapd"
            )

    def _release(self) -> None:
        self._closed = True
        self._connection.close()
        self._turn.close()
        if self._server_lock is not None:
            self._server_lock.close()


def serving_file(database_url: str) -> Path:
    """The SQLite file that a server would write to; AuditError when none could, as far as reading tells."""
    database = Database.parse(database_url)
    if database.file is None:
        raise AuditError(
            f"{database.name}: a server writes to a SQLite file; name one in [audit] database_url"
            " (PostgreSQL can be upgraded, checked and searched, but not yet be served to)"
        )
    with database.read() as reader:
        schema.require_head(reader, database)
    return database.file


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _now() -> int:
    return time.time_ns() // 1000
