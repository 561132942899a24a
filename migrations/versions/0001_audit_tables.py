"""The audit tables: events, findings, writers, administrative rows, open streams."""

import sqlalchemy as sa
from alembic import op
from icapd.migrations.columns import INSTANT, OPTIONS, TEXT, UUID, key

revision = "0001"
down_revision = None


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "audit_event",
        *key(),
        sa.Column("event_id", UUID, nullable=False),
        sa.Column("txn_id", sa.String(64), nullable=False),
        sa.Column("method_icap", sa.String(8), nullable=False),
        sa.Column("http_method", sa.String(32)),
        sa.Column("scheme", sa.String(16)),
        sa.Column("host", sa.String(255)),
        sa.Column("port", sa.Integer),
        sa.Column("path", sa.String(2048)),
        sa.Column("client_ip", sa.String(64)),
        sa.Column("client_user", sa.String(255)),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("disposition", sa.String(16), nullable=False),
        sa.Column("inspection", sa.String(16), nullable=False),
        sa.Column("skip_reason", sa.String(64)),
        sa.Column("request_bytes", sa.BigInteger, nullable=False),
        sa.Column("response_bytes", sa.BigInteger, nullable=False),
        sa.Column("content_type", sa.String(255)),
        sa.Column("http_status", sa.Integer),
        sa.Column("risk_score", sa.Integer, nullable=False),
        sa.Column("policy_digest", sa.String(64), nullable=False),
        sa.Column("latency_us", sa.BigInteger, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "audit_finding",
        *key(),
        sa.Column("item_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("rule_id", sa.String(128), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("target", sa.String(128), nullable=False),
        sa.Column("excerpt", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "audit_writer",
        sa.Column("writer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("node", sa.String(255), nullable=False),
        sa.Column("process_id", sa.Integer, nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "audit_admin",
        *key(),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("detail", TEXT, nullable=False),
        **OPTIONS,
    )
    op.create_table(
        "audit_open",
        sa.Column("writer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("event_id", UUID, primary_key=True),
        sa.Column("record", TEXT, nullable=False),
        **OPTIONS,
    )
    op.create_index("audit_event_occurred_at", "audit_event", ["occurred_at"])
    op.create_index("audit_event_txn_id", "audit_event", ["txn_id"])
    if op.get_context().dialect.name != "sqlite":
        _create_indexes_of_a_site()


def downgrade() -> None:
    """Back to an empty database: every record goes."""
    for table in ("audit_open", "audit_admin", "audit_writer", "audit_finding", "audit_event"):
        op.drop_table(table)


def _create_indexes_of_a_site() -> None:
    op.create_index("audit_event_event_id", "audit_event", ["event_id"])
    op.create_index("audit_event_host", "audit_event", ["host", "occurred_at"])
    op.create_index("audit_event_client_ip", "audit_event", ["client_ip", "occurred_at"])
    op.create_index("audit_event_client_user", "audit_event", ["client_user", "occurred_at"])
    op.create_index(
        "audit_event_verdict",
        "audit_event",
        ["verdict", "occurred_at"],
        postgresql_where=sa.text("verdict <> 'allowed'"),
    )
    op.create_index("audit_finding_rule_id", "audit_finding", ["rule_id", "occurred_at"])
    op.create_index("audit_finding_fingerprint", "audit_finding", ["fingerprint"])
