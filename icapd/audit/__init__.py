"""Audit: one record per ICAP transaction, committed to SQL before its verdict leaves the server.

A record's way: `record` (what a record is) -> `storable` (made to fit any database) -> `writer` (committed
to the server's own SQLite file, its workers in turn by `locks`) -> `search` (read back, from SQLite or
PostgreSQL). `tables` is the one description of the schema; `migrations` makes it; `schema` knows whether a
database has it. `database` and `sqlite` hold what the others share: addresses, connections, and errors that
name the file and the remedy.
"""

from icapd.audit.record import AuditRecord, Disposition, FindingRecord, Inspection, Phase, Verdict
from icapd.audit.uuid7 import uuid7
from icapd.audit.writer import AuditWriter, reserve, serving_file

__all__ = [
    "AuditRecord",
    "AuditWriter",
    "Disposition",
    "FindingRecord",
    "Inspection",
    "Phase",
    "Verdict",
    "reserve",
    "serving_file",
    "uuid7",
]
