"""Rows as they are stored: a JSON object per line, and CSV for spreadsheets.

JSON lines hold every column and, with the other tables' lines, the whole trail: `table` says which one a line
is of, instants are ISO 8601 in UTC, bytes are hexadecimal.
"""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import astuple, fields

from icapd.audit import instants
from icapd.audit.formats.text import cell
from icapd.audit.record import AuditRecord, FindingRecord
from icapd.audit.stored import PlainRow, StoredEvent
from icapd.audit.tables import Instant, metadata

#: The names of all columns that hold points in time.
INSTANTS = frozenset(
    column.name
    for table in metadata.tables.values()
    for column in table.c
    if isinstance(column.type, Instant)
)
_EVENT_FIELDS = [field.name for field in fields(AuditRecord) if field.name not in ("occurred_at", "findings")]
_FINDING_FIELDS = [field.name for field in fields(FindingRecord)]
#: The columns of CSV: of records, and of events with who wrote them.
RECORD_COLUMNS = ("occurred_at", *_EVENT_FIELDS, "item_no", *_FINDING_FIELDS)
COLUMNS = ("occurred_at", *_EVENT_FIELDS, "node", "writer_id", "writer_seq", "item_no", *_FINDING_FIELDS)


def plain_row(event: StoredEvent) -> PlainRow:
    """The event as a row like those of the other tables, with the server's name, and its findings inside."""
    record = event.record
    return {
        "table": "audit_event",
        "writer_id": event.writer_id,
        "occurred_at": record.occurred_at,
        "writer_seq": event.writer_seq,
        **{name: getattr(record, name) for name in _EVENT_FIELDS},
        "subject_salt": _hex(event.subject_salt),
        "subject_commitment": _hex(event.subject_commitment),
        "chain": _hex(event.chain),
        "recorded_at": event.recorded_at,
        "node": event.node,
        "findings": [
            dict(zip(_FINDING_FIELDS, astuple(finding), strict=True)) for finding in record.findings
        ],
    }


def json_line(row: PlainRow) -> str:
    """One line of ASCII."""
    return json.dumps(
        {
            name: instants.iso(value) if name in INSTANTS and value is not None else value
            for name, value in row.items()
        }
    )


def csv_line(values: Sequence[object]) -> str:
    """A line of RFC 4180, every cell guarded."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([cell(value) for value in values])
    return line.getvalue()


def csv_lines(event: StoredEvent) -> list[str]:
    """A line for each finding, or one for an event without any."""
    return record_lines(event.record, event.node, event.writer_id, event.writer_seq)


def record_lines(record: AuditRecord, *writer: object) -> list[str]:
    """The same of a record; `writer`: what stands between it and its findings."""
    shared = (
        instants.iso(record.occurred_at),
        *(getattr(record, name) for name in _EVENT_FIELDS),
        *writer,
    )
    if not record.findings:
        return [csv_line((*shared, *[None] * (1 + len(_FINDING_FIELDS))))]
    return [csv_line((*shared, item_no, *astuple(one))) for item_no, one in enumerate(record.findings, 1)]


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
