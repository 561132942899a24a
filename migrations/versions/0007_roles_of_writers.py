"""What each writer is: a worker, a command that reads or changes the trail, or the server's own retention."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

#: A member of the text `detail`, in each kind of database.
_ROLE = {
    "sqlite": "json_extract(a.detail, '$.role')",
    "postgresql": "CAST(a.detail AS json) ->> 'role'",
    "mariadb": "json_value(a.detail, '$.role')",
}


def upgrade() -> None:
    """As its first row tells, which those of a time before roles don't. No table is remade, so views stay."""
    op.add_column("audit_writer", sa.Column("role", sa.String(16)))
    role = _ROLE[op.get_context().dialect.name]
    op.execute(
        f"UPDATE audit_writer SET role = (SELECT max({role}) FROM audit_admin a"
        " WHERE a.writer_id = audit_writer.writer_id AND a.writer_seq = 1 AND a.action = 'start')"
    )


def downgrade() -> None:
    """The first rows go on telling it."""
    op.drop_column("audit_writer", "role")
