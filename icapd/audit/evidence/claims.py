"""What is signed about a writer: its checkpoints in the database, copies outside of it, what was purged."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from heapq import merge
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import func, select

from icapd.audit import instants
from icapd.audit.evidence import anchors, purges
from icapd.audit.evidence.checkpoints import NONE_BEFORE, parse
from icapd.audit.evidence.faults import Fault, Kind, Report
from icapd.audit.evidence.notes import NoteError, Verifier
from icapd.audit.evidence.reader import Reader
from icapd.audit.evidence.rows import microseconds, number
from icapd.audit.tables import audit_checkpoint, audit_purge

STORED, ANCHORED, PURGED = "audit_checkpoint", "anchor", "audit_purge"


class Claim(NamedTuple):
    """Signed: the row of that number has that chain."""

    seq: int
    signed_at: int
    #: STORED, ANCHORED or PURGED.
    place: str
    chain: bytes
    #: Of the row before a stretch that was purged: the number of the stretch's last row.
    purged_to: int = 0
    #: Of the last row of such a stretch: whether it was its writer's end.
    is_end: bool = False


class Claims:
    """All that is signed, read once when it is made as far as it lies outside; raises AuditError then."""

    def __init__(self, verifiers: Mapping[bytes, Verifier], anchor_file: Path | None, report: Report) -> None:
        self._verifiers = verifiers
        self._report = report
        # A temporary file, so that a year of anchors takes no memory.
        self._anchors = sqlite3.connect("")
        self._anchors.execute(
            "CREATE TABLE anchor (writer_id, seq, signed_at, chain,"
            " PRIMARY KEY (writer_id, seq, signed_at, chain)) WITHOUT ROWID"
        )
        if anchor_file is not None:
            for note in anchors.read(anchor_file):
                self._take(note)

    def close(self) -> None:
        self._anchors.close()

    def writers(self) -> Iterator[int]:
        """Whom anchors speak of."""
        for (writer_id,) in self._anchors.execute("SELECT DISTINCT writer_id FROM anchor"):
            yield writer_id

    def is_gone(self, reader: Reader, writer_id: object) -> bool:
        """Whether retention took all of the writer, to its end: then nothing else need speak of it."""
        whole = audit_purge.c.first_seq == 1
        with suppress(NoteError):
            for row in list(reader.stream(purges.statement(reader, writer_id, whole))):
                return purges.parse_row(writer_id, row, self._verifiers).is_end
        return False

    def first_behind(self, reader: Reader, writer_id: object, seq: int) -> int | None:
        """The lowest number from that one on that a checkpoint or an anchor speaks for."""
        column = audit_checkpoint.c
        lowest = select(func.min(column.writer_seq)).where(
            column.writer_id == writer_id, column.writer_seq >= seq
        )
        ((stored,),) = reader.stream(lowest)
        anchor = "SELECT min(seq) FROM anchor WHERE writer_id = ? AND seq >= ?"
        (anchored,) = self._anchors.execute(anchor, (writer_id, seq)).fetchone()
        return min((one for one in (stored, anchored) if type(one) is int), default=None)

    def of(
        self, reader: Reader, writer_id: object, first: int, last: int | None, *, is_gone: bool = False
    ) -> Iterator[Claim]:
        """All about the writer's rows of those numbers, in their order. Tells what is wrong with them.

        Of a writer that is gone (`is_gone`), the checkpoints are, too, and no anchor is told to lack its own.
        """
        anchored: Claim | None = None
        for claim in merge(
            self._stored(reader, writer_id, first, last),
            self._anchored(writer_id, first, last),
            self._purged(reader, writer_id, first, last),
        ):
            # The anchor comes just before what it is a copy of.
            if anchored is not None and claim[:2] != anchored[:2]:
                self._tell_missing(writer_id, anchored)
            anchored = claim if claim.place == ANCHORED and not is_gone else None
            yield claim
        if anchored is not None:
            self._tell_missing(writer_id, anchored)

    def _stored(self, reader: Reader, writer_id: object, first: int, last: int | None) -> Iterator[Claim]:
        column = audit_checkpoint.c
        statement = select(
            column.writer_seq, reader.instant(column.signed_at), column.chain, column.note
        ).where(column.writer_id == writer_id, column.writer_seq >= first)
        if last is not None:
            statement = statement.where(column.writer_seq <= last)
        previous = NONE_BEFORE if first <= 1 else None
        for seq, signed_at, chain, note in reader.stream(
            statement.order_by(column.writer_seq, column.signed_at)
        ):
            self._report.checkpoints += 1
            try:
                checkpoint = parse(note if isinstance(note, str) else "", self._verifiers)
                if checkpoint[:4] != (writer_id, microseconds(signed_at), seq, chain):
                    raise NoteError("the columns are not what the note says")
            except NoteError as error:
                self._tell(Kind.ALTERED, writer_id, number(seq), STORED, f"the checkpoint: {error}")
                # What comes behind it names the note that it was.
                previous = None
                continue
            if previous is not None and checkpoint.previous != previous:
                before = f"the checkpoint before that of {instants.iso(checkpoint.signed_at)}"
                self._tell(Kind.MISSING, writer_id, checkpoint.writer_seq, STORED, before)
            previous = checkpoint.digest
            yield Claim(checkpoint.writer_seq, checkpoint.signed_at, STORED, checkpoint.chain)

    def _anchored(self, writer_id: object, first: int, last: int | None) -> Iterator[Claim]:
        rows = self._anchors.execute(
            "SELECT seq, signed_at, chain FROM anchor WHERE writer_id = ? AND seq >= ? AND seq <= ?"
            " ORDER BY seq, signed_at",
            (writer_id, first, 2**63 - 1 if last is None else last),
        )
        for seq, signed_at, chain in rows:
            yield Claim(seq, signed_at, ANCHORED, chain)

    def _purged(self, reader: Reader, writer_id: object, first: int, last: int | None) -> Iterator[Claim]:
        """Of each stretch, the row before it and its last one."""
        column = audit_purge.c
        wanted = [column.last_seq >= max(first - 1, 1)]
        if last is not None:
            wanted.append(column.first_seq <= last)
        for row in reader.stream(purges.statement(reader, writer_id, *wanted)):
            self._report.purges += 1
            try:
                purge = purges.parse_row(writer_id, row, self._verifiers)
            except NoteError as error:
                self._tell(
                    Kind.ALTERED, writer_id, number(row[0]), PURGED, f"the statement of a purge: {error}"
                )
                continue
            yield Claim(purge.first - 1, purge.purged_at, PURGED, purge.before, purged_to=purge.last)
            yield Claim(purge.last, purge.purged_at, PURGED, purge.chain, is_end=purge.is_end)

    def _take(self, note: str) -> None:
        self._report.anchors += 1
        try:
            checkpoint = parse(note, self._verifiers)
        except NoteError as error:
            self._tell(Kind.ALTERED, None, 0, ANCHORED, f"anchor {self._report.anchors}: {error}")
            return
        row = (checkpoint.writer_id, checkpoint.writer_seq, checkpoint.signed_at, checkpoint.chain)
        self._anchors.execute("INSERT OR IGNORE INTO anchor VALUES (?, ?, ?, ?)", row)

    def _tell_missing(self, writer_id: object, claim: Claim) -> None:
        problem = f"the checkpoint of {instants.iso(claim.signed_at)}, of which there is an anchor"
        self._tell(Kind.MISSING, writer_id, claim.seq, STORED, problem)

    def _tell(self, kind: Kind, writer_id: object, seq: int, place: str, problem: str) -> None:
        self._report.add(Fault(kind, writer_id, seq, place, problem))
