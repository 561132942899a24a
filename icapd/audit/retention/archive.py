"""Writes rows to a file before they go: Parquet, with all that a verification needs, and a signed statement.

The file is whole and on the disk, and what states its SHA-256 in the database, before the first row goes; and
only rows that are in it go.
"""

import sqlite3
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Table, insert

from icapd.audit.database import Database
from icapd.audit.evidence.archives import Archived, digest_of
from icapd.audit.evidence.rows import Link
from icapd.audit.export import parquet_file, whole_file
from icapd.audit.formats import flat
from icapd.audit.retention.keys import Keys
from icapd.audit.retention.transactions import reading, transaction
from icapd.audit.retention.units import Unit
from icapd.audit.secret_file import sync_directory
from icapd.audit.stored import PlainRow, chosen_events, chosen_rows
from icapd.audit.tables import audit_archive, audit_checkpoint, audit_event, audit_writer
from icapd.errors import AuditError

#: Rows between two signs of life.
_STEP = 1000


class Archive:
    """A file that is written, and which rows are in it; the latter in a temporary file of SQLite's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = sqlite3.connect("", check_same_thread=False)
        self._rows.execute(
            "CREATE TABLE row (writer_id, seq, chain, PRIMARY KEY (writer_id, seq)) WITHOUT ROWID"
        )

    def add(self, row: PlainRow) -> None:
        values = (row["writer_id"], row["writer_seq"], row["chain"])
        self._rows.execute("INSERT OR REPLACE INTO row VALUES (?, ?, ?)", values)

    def has(self, writer_id: int) -> Callable[[Link], bool]:
        """Says of a link of the writer whether its row is in the file."""
        find = "SELECT 1 FROM row WHERE (writer_id, seq) = (?, ?) AND chain IS ?"

        def is_there(link: Link) -> bool:
            chain = link.chain.hex() if isinstance(link.chain, bytes) else None
            return self._rows.execute(find, (writer_id, link.seq, chain)).fetchone() is not None

        return is_there

    def counts(self) -> list[tuple[int, int]]:
        """How many rows of each writer."""
        return self._rows.execute("SELECT writer_id, count(*) FROM row GROUP BY writer_id").fetchall()

    def span(self, writer_id: int) -> tuple[int, int]:
        """The writer's first and last number."""
        found = self._rows.execute("SELECT min(seq), max(seq) FROM row WHERE writer_id = ?", (writer_id,))
        first, last = found.fetchone()
        return first, last

    def close(self) -> None:
        self._rows.close()


def archived(
    database: Database, keys: Keys, directory: Path, unit: Unit, wanted: Mapping[Table, ColumnElement[bool]]
) -> Generator[int, None, Archive | None]:
    """Write the rows of a unit that are wanted to a new file of the directory; None when there are none.

    Yields 0 now and then. Raises AuditError.
    """
    now = time.time_ns()
    moment = datetime.fromtimestamp(now // 10**9, UTC)
    path = directory / f"icapd-audit-{unit.name}-{moment:%Y%m%dT%H%M%S}.{now % 10**9 // 1000:06}Z.parquet"
    archive = Archive(path)
    try:
        with reading(database) as connection, whole_file(path, force=False) as output:
            with closing(parquet_file(output)) as parquet:
                for number, row in enumerate(_rows(connection, unit, wanted, archive)):
                    parquet.write(row)
                    if number % _STEP == 0:
                        yield 0
            if not archive.counts():
                raise _Nothing
        _sync(directory)
        _state(database, keys, archive)
    except _Nothing:
        archive.close()
        return None
    except BaseException:
        archive.close()
        raise
    return archive


class _Nothing(Exception):
    """There is no row to be archived, and so no file."""


def _rows(
    connection: Connection, unit: Unit, wanted: Mapping[Table, ColumnElement[bool]], archive: Archive
) -> Iterator[PlainRow]:
    for writer_id, table in unit.work:
        of_writer = table.c.writer_id == writer_id, wanted[table]
        rows = (
            map(flat.plain_row, chosen_events(connection, *of_writer))
            if table is audit_event
            else chosen_rows(connection, table, *of_writer)
        )
        for row in rows:
            archive.add(row)
            yield row
    for writer_id, _ in archive.counts():
        yield from chosen_rows(connection, audit_writer, audit_writer.c.writer_id == writer_id)
        column = audit_checkpoint.c
        within = column.writer_seq.between(*archive.span(writer_id))
        yield from chosen_rows(connection, audit_checkpoint, column.writer_id == writer_id, within)


def _sync(directory: Path) -> None:
    """Have the name of a new file on the disk."""
    try:
        sync_directory(directory)
    except OSError as error:
        raise AuditError(f"{directory}: {error.strerror}; nothing was purged") from None


def _state(database: Database, keys: Keys, archive: Archive) -> None:
    digest, now = digest_of(archive.path), time.time_ns() // 1000
    statements = [
        Archived(writer_id, digest, archive.path.name, count, now).signed(keys.signer)._asdict()
        for writer_id, count in archive.counts()
    ]
    with transaction(database) as connection:
        connection.execute(insert(audit_archive), statements)
