"""The database that outboxes are shipped to: a batch is a transaction, with the cursor that speaks for it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, delete, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from icapd.audit import schema, sqlite
from icapd.audit.database import Database
from icapd.audit.evidence.checkpoints import Checkpoint
from icapd.audit.outbox.file import Entry, Writer
from icapd.audit.shipping.rows import Batch, Row, batch_of
from icapd.audit.shipping.running import insert_rows
from icapd.audit.shipping.statements import Way, statements_for
from icapd.audit.tables import audit_checkpoint, audit_shipment
from icapd.errors import AuditError

# What is the fault of a row, and not of the database or of the way to it.
_FAULTS_OF_ROWS = (DataError, IntegrityError)
#: Characters of a problem that are kept with a dead letter.
_MAX_PROBLEM = 1000


def require_destination(database_url: str) -> str:
    """AuditError unless records can be shipped there, by all that can be told.

    Returns why not now, for a server that is away: it may come back, and until then the outboxes keep the
    records. "" when it answers.
    """
    database = Database.parse(database_url).bounded()
    try:
        with database.read() as connection:
            revision = schema.revision(connection)
    except AuditError as error:
        if database.file is not None:
            raise
        return str(error)
    schema.require(revision, database)
    if database.file is not None:
        with database.write() as connection:
            # A file that can only be read SQLite lets begin, but not write.
            connection.execute(delete(audit_shipment).where(audit_shipment.c.writer_id == 0))
    return ""


class _RowFault(Exception):
    """The database refuses a row; the text says why, in one line and without the row."""


class Destination:
    """One database, with one connection that is made when it is needed, and anew after any failure."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements = statements_for(database.url.get_backend_name())
        self._connection: Connection | None = None
        self._connected_to: tuple[int, int] | None = None
        #: Rows that the database refused; whoever tells of them sets it back.
        self.dead_letters = 0

    @property
    def name(self) -> str:
        return self._database.name

    def shipped(self, writer_id: int) -> int:
        """Up to which number the writer's entries are there; 0 when none is. Raises AuditError."""
        cursor = audit_shipment.c
        with self._transaction() as connection:
            of_writer = select(cursor.shipped_seq).where(cursor.writer_id == writer_id)
            return connection.execute(of_writer).scalar() or 0

    def newest_checkpoint(self, writer_id: int) -> tuple[int, int, str] | None:
        """Number, time and note of the writer's newest checkpoint there. Raises AuditError."""
        column = audit_checkpoint.c
        newest = select(column.writer_seq, column.signed_at, column.note).where(column.writer_id == writer_id)
        with self._transaction() as connection:
            row = connection.execute(newest.order_by(column.signed_at.desc()).limit(1)).first()
        return None if row is None else (row[0], row[1], row[2])

    def state(self, checkpoint: Checkpoint) -> None:
        """Bring a checkpoint alone. Raises AuditError."""
        with self._transaction() as connection:
            self._run(connection, self._statements.checkpoint, [self._row_of(checkpoint)])

    def ship(self, writer: Writer, entries: Sequence[Entry], checkpoint: Checkpoint | None = None) -> None:
        """Bring the entries, which are in their order, and move the cursor behind the last of them.

        `checkpoint`: of the last one, to come along with it.

        What the database refuses becomes a dead letter, and holds nothing up. Raises AuditError: what is not
        there then has to come again.
        """
        batch = batch_of(writer.writer_id, entries)
        problem = ""
        for way in self._statements.ways:
            try:
                return self._bring(way, writer, entries, batch, checkpoint)
            except _RowFault as fault:
                problem = str(fault)
        if len(entries) == 1:
            dead = Batch(unreadable=[(entries[0], problem)])
            return self._bring(self._statements.ways[-1], writer, entries, dead, checkpoint)
        middle = len(entries) // 2
        self.ship(writer, entries[:middle])
        self.ship(writer, entries[middle:], checkpoint)

    def close(self) -> None:
        """Let go of the connection; the next call makes another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # It may be broken already.
            with suppress(DBAPIError):
                connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Committed at the end. Raises AuditError, and _RowFault for what is no fault of the database."""
        with self._database.errors():
            connection = self._connected()
            try:
                yield connection
                connection.commit()
            except _FAULTS_OF_ROWS as error:
                connection.rollback()
                # str(error) would show the statement and its parameters.
                raise _RowFault(str(error.orig).partition("\n")[0][:_MAX_PROBLEM]) from None
            except BaseException:
                self.close()
                raise

    def _connected(self) -> Connection:
        identity = self._identity()
        if identity != self._connected_to:
            # SQLite would go on with a file that was moved away.
            self.close()
        if self._connection is None:
            self._connection, self._connected_to = self._database.connect(), identity
            try:
                schema.require_head(self._connection, self._database)
            except BaseException:
                # A connection that was cut here would refuse whatever comes next.
                self.close()
                raise
        return self._connection

    def _identity(self) -> tuple[int, int] | None:
        return None if self._database.file is None else sqlite.identity(self._database.file)

    def _bring(
        self,
        way: Way,
        writer: Writer,
        entries: Sequence[Entry],
        batch: Batch,
        checkpoint: Checkpoint | None,
    ) -> None:
        with self._transaction() as connection:
            self._put(connection, way, writer, entries, batch)
            if checkpoint is not None:
                self._run(connection, self._statements.checkpoint, [self._row_of(checkpoint)])
        self.dead_letters += len(batch.unreadable)

    def _put(
        self, connection: Connection, way: Way, writer: Writer, entries: Sequence[Entry], batch: Batch
    ) -> None:
        sql, instant, now = self._statements, self._statements.instant, time.time_ns() // 1000
        who = (writer.writer_id, writer.node, writer.process_id, writer.version)
        self._run(connection, sql.writer, [(*who, instant(writer.started_at), writer.boot_id, writer.role)])
        for statement, rows in (
            (way.event, batch.events),
            (way.finding, batch.findings),
            (way.admin, batch.admin),
            (way.shadow, batch.shadow),
        ):
            if rows:
                way.run(connection, statement, self._timed(rows))
        dead = [
            (
                writer.writer_id,
                instant(entry.occurred_at),
                entry.seq,
                entry.kind,
                entry.body,
                entry.salt,
                entry.commitment,
                entry.chain,
                problem,
                instant(now),
            )
            for entry, problem in batch.unreadable
        ]
        self._run(connection, sql.dead_letter, dead)
        self._run(connection, sql.shipment, [(writer.writer_id, entries[-1].seq, instant(now))])

    def _row_of(self, checkpoint: Checkpoint) -> Row:
        writer_id, signed_at, *rest, _ = checkpoint
        return (writer_id, self._statements.instant(signed_at), *rest)

    def _timed(self, rows: Sequence[Row]) -> list[Row]:
        instant = self._statements.instant
        return [(row[0], instant(row[1]), *row[2:]) for row in rows]

    def _run(self, connection: Connection, statement: str, rows: list[Row]) -> None:
        if rows:
            insert_rows(connection, statement, rows)
