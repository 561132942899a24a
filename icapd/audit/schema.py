"""Whether a database has the tables that this icapd works with.

Known without Alembic, which a server that only writes need not load.
"""

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from icapd.audit.database import Database
from icapd.errors import AuditError

#: The newest revision in migrations/versions. Revisions are numbered, to tell older from newer.
HEAD = "0007"

#: Where Alembic notes a database's revision. Not its usual `alembic_version`: others may use the database.
VERSION_TABLE = "audit_schema_version"
#: Whoever changes tables of a PostgreSQL holds it. Such locks are numbers that all programs of a database
#: share: "icapd" in ASCII.
ADVISORY_LOCK = int.from_bytes(b"icapd", "big")

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def revision(connection: Connection) -> str | None:
    """The revision of the database; None when it has no audit tables."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(select(_version.c.version_num)).scalar()


def require_head(connection: Connection, database: Database) -> None:
    """AuditError, with what to do, unless the database is at HEAD."""
    require(revision(connection), database)


def require(found: str | None, database: Database) -> None:
    """The same for a revision that was found."""
    if found is None:
        raise AuditError(f"{database.name}: has no audit tables; make them with `icapd db upgrade`")
    if found < HEAD:
        raise AuditError(
            f"{database.name}: its schema is {found}, behind this icapd's {HEAD}; run `icapd db upgrade`"
        )
    if found > HEAD:
        raise AuditError(
            f"{database.name}: its schema is {found}, ahead of this icapd's {HEAD};"
            " run the icapd that upgraded it, or a newer one"
        )
