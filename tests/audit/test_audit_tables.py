"""Promises of the schema that later parts (shipping, partitions, distribution) rest on."""

from dataclasses import fields

import pytest
from sqlalchemy import Table, UniqueConstraint

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


def test_columns_are_the_record_s_fields_behind_the_key() -> None:
    event = [field.name for field in fields(AuditRecord) if field.name not in ("findings", "occurred_at")]
    finding = [field.name for field in fields(FindingRecord)]
    assert audit_event.c.keys() == [*KEY, *event]
    assert audit_finding.c.keys() == [*KEY, "item_no", *finding]
