"""Brings what the outboxes of a directory hold to the database, also those of workers that are dead.

The outbox of a dead worker is adopted (`outbox.adoption`); once all of it is in the database its files go.
"""

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from icapd.audit.evidence.checkpoints import Checkpoint, Notary
from icapd.audit.outbox import directory as places
from icapd.audit.outbox.adoption import end_chain, is_end
from icapd.audit.outbox.file import Entry, OutboxFile, Writer
from icapd.audit.shipping.destination import Destination
from icapd.errors import AuditError, OutboxError

log = structlog.get_logger()

#: Entries in one transaction.
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is not in the database yet."""

    entries: int = 0
    #: Bytes that the outboxes take.
    size: int = 0
    #: When the oldest of it occurred, in microseconds since 1970-01-01 UTC; 0 when there is nothing.
    oldest: int = 0


class _Source:
    """One outbox that is being shipped."""

    def __init__(self, outbox: OutboxFile, mark: places.Mark, writer: Writer) -> None:
        self.outbox, self.mark, self.writer = outbox, mark, writer
        #: Up to which number all is in the database, as far as is known.
        self.shipped = 0
        #: Whether nobody will write to it any more.
        self.is_ended = False

    @property
    def is_shipped(self) -> bool:
        with self.outbox.errors():
            return self.outbox.last()[0] == self.shipped

    def read(self) -> list[Entry]:
        with self.outbox.errors():
            entries = self.outbox.read(self.shipped, BATCH)
        if entries:
            # The database must not know of what a loss of power takes away here: its numbers come again.
            self.outbox.sync()
        return entries

    def close(self) -> None:
        self.outbox.close()
        self.mark.close()


class Shipper:
    """One directory of outboxes and one database. Not for several threads."""

    def __init__(self, directory: Path, destination: Destination, notary: Notary) -> None:
        self._directory = directory
        self._destination = destination
        self._notary = notary
        self._sources: dict[int, _Source] = {}
        #: Outboxes that can't be read, each with the problem. They hold nothing else up.
        self.unreadable: dict[int, str] = {}

    def round(self) -> int:
        """Ship a batch from each outbox; returns how many entries that were.

        Raises AuditError when the database can't take them: what is left is shipped by a later round.
        """
        count = 0
        for writer_id in places.writers(self._directory):
            try:
                count += self._ship_one(writer_id)
            except OutboxError as error:
                if self.unreadable.get(writer_id) != str(error):
                    log.error("outbox-unreadable", problem=str(error))
                self.unreadable[writer_id] = str(error)
                self._let_go(writer_id)
            else:
                self.unreadable.pop(writer_id, None)
        return count

    def backlog(self) -> Backlog:
        """What is there now."""
        entries = size = 0
        oldest = []
        for source in self._sources.values():
            # An error the next round finds out about.
            with suppress(OutboxError), source.outbox.errors():
                entries += max(0, source.outbox.last()[0] - source.shipped)
                size += source.outbox.size()
                oldest += [entry.occurred_at for entry in source.outbox.read(source.shipped, 1)]
        return Backlog(entries, size, min(oldest, default=0))

    @property
    def problems(self) -> list[str]:
        """What a person should see to, though it holds nothing up."""
        return [*self.unreadable.values(), *self._notary.problems]

    @property
    def checkpointed_at(self) -> int:
        """When the newest checkpoint was signed, in microseconds since 1970; 0 when none was."""
        return self._notary.newest

    def close(self) -> None:
        for writer_id in tuple(self._sources):
            self._let_go(writer_id)
        self._destination.close()
        self._notary.close()

    def _ship_one(self, writer_id: int) -> int:
        source = self._sources.get(writer_id)
        if source is None:
            source = self._open(writer_id)
            if source is None:
                return 0
            self._sources[writer_id] = source
        problem: OutboxError | None = None
        if not source.is_ended and source.mark.lock():
            # Its worker is dead; nobody else can have the lock but another shipper, who would not let go.
            try:
                self._adopt(source)
            except OutboxError as error:
                # What has its number is shipped all the same.
                problem = error
        try:
            count = self._bring(source)
        except AuditError:
            # What was told to fail may have been done: it is looked at anew.
            self._notary.forget(writer_id)
            raise
        if problem is not None:
            raise problem
        return count

    def _bring(self, source: _Source) -> int:
        writer_id = source.writer.writer_id
        # Asked anew, for it may be another database by now.
        if not source.is_shipped and (shipped := self._destination.shipped(writer_id)) != source.shipped:
            source.shipped = shipped
            self._notary.forget(writer_id)
        if not self._notary.knows(writer_id):
            self._notary.learn(writer_id, self._destination.newest_checkpoint(writer_id))
        entries = source.read()
        if entries:
            newest = entries[-1]
            checkpoint = self._notary.due(writer_id, newest.seq, newest.chain, is_end=is_end(newest))
            self._destination.ship(source.writer, entries, checkpoint)
            source.shipped = newest.seq
            self._stored(checkpoint)
        else:
            self._state(source)
            if source.is_ended:
                self._remove(source)
                return 0
        if source.mark.shipped != source.shipped:
            source.mark.shipped = source.shipped
        return len(entries)

    def _state(self, source: _Source) -> None:
        """Have a checkpoint made of what was shipped before."""
        with source.outbox.errors():
            newest, chain = source.outbox.last()
        # Its worker may have written just now.
        if newest == source.shipped:
            checkpoint = self._notary.due(source.writer.writer_id, newest, chain, is_end=source.is_ended)
            if checkpoint is not None:
                self._destination.state(checkpoint)
                self._stored(checkpoint)

    def _stored(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            self._notary.stored(checkpoint)

    def _open(self, writer_id: int) -> _Source | None:
        """None when it has just gone, is being made, or was never begun."""
        with ExitStack() as undo:
            mark = places.Mark(self._directory, writer_id)
            undo.callback(mark.close)
            if mark.is_being_made():
                # Its worker would find it locked.
                return None
            outbox = OutboxFile.open(places.file_of(self._directory, writer_id), "rw")
            undo.callback(outbox.close)
            with outbox.errors():
                writer = outbox.writer()
                if writer is not None:
                    undo.pop_all()
                    return _Source(outbox, mark, writer)
                if not mark.lock():
                    raise OutboxError(f"{outbox.path}: was emptied while in use; restart icapd")
                # Its worker died before it had written anything.
                mark.remove()
                outbox.remove()
        return None

    def _adopt(self, source: _Source) -> None:
        with source.outbox.errors():
            end_chain(source.outbox, source.writer.writer_id)
        source.is_ended = True

    def _remove(self, source: _Source) -> None:
        # The mark first: whoever comes after a shipper that died here finds an outbox, and no mark alone.
        source.mark.remove()
        source.outbox.remove()
        self._let_go(source.writer.writer_id)

    def _let_go(self, writer_id: int) -> None:
        self._notary.forget(writer_id)
        source = self._sources.pop(writer_id, None)
        if source is not None:
            source.close()
