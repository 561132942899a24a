"""Whole sessions without a socket: bytes in, bytes out, and the records that were made durable."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from support.adapting import LIMITS, catalogue_of

from icapd.audit import AuditRecord, AuditWriter, Phase
from icapd.icap.limits import CodecLimits
from icapd.policy import Policy
from icapd.server.engine import LOCAL, Peer
from icapd.server.session import Session
from icapd.server.session_context import SessionContext
from icapd.server.telemetry.metrics import Metrics
from icapd.services.body_memory import BodyMemory
from icapd.services.catalogue import Catalogue

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_DATE = re.compile(rb"\r\nDate: [^\r\n]+")
_CLOSE = b"\r\nConnection: close"


class RecordingAudit(AuditWriter):
    """The real writer, which also remembers what it wrote."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.opened: list[AuditRecord] = []
        self.records: list[AuditRecord] = []

    def write_all(self, entries: Iterable[tuple[Phase, AuditRecord]], *, waits: bool = True) -> None:
        entries = tuple(entries)
        super().write_all(entries, waits=waits)
        for phase, record in entries:
            if phase != "drop":
                (self.opened if phase == "open" else self.records).append(record)


class Workbench:
    """Everything that sessions share, with one small policy; each session's records apart."""

    def __init__(
        self,
        policy: Policy,
        directory: Path,
        limits: CodecLimits = CodecLimits(),
        *,
        mode: Literal["open", "closed"] = "open",
        memory: int = 2**30,
        patience: float = LIMITS.patience,
    ) -> None:
        """`memory`: bytes of all bodies that are held back together. `patience`: below 0, there is none."""
        self.audit = RecordingAudit.open(directory, max_size=2**30, mode="relaxed", role="worker")
        self.memory = BodyMemory(memory)
        self.catalogue: Catalogue = catalogue_of(policy, mode, patience=patience)
        self.context = SessionContext(
            catalogue=lambda: self.catalogue,
            audit=self.audit,
            blocks_unrecorded=False,
            codec_limits=limits,
            metrics=Metrics(),
            memory=self.memory,
            patience=patience,
        )

    def session(self, peer: Peer = LOCAL, *, defers: bool = False) -> Session:
        return Session(self.context, peer, defers=defers)

    def take_records(self) -> list[AuditRecord]:
        """What was recorded since the last call."""
        taken, self.audit.records, self.audit.opened = self.audit.records, [], []
        return taken

    def run(self, pieces: Iterable[bytes]) -> tuple[bytes, list[AuditRecord], Session]:
        """A new session fed with these; what it said, what was recorded."""
        session, out = self.session(), b""
        for piece in pieces:
            out += session.receive(piece)
            if session.connection.must_close:
                break
        return out, self.take_records(), session

    def settle(self, session: Session) -> bytes:
        """Do what a session left to be done; what it says then."""
        out = b""
        while session.pending is not None or session.apart is not None:
            if session.pending is not None:
                self.audit.write_all([(session.pending.phase, session.pending.record)])
                out += session.settle(durable=True)
            # Work that was apart before may come back after that.
            if session.apart is not None:
                session.apart.run()
                out += session.rejoin()
        return out

    def close(self) -> None:
        self.audit.close()


def plain(reply: bytes) -> bytes:
    """A reply less what differs from one transaction to the next: ids, the time, and whether it closes."""
    return _DATE.sub(b"", _UUID.sub(b"ID", reply)).replace(_CLOSE, b"")


def plain_record(record: AuditRecord) -> AuditRecord:
    """A record less its ids and times."""
    return replace(record, event_id="", txn_id="", occurred_at=0, latency_us=0)
