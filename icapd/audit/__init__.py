"""Audit: one record per ICAP transaction, durable on the local disk before its verdict leaves the server.

A record's way: `record` (what a record is) -> `storable` (made to fit any database) -> `outbox` (committed to
a file of its worker's own, numbered and chained by `canonical`) -> `shipping` (brought to the database, in
batches, by a process of its own, with signed checkpoints of `evidence`) -> `search` (read back). `tables` is
the one description of the schema; `migrations` makes it; `schema` knows whether a database has it;
`partitions` and `roles` are for PostgreSQL. `database` and `sqlite` hold what the others share: addresses,
connections, and errors that name the place and the remedy.
"""

from icapd.audit.evidence import notary_for
from icapd.audit.outbox.commit import Commit
from icapd.audit.outbox.directory import reserve
from icapd.audit.outbox.writer import AuditWriter
from icapd.audit.record import AuditRecord, Disposition, FindingRecord, Inspection, Phase, Verdict
from icapd.audit.shipping.destination import require_destination
from icapd.audit.uuid7 import uuid7

__all__ = [
    "AuditRecord",
    "AuditWriter",
    "Commit",
    "Disposition",
    "FindingRecord",
    "Inspection",
    "Phase",
    "Verdict",
    "notary_for",
    "require_destination",
    "reserve",
    "uuid7",
]
