"""Promises of the schema that shipping, partitions and a distribution over many servers (Citus) rest on."""

from dataclasses import fields

import pytest
from sqlalchemy import Table, UniqueConstraint

from icapd.audit import migrations, partitions, schema
from icapd.audit.database import Database
from icapd.audit.record import AuditRecord, FindingRecord
from icapd.audit.tables import audit_admin, audit_event, audit_finding, metadata

KEY = ["writer_id", "occurred_at", "writer_seq"]
TABLES = [pytest.param(table, id=table.name) for table in metadata.sorted_tables]


@pytest.mark.parametrize(
    ("table", "key"),
    [
        pytest.param(audit_event, KEY, id="event"),
        pytest.param(audit_finding, [*KEY, "item_no"], id="finding"),
        pytest.param(audit_admin, KEY, id="admin"),
    ],
)
def test_key_can_be_partitioned_by_time_and_distributed_by_writer(table: Table, key: list[str]) -> None:
    assert table.primary_key.columns.keys() == key


@pytest.mark.parametrize("table", TABLES)
def test_no_database_hands_out_keys_or_ties_tables(table: Table) -> None:
    assert table.autoincrement_column is None
    assert not table.foreign_keys
    assert not [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    assert not [index for index in table.indexes if index.unique]


@pytest.mark.parametrize("table", TABLES)
def test_every_key_can_be_distributed_by_writer(table: Table) -> None:
    assert "writer_id" in table.primary_key.columns
    assert table.c.keys()[0] == "writer_id"


@pytest.mark.postgresql
def test_a_real_postgresql_has_nothing_that_can_t_be_distributed(postgresql_url: str) -> None:
    """Citus wants the column of distribution in every unique index, and no sequence to be shared."""
    migrations.upgrade(postgresql_url)
    with Database.parse(postgresql_url).read() as connection:

        def found(statement: str) -> list[str]:
            return [str(row[0]) for row in connection.exec_driver_sql(statement)]

        ours = "relnamespace = current_schema()::regnamespace"
        assert found(f"SELECT relname FROM pg_class WHERE relkind = 'S' AND {ours}") == []
        assert found("SELECT attname FROM pg_attribute WHERE attidentity <> '' AND attrelid > 16383") == []
        assert found("SELECT conname FROM pg_constraint WHERE contype = 'f'") == []
        unique = f"""
            SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
            WHERE i.indisunique AND c.{ours} AND NOT EXISTS (
                SELECT FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attname = 'writer_id' AND a.attnum = ANY (i.indkey))"""
        assert found(unique) == [schema.VERSION_TABLE]
        partitioned = "SELECT relname FROM pg_class WHERE relkind = 'p' ORDER BY 1"
        assert found(partitioned) == sorted(partitions.TABLES)


def test_columns_are_the_record_s_fields_behind_the_key() -> None:
    event = [field.name for field in fields(AuditRecord) if field.name not in ("findings", "occurred_at")]
    finding = [field.name for field in fields(FindingRecord)]
    proof = ["subject_salt", "subject_commitment", "chain", "recorded_at"]
    assert audit_event.c.keys() == [*KEY, *event, *proof]
    assert audit_finding.c.keys() == [*KEY, "item_no", *finding]
