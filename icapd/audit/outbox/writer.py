"""Writes a worker's records to its outbox: what `write` returned from is durable, as the mode means it.

**What that promises.** A committed record survives the death of the process (kill -9, a crash) always: it is
with the kernel. In mode `durable`, the default, it is on the disk, too, and survives the death of the machine
(https://sqlite.org/pragma.html#pragma_synchronous); in `relaxed` the last commits before a loss of power may
be gone, never the file; in `strict` the database has it as well.

**Streams** end long after their first bytes were passed on. So a stream gets a provisional record when it
opens, renewed whenever it has a new finding, which its final record replaces. What a dead writer left open
becomes records when its outbox is adopted: cut, with reason `server-stopped`.

**Messages without a row**, where the policy wants none, are counted; the counts are rows (`omitted`).

**Numbers** have no gap, and each row's chain holds all rows before it (`canonical`).
"""

import socket
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import msgspec

from icapd.audit import sqlite
from icapd.audit.outbox import directory as places
from icapd.audit.outbox.adoption import START, STOP
from icapd.audit.outbox.appender import Appender, now
from icapd.audit.outbox.commit import Commit, Lane
from icapd.audit.outbox.cuts import Cuts
from icapd.audit.outbox.file import Mode, OutboxFile, Role, Writer
from icapd.audit.outbox.floods import Floods
from icapd.audit.outbox.identity import in_chain, new_writer
from icapd.audit.outbox.omitted import Omitted
from icapd.audit.outbox.remarks import Remarks, Watermark
from icapd.audit.record import AuditRecord, Phase
from icapd.audit.shadow import ShadowRecord
from icapd.audit.storable import storable
from icapd.errors import AuditBusyError, AuditError

#: Entries that one commit forgets at most, and so many that it is worth it.
_FORGOTTEN_AT_ONCE, _WORTH_IT = 1024, 64

_encode = msgspec.json.Encoder().encode


class AuditWriter:
    """One run of one worker: made by `open`, used by any of its threads, ended by `close`."""

    def __init__(
        self,
        outbox: OutboxFile,
        mark: places.Mark,
        writer: Writer,
        mode: Mode,
        patience: float,
        coalesce_after: int,
    ) -> None:
        self.file = outbox.path
        self.writer_id = writer.writer_id
        self.mode = mode
        self.patience = patience
        self._outbox = outbox
        self._mark = mark
        self._appender = Appender(outbox, writer.writer_id)
        # What is counted is not in the database until its second is over.
        self._floods = Floods(0 if mode == "strict" else coalesce_after)
        self._forgotten = 0
        self._identity = sqlite.identity(outbox.path)
        self._omitted = Omitted()
        #: Is told of messages that flowed and were ended because they could not be recorded.
        self.cuts = Cuts()
        self._remarks = Remarks()
        self._watermark = Watermark(outbox.max_size)
        self._lane = Lane(patience)
        #: In `strict`: the newest entry that came late. Until the database has it, nothing is waited for.
        self._awaited = 0
        self._closed = False

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        max_size: int,
        mode: Mode = "durable",
        role: Role,
        node: str | None = None,
        patience: float = 5.0,
        coalesce_after: int = 0,
    ) -> Self:
        """A writer with a new outbox in the directory, of at most so many bytes, and its start noted there.

        `node` names this server: the host's name unless given. `patience`: seconds that a record may take.
        `coalesce_after`: equal records in a second that have rows of their own (`floods`). Raises AuditError,
        naming the file and the remedy.
        """
        writer = new_writer(node or socket.gethostname(), role)
        path = places.file_of(directory, writer.writer_id)
        with ExitStack() as undo:
            mark = places.Mark(directory, writer.writer_id)
            undo.callback(mark.close)
            undo.callback(mark.remove)
            mark.lock()
            outbox = OutboxFile.create(path, writer, max_size=max_size, mode=mode)
            undo.callback(outbox.remove)
            opened = cls(outbox, mark, writer, mode, patience, coalesce_after)
            opened.note(START, {"mode": mode, **in_chain(writer)})
            mark.shipped = 0
            undo.pop_all()
        return opened

    @property
    def waits(self) -> bool:
        """Whether a commit waits for more than this process."""
        return self.mode in ("durable", "strict")

    def write(self, record: AuditRecord) -> None:
        """Commits the record and its findings. AuditError: it can't be done, and nothing of it is stored."""
        self.write_all((("final", record),))

    def write_all(self, entries: Iterable[tuple[Phase, AuditRecord]], *, waits: bool = True) -> None:
        """Commits them together. AuditError: it can't be done, and nothing of any is stored.

        A record that is `open` takes the place of an earlier one; `close` and `drop` end it. Without `waits`,
        `strict` is as `durable`: no verdict depends on it. AuditBusyError, too, for those that came late.
        """
        self.prepare(entries, waits=waits)()

    def prepare(self, entries: Iterable[tuple[Phase, AuditRecord]], *, waits: bool = True) -> Commit:
        """Does the same but for the commit, which the caller has to make; other writes wait for it."""
        if self.mode == "off":
            return Commit(lambda _: None, lambda: self._came_late(1, 0, 0))
        waits = waits and self.mode == "strict"
        entries = tuple(entries)
        with ExitStack() as undo:
            undo.enter_context(self._transaction(needs_database=waits))
            first = self._appender.sequence + 1
            self._put(entries)
            last = self._appender.sequence
            finish = undo.pop_all()

        def commit(commit: Commit) -> None:
            finish.close()
            if waits and last >= first:
                commit.await_shipped(self._mark, last, self.patience)

        return Commit(commit, lambda: self._came_late(first, last, len(entries)))

    def _put(self, entries: Iterable[tuple[Phase, AuditRecord]]) -> None:
        tallies = {}
        for phase, record in entries:
            if phase in ("close", "drop"):
                self._outbox.drop("stream", record.event_id)
            if phase == "drop":
                continue
            fitting = storable(record)
            if phase == "open":
                self._outbox.put("stream", record.event_id, _encode(fitting).decode())
            elif (tally := self._floods.tally(fitting)) is None:
                self._appender.event(fitting)
            else:
                tallies[tally.event_id] = tally
        for event_id, tally in tallies.items():
            self._outbox.put("tally", event_id, _encode(tally).decode())

    def refuse(self, error: AuditError) -> None:
        """What was to be written was not tried: part of the gap."""
        self._remarks.failed(str(error))

    def count_omitted(self, scope: str) -> None:
        """One more message, of this scope of the policy, is over that has no row. Waits for nothing."""
        if self.mode != "off":
            self._omitted.add(scope, now())

    def note(self, action: str, detail: Mapping[str, object]) -> None:
        """Commits an administrative row: what was done to audit or policy. AuditError: it can't be."""
        with self._transaction():
            self._appender.admin(action, detail)

    def write_shadow(self, records: Iterable[ShadowRecord]) -> None:
        """Commits them together. AuditError: it can't be done."""
        if self.mode == "off":
            return
        with self._transaction():
            for record in records:
                self._appender.shadow(record)

    def check_writable(self) -> None:
        """AuditError when a record could not be written now, as far as can be told without writing one.

        Once that has failed, only a write tells that there is room again: what was not written is noted then.
        """
        with self._transaction(needs_database=self.mode == "strict"):
            size = self._outbox.size()
            if crossed := self._watermark.crossed(size):
                self._appender.admin(crossed, {"bytes": size, "limit": self._outbox.max_size})
        if crossed:
            self._watermark.noted()

    def close(self) -> None:
        """Notes the stop and lets go of the file; once is enough, and more does no harm."""
        if self._closed:
            return
        try:
            with self._transaction(is_end=True):
                self._appender.admin(STOP, {})
        finally:
            self._closed = True
            self._outbox.close()
            self._mark.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self, *, needs_database: bool = False, is_end: bool = False) -> Iterator[None]:
        """Committed at the end; undone, its numbers too, on any exception. sqlite3's become AuditError."""
        try:
            self._lane.enter()
        except AuditError as error:
            self._remarks.failed(str(error))
            raise
        try:
            if self._closed:
                raise AuditError(f"{self.file}: this writer was closed")
            before = self._appender.state, self._forgotten
            omitted, until = self._omitted.due(last=is_end), now()
            ended = self._floods.begin(is_end=is_end)
            try:
                self._require_file_in_place()
                if needs_database:
                    self._require_shipped()
                with self._outbox.connection as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    # First, for it makes room.
                    self._forget_shipped()
                    self._remarks.write(self._appender)
                    for count in omitted:
                        self._appender.admin("not-recorded", count.detail(until))
                    for tally in ended:
                        self._appender.event(tally)
                        self._outbox.drop("tally", tally.event_id)
                    self.cuts.write(self._outbox, self._appender)
                    yield
                self._remarks.written()
                self.cuts.written()
                self._omitted.noted(omitted, until)
            except BaseException as error:
                self._appender.state, self._forgotten = before
                self._floods.undo()
                self._remarks.undo()
                if isinstance(error, sqlite3.Error):
                    error = sqlite.failure(self.file, error)
                if isinstance(error, AuditError):
                    self._remarks.failed(str(error))
                elif isinstance(error, Exception):
                    # A defect of ours, whose text may hold anything.
                    self._remarks.failed(f"internal error: {type(error).__name__}")
                raise error from None
        finally:
            self._lane.leave()

    def _came_late(self, first: int, last: int, entries: int) -> AuditError:
        error = AuditBusyError(f"{self.file}: records took over {self.patience:g} s; see `icapd status`")
        if last >= first:
            self._remarks.came_late(first, last)
            self._awaited = max(last, self._awaited)
        if last - first + 1 < entries:
            # Provisional records have no numbers, nor has what a flood counts.
            self._remarks.failed(str(error))
        return error

    def _require_shipped(self) -> None:
        """In `strict`, once a record came late: whether the database has it by now."""
        if self._mark.shipped < self._awaited:
            raise AuditBusyError(
                f"{self.file}: the database has not taken record {self._awaited} yet, and [audit] mode is"
                " strict; `icapd status` tells how the database is"
            )

    def _forget_shipped(self) -> None:
        # The newest entry stays: whoever adopts the file goes on from its number and chain.
        up_to = min(self._mark.shipped, self._appender.sequence - 1, self._forgotten + _FORGOTTEN_AT_ONCE)
        if up_to - self._forgotten >= (1 if self._remarks.has_gap else _WORTH_IT):
            self._outbox.forget(up_to)
            self._forgotten = up_to

    def _require_file_in_place(self) -> None:
        """Without this, records would go on being committed to a file that has no name any more."""
        if sqlite.identity(self.file) != self._identity:
            raise AuditError(
                f"{self.file}: was removed, emptied or replaced while in use; put it back, or restart icapd"
            )
