"""Retention: signed statements of what was purged and where it was archived, and legal holds.

A downgrade takes the statements away, and `icapd audit verify` then misses what was purged: keep a copy of
audit_purge.
"""

import sqlalchemy as sa
from alembic import op
from icapd.migrations.columns import INSTANT, OPTIONS, TEXT, octets

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "audit_purge",
        sa.Column("writer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first_seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("chain_before", octets(32), nullable=False),
        sa.Column("chain", octets(32), nullable=False),
        sa.Column("purged_at", INSTANT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "audit_archive",
        sa.Column("writer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("digest", octets(32), primary_key=True),
        sa.Column("file_name", sa.String(255), nullable=False),
        sa.Column("archived_rows", sa.BigInteger, nullable=False),
        sa.Column("archived_at", INSTANT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "audit_hold",
        sa.Column("writer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hold_id", sa.String(32), primary_key=True),
        sa.Column("held_at", INSTANT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.Column("released_at", INSTANT),
        sa.Column("release_note", TEXT),
        **OPTIONS,
    )


def downgrade() -> None:
    """Drops them."""
    for name in ("audit_hold", "audit_archive", "audit_purge"):
        op.drop_table(name)
