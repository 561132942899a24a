"""Writes a worker's records to its outbox: what `write` returned from is durable, as the mode means it.

**What that promises.** A committed record survives the death of the process (kill -9, a crash) always: it is
with the kernel. In mode `durable`, the default, it is on the disk, too, and survives the death of the machine
(https://sqlite.org/pragma.html#pragma_synchronous); in `relaxed` the last commits before a loss of power may
be gone, never the file.

**Streams** end long after their first bytes were passed on. So a stream gets a provisional record when it
opens, renewed whenever it has a new finding, which its final record replaces. What a dead writer left open
becomes records when its outbox is adopted: cut, with reason `server-stopped`.

**Numbers** have no gap, and each row's chain holds all rows before it (`canonical`).
"""

import os
import socket
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal, Self

import msgspec

from icapd import __version__
from icapd.audit import sqlite
from icapd.audit.outbox import directory as places
from icapd.audit.outbox.adoption import START, STOP
from icapd.audit.outbox.appender import Appender, now
from icapd.audit.outbox.file import OutboxFile, Writer
from icapd.audit.outbox.gaps import Clock, Gap
from icapd.audit.record import AuditRecord, Phase
from icapd.audit.shadow import ShadowRecord
from icapd.audit.storable import fit_text, storable
from icapd.errors import AuditError

#: `off`: nothing but what was done to the audit itself and to the policy.
Mode = Literal["durable", "relaxed", "off"]

#: Entries that one commit forgets at most, and so many that it is worth it.
_FORGOTTEN_AT_ONCE, _WORTH_IT = 1024, 64

_encode = msgspec.json.Encoder().encode


class AuditWriter:
    """One run of one worker: made by `open`, used by any of its threads, ended by `close`."""

    def __init__(self, outbox: OutboxFile, mark: places.Mark, writer: Writer, mode: Mode) -> None:
        self.file = outbox.path
        self.writer_id = writer.writer_id
        self.mode = mode
        self._outbox = outbox
        self._mark = mark
        self._appender = Appender(outbox, writer.writer_id)
        self._forgotten = 0
        self._identity = sqlite.identity(outbox.path)
        self._gap: Gap | None = None
        self._clock = Clock()
        self._thread_lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, directory: Path, *, max_size: int, mode: Mode = "durable", node: str | None = None) -> Self:
        """A writer with a new outbox in the directory, of at most so many bytes, and its start noted there.

        `node` names this server: the host's name unless given. Raises AuditError, naming the file and the
        remedy.
        """
        writer = _new_writer(node or socket.gethostname())
        path = places.file_of(directory, writer.writer_id)
        with ExitStack() as undo:
            mark = places.Mark(directory, writer.writer_id)
            undo.callback(mark.close)
            undo.callback(mark.remove)
            mark.lock()
            outbox = OutboxFile.create(path, writer, max_size=max_size, synchronous=mode != "relaxed")
            undo.callback(outbox.remove)
            opened = cls(outbox, mark, writer, mode)
            opened.note(START, {"mode": mode, **in_chain(writer)})
            undo.pop_all()
        return opened

    def write(self, record: AuditRecord) -> None:
        """Commits the record and its findings. AuditError: it can't be done, and nothing of it is stored."""
        self.write_all((("final", record),))

    def write_all(self, entries: Iterable[tuple[Phase, AuditRecord]]) -> None:
        """Commits them together. AuditError: it can't be done, and nothing of any is stored.

        A record that is `open` takes the place of an earlier one; `close` drops it.
        """
        if self.mode == "off":
            return
        with self._transaction():
            for phase, record in entries:
                fitting = storable(record)
                if phase == "open":
                    self._outbox.put_stream(record.event_id, _encode(fitting).decode())
                    continue
                self._appender.event(fitting)
                if phase == "close":
                    self._outbox.drop_stream(record.event_id)

    def note(self, action: str, detail: Mapping[str, object]) -> None:
        """Commits an administrative row: what was done to audit or policy. AuditError: it can't be."""
        with self._transaction():
            self._appender.admin(action, detail)

    def write_shadow(self, records: Iterable[ShadowRecord]) -> None:
        """Commits them together. AuditError: it can't be done."""
        with self._transaction():
            for record in records:
                self._appender.shadow(record)

    def check_writable(self) -> None:
        """AuditError when a record could not be written now, as far as can be told without writing one.

        Once that has failed, only a write tells that there is room again: what was not written is noted then.
        """
        with self._transaction():
            pass

    def close(self) -> None:
        """Notes the stop and lets go of the file; once is enough, and more does no harm."""
        if self._closed:
            return
        try:
            self.note(STOP, {})
        finally:
            self._closed = True
            self._outbox.close()
            self._mark.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Committed at the end; undone, its numbers too, on any exception. sqlite3's become AuditError."""
        with self._thread_lock:
            if self._closed:
                raise AuditError(f"{self.file}: this writer was closed")
            before = self._appender.state, self._forgotten
            try:
                self._require_file_in_place()
                with self._outbox.connection as connection:
                    connection.execute("BEGIN IMMEDIATE")
                    # First, for it makes room.
                    self._forget_shipped()
                    self._note_events_of_its_own()
                    yield
                self._gap = None
            except BaseException as error:
                self._appender.state, self._forgotten = before
                if isinstance(error, sqlite3.Error):
                    error = sqlite.failure(self.file, error)
                if isinstance(error, AuditError):
                    self._gap = Gap.widened(self._gap, now(), str(error))
                raise error from None

    def _note_events_of_its_own(self) -> None:
        """What a record could not be written for, and steps of the clock, are in the trail themselves."""
        if self._gap is not None:
            self._appender.admin("gap", self._gap.detail(now()))
        if step := self._clock.step():
            self._appender.admin("clock-step", {"seconds": round(step, 3)})

    def _forget_shipped(self) -> None:
        # The newest entry stays: whoever adopts the file goes on from its number and chain.
        up_to = min(self._mark.shipped, self._appender.sequence - 1, self._forgotten + _FORGOTTEN_AT_ONCE)
        if up_to - self._forgotten >= (_WORTH_IT if self._gap is None else 1):
            self._outbox.forget(up_to)
            self._forgotten = up_to

    def _require_file_in_place(self) -> None:
        """Without this, records would go on being committed to a file that has no name any more."""
        if sqlite.identity(self.file) != self._identity:
            raise AuditError(
                f"{self.file}: was removed or replaced while in use; put it back, or restart icapd"
            )


def in_chain(writer: Writer) -> dict[str, object]:
    """Of a writer, what its first row tells, so that it can't be said to have been another."""
    return {name: value for name, value in asdict(writer).items() if name != "writer_id"}


def _new_writer(node: str) -> Writer:
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot_id = ""
    return Writer(places.new_writer_id(), fit_text(node, limit=255), os.getpid(), __version__, now(), boot_id)
