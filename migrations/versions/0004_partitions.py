"""In PostgreSQL: tables partitioned by time, and rows that only their tables' owner may change.

A table can't become partitioned: each is made anew and its rows are moved, which takes as long again as they
take on the disk, and as much room. Rights that were granted on these four tables have to be granted again
(`icapd db roles`).
"""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"

#: Table -> its key.
TABLES = {
    "audit_event": "writer_id, occurred_at, writer_seq",
    "audit_finding": "writer_id, occurred_at, writer_seq, item_no",
    "audit_admin": "writer_id, occurred_at, writer_seq",
    "audit_shadow": "writer_id, occurred_at, writer_seq",
}

APPEND_ONLY = """
    CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = tg_relid), 'USAGE') THEN
            RETURN CASE tg_op WHEN 'DELETE' THEN old ELSE new END;
        END IF;
        RAISE insufficient_privilege USING
            MESSAGE = format('%s of %s: audit rows are only ever added', tg_op, tg_table_name),
            HINT = 'Their retention and erasure is the business of the role that owns the table.';
    END $$
"""


def upgrade() -> None:
    """Makes a partition for each month that has rows, and the DEFAULT one. icapd makes those ahead."""
    if op.get_context().dialect.name != "postgresql":
        return
    op.execute(text(APPEND_ONLY.replace(":", r"\:")))
    for table, key in TABLES.items():
        _remake(table, key, "PARTITION BY RANGE (occurred_at)")
        for trigger, deed in (
            ("audit_append_only", "UPDATE OR DELETE ON {} FOR EACH ROW"),
            ("audit_no_truncate", "TRUNCATE ON {} FOR EACH STATEMENT"),
        ):
            op.execute(
                f"CREATE TRIGGER {trigger} BEFORE {deed.format(table)} EXECUTE FUNCTION audit_append_only()"
            )


def downgrade() -> None:
    """Moves the rows back to tables without partitions."""
    if op.get_context().dialect.name != "postgresql":
        return
    for table, key in TABLES.items():
        _remake(table, key, "")
    op.execute("DROP FUNCTION audit_append_only()")


def _remake(table: str, key: str, partitioned: str) -> None:
    connection, before = op.get_bind(), f"{table}_before"
    of_table = {"table": table}
    # A site's own, too.
    found = text("SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = :table")
    indexes = [definition for (definition,) in connection.execute(found, of_table)]
    op.execute(f"ALTER TABLE {table} RENAME TO {before}")
    op.execute(f"CREATE TABLE {table} (LIKE {before} INCLUDING DEFAULTS) {partitioned}")
    if partitioned:
        op.execute("SET LOCAL timezone = 'UTC'")
        # Rows of a clock that was far ahead stay together in the DEFAULT partition.
        months = text(
            "SELECT DISTINCT date_trunc('month', occurred_at)::date,"
            f" (date_trunc('month', occurred_at) + interval '1 month')::date FROM {before}"
            " WHERE occurred_at < now() + interval '1 month'"
        )
        for since, until in connection.execute(months).all():
            op.execute(
                f"CREATE TABLE {table}_p{since:%Y%m%d} PARTITION OF {table}"
                f" FOR VALUES FROM ('{since} 00:00+00') TO ('{until} 00:00+00')"
            )
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    op.execute(f"INSERT INTO {table} SELECT * FROM {before}")
    op.execute(f"DROP TABLE {before}")
    op.execute(f"ALTER TABLE {table} ADD PRIMARY KEY ({key})")
    for definition in indexes:
        if not definition.startswith(f"CREATE UNIQUE INDEX {table}_pkey "):
            op.execute(text(definition.replace(" ON ONLY ", " ON ", 1).replace(":", r"\:")))
