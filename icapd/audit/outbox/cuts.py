"""Messages that flowed until a record of theirs could not be kept, and were ended for it.

Their provisional record would stay until the worker's end, and then say that this was what cut them.
"""

import threading
from dataclasses import replace

from icapd.audit.outbox.appender import Appender
from icapd.audit.outbox.file import OutboxFile
from icapd.audit.record import AuditRecord
from icapd.audit.storable import storable


class Cuts:
    """Those that have no row yet. `write` them within a transaction, and tell when that is `written`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, AuditRecord] = {}
        self._taken: tuple[str, ...] = ()

    def add(self, record: AuditRecord) -> None:
        """What could not be kept of one; in any thread. Its row is that, if it has a provisional record."""
        cut = replace(record, disposition="cut", inspection="error", skip_reason="unrecorded")
        with self._lock:
            self._records[record.event_id] = storable(cut)

    def write(self, outbox: OutboxFile, appender: Appender) -> None:
        with self._lock:
            records = tuple(self._records.values())
        self._taken = tuple(record.event_id for record in records)
        for record in records:
            if outbox.drop("stream", record.event_id):
                appender.event(record)

    def written(self) -> None:
        """What was last written is on record."""
        with self._lock:
            for event_id in self._taken:
                del self._records[event_id]
        self._taken = ()
