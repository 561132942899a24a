"""Alembic's entry: runs revisions on the connection, and in the transaction, of icapd.audit.migrations.

Alembic's own command line hands over none; then `-x url=...` says where the database is.
"""

from typing import Any

from alembic import context
from sqlalchemy import Connection

from icapd.audit.database import Database
from icapd.audit.schema import VERSION_TABLE
from icapd.audit.tables import metadata


def run(connection: Connection) -> None:
    """Runs what the command asks for."""

    def is_compared(item: Any, name: str | None, kind: str, reflected: bool, counterpart: Any) -> bool:
        if reflected and counterpart is None:
            # A database may be shared, and may have indexes of its site's own; a column more in a table of
            # ours is drift.
            return kind == "column"
        return bool(item.info.get("not_in") != connection.dialect.name)

    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        include_object=is_compared,
        # SQLite's ALTER TABLE can do little; Alembic's batch mode copies the table.
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


handed_over: Connection | None = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    with Database.parse(context.get_x_argument(as_dictionary=True)["url"]).write() as connection:
        run(connection)
