"""Who may write to a SQLite file: one server at a time, its workers in turn, and each known to be alive.

All locks are on FILE.lock and end with the process that holds them, however it ends. They are on a file of
their own: closing a second descriptor of the database would drop SQLite's own locks
(https://sqlite.org/howtocorrupt.html section 2.2).

- The **server's** lock is a flock(2) on the whole file.
- A **writer** that lives holds the byte at its own writer_id (an open file description lock, fcntl(2)), so
  that another one can tell whether streams in `audit_open` are somebody's still.
- The **turn** to write is byte 0. SQLite's own way of waiting for a lock is to sleep, from a millisecond up,
  and then to try again: with four writers at their limit one waited for 434 ms, close to where records fail.
"""

import fcntl
import os
import struct
from pathlib import Path
from secrets import randbelow
from types import TracebackType
from typing import IO

from icapd.audit import sqlite
from icapd.errors import AuditError

_TURN = 0
_HIGHEST_WRITER = 2**63 - 1
#: struct flock of Linux: type, whence, start, len, pid.
_FLOCK = struct.Struct("@hhqqi")


def new_writer_id() -> int:
    """A random one: writers of many servers may meet in one site's database, and nobody hands out numbers."""
    return randbelow(_HIGHEST_WRITER) + 1


def lock_for_serving(file: Path) -> IO[bytes]:
    """The right to be the one server that writes to this file; AuditError when another has it.

    It is held until the returned file is closed or the process is gone.
    """
    lock = _open(file)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise AuditError(
            f"{file}: another icapd writes to it; stop that one, or give this one an [audit] database_url"
            " of its own"
        ) from None
    return lock


class Turn:
    """A writer's sign of life and, as a context, its turn to write. One thread at a time may use it."""

    def __init__(self, file: Path, writer_id: int) -> None:
        """Raises AuditError when the lock's file can't be had."""
        self._lock = _open(file)
        self._take, self._give = _request(fcntl.F_WRLCK, _TURN), _request(fcntl.F_UNLCK, _TURN)
        fcntl.fcntl(self._lock, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK, writer_id))

    def __enter__(self) -> None:
        # Without a limit: who holds it is within one transaction, and loses it when killed.
        fcntl.fcntl(self._lock, fcntl.F_OFD_SETLKW, self._take)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None
    ) -> None:
        fcntl.fcntl(self._lock, fcntl.F_OFD_SETLK, self._give)

    def is_alive(self, writer_id: int) -> bool:
        """Whether another writer has that id and still runs."""
        found = fcntl.fcntl(self._lock, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK, writer_id))
        return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)

    def close(self) -> None:
        """The writer has ended."""
        self._lock.close()


def _open(file: Path) -> IO[bytes]:
    path = Path(f"{file}.lock")
    try:
        return os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "r+b", buffering=0)
    except OSError as error:
        raise AuditError(f"{path}: can't be made ({error.strerror}); {sqlite.GIVE_ACCESS}") from None


def _request(kind: int, byte: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0)
