"""Spreads the audit tables over the nodes of a Citus cluster, by writer: an optional step.

All rows of a writer are on one node, those of all tables together ("co-located"): a batch of the shipper is a
transaction of one node, and an event's findings are read where the event is.

Citus refuses triggers on such tables (pull request 5705: unless they are declared unsafe), so the one that
keeps rows from being changed goes; roles stay. What the tables hold moves along, and Citus leaves it on the
coordinator as well, unseen: it is emptied there, or what is erased later would stay on that disk.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from icapd.audit import partitions, schema
from icapd.audit.database import Database
from icapd.audit.tables import audit_event, metadata
from icapd.errors import AuditError

#: What Citus hashes: in the key of every table.
COLUMN = "writer_id"
#: In audit_admin.
ACTION = "distribute"
#: Those of revision 0004.
_TRIGGERS = ("audit_append_only", "audit_no_truncate")
#: The parts of an error of PostgreSQL that hold no rows.
_SAID = ("primary", "hint")


@dataclass(frozen=True, slots=True)
class Step:
    """What has to be done to one table."""

    table: str
    statements: tuple[str, ...]


def steps(database: Database) -> list[Step]:
    """What is left to be done, in its order; of a cluster that is done, nothing. Raises AuditError."""
    with database.read() as connection:
        _require(connection, database)
        return list(_steps(connection))


def distribute(database: Database) -> Iterator[tuple[Step, int]]:
    """Do what is left, a transaction for each table; yields each once it is done, and how many are left.

    Who writes to the table waits meanwhile. Ended half-way it can be run again. Raises AuditError.
    """
    with database.read() as connection:
        _require(connection, database)
        if connection.execute(text("SELECT to_regproc('create_distributed_table')")).scalar() is None:
            raise AuditError(
                f"{database.name}: has no Citus; run CREATE EXTENSION citus in this database on each node,"
                " citus_add_node for each on the coordinator, and then this again"
            )
        left = list(_steps(connection))
    for number, step in enumerate(left, 1):
        with database.write(waits=True) as connection, _naming(database, step):
            for statement in step.statements:
                connection.execute(text(statement))
        yield step, len(left) - number


def _require(connection: Connection, database: Database) -> None:
    if connection.dialect.name != "postgresql":
        raise AuditError(f"{database.name}: only tables of a PostgreSQL with Citus can be distributed")
    schema.require_head(connection, database)


def _steps(connection: Connection) -> Iterator[Step]:
    done: set[str] = set()
    if connection.execute(text("SELECT to_regclass('pg_dist_partition')")).scalar() is not None:
        done = set(connection.execute(text("SELECT logicalrelid::text FROM pg_dist_partition")).scalars())
    # The first one makes the group that the others join.
    names = [audit_event.name, *(table.name for table in metadata.sorted_tables if table is not audit_event)]
    for name in map(str, names):
        if name not in done:
            yield Step(name, tuple(_statements(name)))


def _statements(table: str) -> Iterator[str]:
    if table in partitions.TABLES:
        for trigger in _TRIGGERS:
            yield f"DROP TRIGGER IF EXISTS {trigger} ON {table}"
    group = "none" if table == audit_event.name else audit_event.name
    yield f"SELECT create_distributed_table('{table}', '{COLUMN}', colocate_with => '{group}')"
    yield f"SELECT truncate_local_data_after_distributing_table('{table}')"


@contextmanager
def _naming(database: Database, step: Step) -> Iterator[None]:
    """What Citus says, with its hint, beside the table that it says it of."""
    try:
        yield
    except DBAPIError as error:
        diagnosis = getattr(error.orig, "diag", None)
        said = filter(None, (getattr(diagnosis, f"message_{part}", None) for part in _SAID))
        raise AuditError(f"{database.name}: {step.table} was not distributed: {'; '.join(said)}") from None
