"""Numbers what goes into an outbox, and links it to the chain."""

import os
import time
from collections.abc import Mapping

import msgspec

from icapd.audit import canonical
from icapd.audit.outbox.file import Entry, Kind, OutboxFile
from icapd.audit.record import AuditRecord
from icapd.audit.shadow import ShadowRecord

_encode = msgspec.json.Encoder().encode


class Appender:
    """The end of one outbox. Whose transaction is undone has to set `state` back, too."""

    __slots__ = ("_outbox", "_writer_id", "state")

    def __init__(self, outbox: OutboxFile, writer_id: int) -> None:
        self._outbox = outbox
        self._writer_id = writer_id
        #: The number and the chain of the newest entry.
        self.state = outbox.last()

    @property
    def sequence(self) -> int:
        return self.state[0]

    def event(self, record: AuditRecord) -> None:
        """`record`: storable."""
        key = self._next_key(record.occurred_at)
        salt = os.urandom(canonical.SALT_SIZE)
        commitment = canonical.commitment_to(salt, record)
        form = canonical.event_form(key, record, commitment)
        self._append(key, "event", _encode(record), form, salt, commitment)

    def admin(self, action: str, detail: Mapping[str, object]) -> None:
        text = _encode(detail).decode()
        key = self._next_key(now())
        self._append(key, "admin", _encode((action, text)), canonical.admin_form(key, action, text))

    def shadow(self, record: ShadowRecord) -> None:
        key = self._next_key(record.occurred_at)
        self._append(key, "shadow", _encode(record), canonical.shadow_form(key, record))

    def _next_key(self, occurred_at: int) -> canonical.Key:
        return self._writer_id, occurred_at, self.sequence + 1

    def _append(
        self,
        key: canonical.Key,
        kind: Kind,
        body: bytes,
        form: bytes,
        salt: bytes | None = None,
        commitment: bytes | None = None,
    ) -> None:
        _, occurred_at, sequence = key
        chain = canonical.next_link(self.state[1], form)
        self._outbox.append(Entry(sequence, kind, occurred_at, body.decode(), salt, commitment, chain))
        self.state = sequence, chain


def now() -> int:
    """Microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000
