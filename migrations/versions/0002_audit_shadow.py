"""What a shadow policy would have done otherwise."""

import sqlalchemy as sa
from alembic import op
from icapd.migrations.columns import OPTIONS, TEXT, key

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the table, empty."""
    op.create_table(
        "audit_shadow",
        *key(),
        sa.Column("txn_id", sa.String(64), nullable=False),
        sa.Column("method_icap", sa.String(8), nullable=False),
        sa.Column("live_effect", sa.String(16), nullable=False),
        sa.Column("shadow_effect", sa.String(16), nullable=False),
        sa.Column("live_rules", TEXT, nullable=False),
        sa.Column("shadow_rules", TEXT, nullable=False),
        sa.Column("live_digest", sa.String(64), nullable=False),
        sa.Column("shadow_digest", sa.String(64), nullable=False),
        **OPTIONS,
    )
    op.create_index("audit_shadow_occurred_at", "audit_shadow", ["occurred_at"])


def downgrade() -> None:
    """Its rows go."""
    op.drop_table("audit_shadow")
