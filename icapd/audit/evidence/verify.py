"""Verifies a trail: read-only, beside a server at work, in constant memory.

The database sorts; rows are streamed, and what is kept of them is the chain of the last one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, func, select, union

from icapd.audit import schema
from icapd.audit.coverage import Coverage
from icapd.audit.database import Database
from icapd.audit.evidence.archives import check as check_archives
from icapd.audit.evidence.claims import Claims
from icapd.audit.evidence.faults import Fault, Kind, Report
from icapd.audit.evidence.imported import database_of
from icapd.audit.evidence.judgement import Judgement
from icapd.audit.evidence.notes import NoteError, Verifier
from icapd.audit.evidence.reader import LOWEST, Reader
from icapd.audit.evidence.rows import Link, microseconds
from icapd.audit.outbox.adoption import START
from icapd.audit.retention import holds
from icapd.audit.tables import (
    NUMBERED,
    audit_admin,
    audit_checkpoint,
    audit_finding,
    audit_purge,
    audit_shipment,
    audit_writer,
)
from icapd.errors import AuditError

#: Microseconds for which a living writer may be without a checkpoint while others get theirs.
_SILENCE = 600 * 1_000_000
#: Bytes of a file with public keys.
_LONGEST_KEYS = 65536


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows; None asks for all. Those beside them are judged, too: what was cut off shows there."""

    since: int | None = None
    until: int | None = None
    writer_id: int | None = None

    @property
    def is_whole(self) -> bool:
        return self.since is None and self.until is None

    @property
    def time(self) -> Coverage:
        """The time alone."""
        return Coverage(self.since, self.until)

    @property
    def told(self) -> str:
        """For people."""
        since, until = self.time.written.values()
        writer = f"of writer {self.writer_id}, " if self.writer_id is not None else ""
        return f"{writer}from {since or 'the beginning'} to {until or 'the end'}"


def verify(
    database_url: str,
    verifiers: Mapping[bytes, Verifier],
    *,
    anchor_file: Path | None = None,
    archives: Sequence[Path] = (),
    scope: Scope = Scope(),
    advance: Callable[[int], None] = lambda _: None,
    expect: Callable[[int], None] = lambda _: None,
) -> Report:
    """Everything that is wrong with the trail; AuditError when that can't be told.

    `archives`: files of rows that were purged, which are read along with those that are there.

    `expect` is told how many rows there should be, `advance` every now and then how many more were looked at.
    """
    report = Report()
    database = Database.parse(database_url)
    # Before the state of the database that is looked at: what is anchored then is there.
    claims = Claims(verifiers, anchor_file, report)
    try:
        with database.read(waits=True) as connection, _rows_of(archives) as archived:
            schema.require_head(connection, database)
            check_archives(connection, archives, verifiers, report)
            _Verification(connection, archived, verifiers, claims, scope, report).run(advance, expect)
    finally:
        claims.close()
    return report


def read_verifiers(texts: list[str]) -> dict[bytes, Verifier]:
    """Public keys by their ids: each text is one, or a file with one in each line. Raises AuditError."""
    verifiers = {}
    for text in texts:
        lines = [text] if text.count("+") >= 2 and not Path(text).exists() else _lines_of(Path(text))
        for line in lines:
            try:
                verifier = Verifier.parse(line)
            except NoteError as error:
                raise AuditError(f"{text}: {error}; `icapd audit key` prints a public key") from None
            verifiers[verifier.id] = verifier
    return verifiers


def _lines_of(file: Path) -> list[str]:
    try:
        text = file.read_bytes()[:_LONGEST_KEYS].decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise AuditError(f"{file}: {reason}; give a public key, or a file of them") from None
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@contextmanager
def _rows_of(archives: Sequence[Path]) -> Iterator[Reader | None]:
    if not archives:
        yield None
        return
    with database_of(*archives) as database_url, Database.parse(database_url).read() as connection:
        yield Reader(connection)


class _Verification:
    def __init__(
        self,
        connection: Connection,
        archived: Reader | None,
        verifiers: Mapping[bytes, Verifier],
        claims: Claims,
        scope: Scope,
        report: Report,
    ) -> None:
        self._connection = connection
        self._verifiers = verifiers
        self._reader = Reader(connection)
        self._archived = archived
        self._claims = claims
        self._scope = scope
        self._report = report
        #: By writer, up to which number its rows were shipped.
        self._shipped = dict(self._pairs(audit_shipment.c.writer_id, audit_shipment.c.shipped_seq))

    def run(self, advance: Callable[[int], None], expect: Callable[[int], None]) -> None:
        writers = self._writers()
        expect(sum(count for writer_id, count in self._shipped.items() if writer_id in writers))
        newest = self._connection.execute(
            select(func.max(self._reader.instant(audit_checkpoint.c.signed_at)))
        ).scalar()
        for writer_id in writers:
            if type(writer_id) is not int:
                self._tell(Kind.ALTERED, writer_id, "", "rows of what is no writer")
                continue
            self._report.writers += 1
            is_gone = self._claims.is_gone(self._reader, writer_id)
            self._identify(writer_id, is_gone)
            self._judge(writer_id, is_gone, microseconds(newest), advance)
        if self._scope.is_whole and self._scope.writer_id is None:
            self._check_holds()

    def _check_holds(self) -> None:
        """Whether every hold is what it was, and there."""
        for hold in holds.stored(self._connection, self._verifiers):
            if hold.problem:
                self._tell(Kind.ALTERED, hold.writer_id, "audit_hold", hold.problem)
        for writer_id in holds.missing(self._connection):
            self._tell(Kind.MISSING, writer_id, "audit_hold", "the hold that the writer tells of")

    def _identify(self, writer_id: int, is_gone: bool) -> None:
        """Whether audit_writer says of the writer what its own first row says."""
        names = ("node", "process_id", "version", "boot_id", "role")
        columns = [self._reader.instant(audit_writer.c.started_at), *(audit_writer.c[name] for name in names)]
        row = self._connection.execute(select(*columns).where(audit_writer.c.writer_id == writer_id)).first()
        if row is None:
            if not is_gone:
                self._tell(Kind.MISSING, writer_id, "audit_writer", "the row that says who that writer is")
            return
        admin = audit_admin.c
        of_start = select(admin.detail).where(admin.writer_id == writer_id, admin.writer_seq == 1)
        told = self._connection.execute(of_start.where(admin.action == START)).scalar()
        try:
            start = msgspec.json.decode(told, type=dict[str, object]) if isinstance(told, str) else {}
        except (msgspec.MsgspecError, UnicodeEncodeError):
            # The row itself is told to be altered.
            return
        found = dict(zip(("started_at", *names), (microseconds(row[0]), *row[1:]), strict=True))
        # Of an icapd that had no chains the first row told no more than `version`.
        if "node" in start and any(start.get(name) != value for name, value in found.items()):
            self._tell(Kind.ALTERED, writer_id, "audit_writer", "is not what the writer's first row says")

    def _judge(
        self, writer_id: int, is_gone: bool, newest: int | None, advance: Callable[[int], None]
    ) -> None:
        first, lowest, last = 1, LOWEST, None
        if not self._scope.is_whole:
            bounds = self._bounds(writer_id)
            if bounds is None:
                return
            if self._scope.since is not None:
                first = max(1, bounds[0] - 1)
                # Where its chain begins.
                lowest = first - 1
            if self._scope.until is not None:
                # What nothing signed speaks for could be written anew, or cut off. None: to the writer's end.
                last = self._claims.first_behind(self._reader, writer_id, bounds[1] + 1)
        lowest_claim = first if first > 1 else LOWEST
        claims = self._claims.of(self._reader, writer_id, lowest_claim, last, is_gone=is_gone)
        shipped = self._shipped.get(writer_id)
        judgement = Judgement(writer_id, self._report, claims, first=first, shipped=shipped, is_gone=is_gone)
        judgement.follow(self._links(writer_id, lowest, last), advance)
        if last is not None:
            judgement.conclude_part(last)
            return
        has_ended, signed_at = judgement.conclude(), judgement.signed_at
        if not has_ended and newest is not None and signed_at is not None and newest - signed_at > _SILENCE:
            self._report.silent += 1

    def _bounds(self, writer_id: int) -> tuple[int, int] | None:
        """The lowest and the highest number of the writer's rows of the time, archived ones too."""
        readers = (self._reader, self._archived) if self._archived is not None else (self._reader,)
        each = [reader.bounds(writer_id, self._scope.since, self._scope.until) for reader in readers]
        found = [bounds for bounds in each if bounds is not None]
        return (min(found)[0], max(bounds[1] for bounds in found)) if found else None

    def _links(self, writer_id: object, first: int, last: int | None) -> Iterator[Link]:
        """The rows that are there and those that are archived; of one that is in both, the former."""
        links = self._reader.links(writer_id, first, last)
        if self._archived is None:
            return links
        archived = (link._replace(is_archived=True) for link in self._archived.links(writer_id, first, last))
        both = merge(links, archived, key=itemgetter(0))
        # Its form, its chain: the subject of the one may have been erased.
        return (next(same) for _, same in groupby(both, key=itemgetter(0, 1, 2, 3)))

    def _writers(self) -> list[object]:
        """All that any row is of, and any anchor; the only one that is asked for, if it is one of them."""
        tables = (audit_writer, audit_shipment, audit_checkpoint, audit_purge, *NUMBERED, audit_finding)
        only = self._scope.writer_id
        each = (select(table.c.writer_id).distinct() for table in tables)
        if only is not None:
            each = (select(table.c.writer_id).where(table.c.writer_id == only).distinct() for table in tables)
        found = {row[0] for row in self._connection.execute(union(*each))} | set(self._claims.writers())
        return sorted(found if only is None else found & {only}, key=str)

    def _pairs(self, *columns: Column[Any]) -> Iterator[tuple[int, int]]:
        """Of numbers; what is none is left out."""
        for one, other in self._connection.execute(select(*columns)):
            if type(one) is type(other) is int:
                yield one, other

    def _tell(self, kind: Kind, writer_id: object, place: str, problem: str) -> None:
        self._report.add(Fault(kind, writer_id, 0, place, problem))
