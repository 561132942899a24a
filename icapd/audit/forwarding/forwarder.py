"""Brings records from the database to a receiver: the cursor moves when they are taken, as far as it tells.

The cursor is a file, `{"WRITER_ID": WRITER_SEQ, ...}`: up to which number each writer's records are there.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO

from sqlalchemy import Connection

from icapd.audit import schema
from icapd.audit.database import Database
from icapd.audit.forwarding.receivers import Message, Receiver
from icapd.audit.search import Filters
from icapd.audit.stored import StoredEvent
from icapd.audit.tail import new_events, shipped
from icapd.errors import ConfigurationError

#: Records that a receiver gets at once; and in one look at the database, which has to keep that state of it.
_BATCH, _ONE_LOOK = 200, 10_000


class Cursor:
    """The file; locked, for two forwarders would undo each other's steps."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError when it can't be read, written or locked."""
        self._path = path
        try:
            with ExitStack() as undo:
                self._lock = undo.enter_context(path.with_name(f"{path.name}.lock").open("w"))
                _require_lock(self._lock, path)
                self._positions = _parsed(path, path.read_bytes()) if path.exists() else {}
                undo.pop_all()
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}") from None

    def of(self, writer_id: int) -> int:
        """Up to which number the writer's records are forwarded."""
        return self._positions.get(writer_id, 0)

    def move(self, writer_id: int, sequence: int) -> None:
        """Durable when this returns; ConfigurationError when it can't be."""
        self._positions[writer_id] = sequence
        part = self._path.with_name(f"{self._path.name}.part")
        try:
            with part.open("w") as file:
                json.dump({str(writer): number for writer, number in self._positions.items()}, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            raise ConfigurationError(f"{self._path}: can't be written: {error.strerror}") from None

    def close(self) -> None:
        self._lock.close()


class Forwarder:
    """One receiver's."""

    def __init__(
        self,
        database_url: str,
        filters: Filters,
        lines: Callable[[StoredEvent], Iterable[str]],
        receiver: Receiver,
        cursor: Cursor,
    ) -> None:
        self._database = Database.parse(database_url)
        self._filters, self._lines, self._receiver, self._cursor = filters, lines, receiver, cursor

    def round(self) -> int:
        """Forward what there is, up to some thousands; returns how many records, and 0 when there is nothing.

        Raises AuditError, UnreachableError: what was not taken then comes again in the next round.
        """
        with self._database.read() as connection:
            schema.require_head(connection, self._database)
            for writer_id, last in shipped(connection).items():
                if last > self._cursor.of(writer_id) and (sent := self._forward(connection, writer_id, last)):
                    return sent
        return 0

    def _forward(self, connection: Connection, writer_id: int, last: int) -> int:
        numbers = range(self._cursor.of(writer_id) + 1, last + 1)
        events = islice(new_events(connection, writer_id, numbers, self._filters), _ONE_LOOK)
        sent = 0
        while batch := list(islice(events, _BATCH)):
            self._receiver.send([Message(event, line) for event in batch for line in self._lines(event)])
            sent += len(batch)
            self._cursor.move(writer_id, batch[-1].writer_seq)
        if sent < _ONE_LOOK:
            # Behind them are none that match.
            self._cursor.move(writer_id, last)
        return sent


def _require_lock(file: IO[str], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(f"{path}: another forwarder uses this cursor; give each its own") from None


def _parsed(path: Path, data: bytes) -> dict[int, int]:
    try:
        return {int(writer): int(number) for writer, number in json.loads(data).items()}
    except (ValueError, AttributeError, TypeError):
        raise ConfigurationError(
            f"{path}: is no cursor; restore it, or move it away to forward everything again"
        ) from None
