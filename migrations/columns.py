"""Column types and options of the revisions, each right on all three databases. What stands here stays.

MariaDB's own defaults would be whole seconds, 64 KiB, and texts that are equal whatever their case: here its
texts compare byte by byte, blanks at the end included.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

UUID = sa.String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
INSTANT = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mariadb")
#: Of any length that a record may have.
TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mariadb")

#: Goes to each `op.create_table`.
OPTIONS = {"mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin", "mariadb_engine": "InnoDB"}


def octets(length: int) -> sa.types.TypeEngine[bytes]:
    """Just so many bytes."""
    return sa.LargeBinary(length).with_variant(mysql.BINARY(length), "mariadb")


def key() -> list[sa.Column[Any]]:
    """The columns of a row's key."""
    return [
        sa.Column("writer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("occurred_at", INSTANT, primary_key=True),
        sa.Column("writer_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    ]
