"""Bytes of a row: in each kind of database, with its indexes and without, and in an outbox."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Table, text

from bench.audit.trail import LIMIT
from icapd.audit import AuditRecord, AuditWriter
from icapd.audit.database import Database
from icapd.audit.tables import OF_SERVERS, audit_event, audit_finding

#: Of a table and its partitions: bytes of rows, bytes with indexes. `%` stands for the table.
_POSTGRESQL = """
    SELECT sum(pg_table_size(relid)), sum(pg_total_relation_size(relid)) FROM pg_partition_tree('{}')
"""
_INDEX = "SELECT sum(pg_relation_size(relid)) FROM pg_partition_tree('{}')"
_SQLITE = """
    SELECT sum(pgsize * (name = '{0}')), sum(pgsize) FROM dbstat
    WHERE aggregate = TRUE AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = '{0}')
"""
_MARIADB = """
    SELECT data_length, data_length + index_length FROM information_schema.tables
    WHERE table_schema = database() AND table_name = '{}'
"""
_SIZES = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE, "mariadb": _MARIADB}


@dataclass(frozen=True)
class Size:
    """Bytes for each row of a table."""

    rows: int
    of_table: float
    with_indexes: float
    #: Of the indexes that a server's own SQLite file does without; None where that is not known.
    for_servers: float | None


def of_tables(url: str) -> dict[str, Size]:
    """Of audit_event and audit_finding, which have to hold many rows. MariaDB's are its estimates."""
    with Database.parse(url).read() as connection:
        if connection.dialect.name == "mariadb":
            connection.execute(text("ANALYZE TABLE audit_event, audit_finding"))
        return {table.name: _size(connection, table) for table in (audit_event, audit_finding)}


def _size(connection: Connection, table: Table) -> Size:
    def bytes_of(statement: str, name: str) -> list[float]:
        return [float(size) / rows for size in connection.execute(text(statement.format(name))).one()]

    rows = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
    of_table, with_indexes = bytes_of(_SIZES[connection.dialect.name], table.name)
    for_servers = None
    if connection.dialect.name == "postgresql":
        names = [str(index.name) for index in table.indexes if index.info == OF_SERVERS]
        for_servers = sum(bytes_of(_INDEX, name)[0] for name in names)
    return Size(rows, of_table, with_indexes, for_servers)


def of_outbox(directory: Path, records: Iterator[AuditRecord], count: int) -> float:
    """Bytes that a record takes in an outbox while it waits."""
    with AuditWriter.open(directory, max_size=LIMIT, mode="relaxed", role="worker") as writer:
        while some := list(islice(records, 500)):
            writer.write_all(("final", record) for record in some)
        used: float = writer._outbox.size()
    return used / count
