"""Entries of an outbox as rows of the audit tables."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import msgspec

from icapd.audit.outbox.file import Entry
from icapd.audit.record import AuditRecord
from icapd.audit.shadow import ShadowRecord
from icapd.audit.tables import audit_event, audit_finding, audit_shadow

#: A row's values in the order of its table's columns, less those that the database fills in itself. Its
#: instant, in column 1, is still in microseconds.
Row = tuple[Any, ...]

_KEY = 3
#: Behind the record's own columns an event has salt, commitment, chain and the time of the database's clock.
_event_values = attrgetter(*list(audit_event.c.keys())[_KEY:-4])
_finding_values = attrgetter(*list(audit_finding.c.keys())[_KEY + 1 :])
_shadow_values = attrgetter(*list(audit_shadow.c.keys())[_KEY:-1])

_event_decoder = msgspec.json.Decoder(AuditRecord)
_shadow_decoder = msgspec.json.Decoder(ShadowRecord)
_admin_decoder = msgspec.json.Decoder(tuple[str, str])


@dataclass(slots=True)
class Batch:
    """Rows by table, and the entries that can't be read as what they say they are, each with the problem."""

    events: list[Row] = field(default_factory=list)
    findings: list[Row] = field(default_factory=list)
    admin: list[Row] = field(default_factory=list)
    shadow: list[Row] = field(default_factory=list)
    unreadable: list[tuple[Entry, str]] = field(default_factory=list)

    def add(self, writer_id: int, entry: Entry) -> None:
        key = (writer_id, entry.occurred_at, entry.seq)
        match entry.kind:
            case "event":
                record = _event_decoder.decode(entry.body)
                proof = entry.salt, entry.commitment, entry.chain
                self.events.append((*key, *_event_values(record), *proof))
                for item_no, finding in enumerate(record.findings, 1):
                    self.findings.append((*key, item_no, *_finding_values(finding)))
            case "admin":
                self.admin.append((*key, *_admin_decoder.decode(entry.body), entry.chain))
            case "shadow":
                values = _shadow_values(_shadow_decoder.decode(entry.body))
                self.shadow.append((*key, *values, entry.chain))
            case _:
                raise msgspec.ValidationError(f"{entry.kind!r} is no kind of entry that this icapd knows")


def batch_of(writer_id: int, entries: Iterable[Entry]) -> Batch:
    """The rows of the entries."""
    batch = Batch()
    for entry in entries:
        try:
            batch.add(writer_id, entry)
        except msgspec.MsgspecError as error:
            batch.unreadable.append((entry, str(error)))
    return batch
