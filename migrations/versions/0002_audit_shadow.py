"""What a shadow policy would have done otherwise."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the table, empty."""
    op.create_table(
        "audit_shadow",
        sa.Column("writer_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("writer_seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("txn_id", sa.String(64), nullable=False),
        sa.Column("method_icap", sa.String(8), nullable=False),
        sa.Column("live_effect", sa.String(16), nullable=False),
        sa.Column("shadow_effect", sa.String(16), nullable=False),
        sa.Column("live_rules", sa.Text, nullable=False),
        sa.Column("shadow_rules", sa.Text, nullable=False),
        sa.Column("live_digest", sa.String(64), nullable=False),
        sa.Column("shadow_digest", sa.String(64), nullable=False),
    )
    op.create_index("audit_shadow_occurred_at", "audit_shadow", ["occurred_at"])


def downgrade() -> None:
    """Its rows go."""
    op.drop_table("audit_shadow")
