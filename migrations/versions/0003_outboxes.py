"""Rows come from outboxes: chains, shipments, dead letters, checkpoints.

What was open in audit_open is what a server of an older version left when it died; it becomes records of that
version's next start, so that has to come before this.
"""

import sqlalchemy as sa
from alembic import op
from icapd.migrations.columns import INSTANT, OPTIONS, TEXT, UUID, key, octets

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Rows that are there have no chain."""
    with op.batch_alter_table("audit_event") as event:
        event.add_column(sa.Column("repeats", sa.Integer, nullable=False, server_default="1"))
        event.add_column(sa.Column("subject_salt", octets(16)))
        event.add_column(sa.Column("subject_commitment", octets(32)))
        event.add_column(sa.Column("chain", octets(32)))
        event.add_column(sa.Column("recorded_at", INSTANT, nullable=False, server_default=_now()))
    for name in ("audit_admin", "audit_shadow"):
        with op.batch_alter_table(name) as table:
            table.add_column(sa.Column("chain", octets(32)))
    with op.batch_alter_table("audit_writer") as writer:
        writer.add_column(sa.Column("boot_id", sa.String(36), nullable=False, server_default=""))
    op.create_table(
        "audit_shipment",
        sa.Column("writer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("shipped_seq", sa.BigInteger, nullable=False),
        sa.Column("shipped_at", INSTANT, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "audit_dead_letter",
        *key(),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("salt", octets(16)),
        sa.Column("commitment", octets(32)),
        sa.Column("chain", octets(32), nullable=False),
        sa.Column("problem", TEXT, nullable=False),
        sa.Column("failed_at", INSTANT, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "audit_checkpoint",
        sa.Column("writer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("signed_at", INSTANT, primary_key=True),
        sa.Column("writer_seq", sa.BigInteger, nullable=False),
        sa.Column("chain", octets(32), nullable=False),
        sa.Column("note", TEXT, nullable=False),
        **OPTIONS,
    )
    op.drop_table("audit_open")


def downgrade() -> None:
    """Chains, checkpoints, dead letters and the state of shipping go."""
    op.create_table(
        "audit_open",
        sa.Column("writer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_id", UUID, primary_key=True),
        sa.Column("record", TEXT, nullable=False),
        **OPTIONS,
    )
    for name in ("audit_checkpoint", "audit_dead_letter", "audit_shipment"):
        op.drop_table(name)
    with op.batch_alter_table("audit_writer") as writer:
        writer.drop_column("boot_id")
    for name in ("audit_shadow", "audit_admin"):
        with op.batch_alter_table(name) as table:
            table.drop_column("chain")
    with op.batch_alter_table("audit_event") as event:
        for column in ("recorded_at", "chain", "subject_commitment", "subject_salt", "repeats"):
            event.drop_column(column)


def _now() -> sa.TextClause:
    """By the database's clock; MariaDB's would be in whole seconds."""
    return sa.text(
        "CURRENT_TIMESTAMP(6)" if op.get_context().dialect.name == "mariadb" else "CURRENT_TIMESTAMP"
    )
