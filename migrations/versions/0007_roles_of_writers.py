"""What each writer is: a worker, a command that reads or changes the trail, or the server's own retention."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_ROLES = ("worker", "command", "retention")


def upgrade() -> None:
    """As their first rows tell, where this was undone before. No table is remade, so views stay.

    By text, for a row that someone has changed may be no JSON; and without a subquery for each writer, which
    Citus refuses.
    """
    op.add_column("audit_writer", sa.Column("role", sa.String(16)))
    for role in _ROLES:
        op.execute(
            f"UPDATE audit_writer SET role = '{role}' WHERE writer_id IN (SELECT writer_id FROM audit_admin"
            f" WHERE writer_seq = 1 AND action = 'start' AND detail LIKE '%\"role\":\"{role}\"%')"
        )


def downgrade() -> None:
    """The first rows go on telling it."""
    op.drop_column("audit_writer", "role")
