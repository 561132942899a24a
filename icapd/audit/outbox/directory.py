"""The directory of the outboxes: one file for each run of a worker, and beside it a mark.

    WRITER_ID.outbox     the records that are not all in the database yet (`file`)
    WRITER_ID.mark       locked by whoever may write to the outbox; holds how far it is shipped, and nothing
                         while the outbox is being made
    server.lock          held by the one server that this directory belongs to

Locks are flock(2): they end with the process that holds them, however it ends.
"""

import fcntl
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import randbelow
from typing import IO, Self

from icapd.audit.sqlite import GIVE_ACCESS
from icapd.errors import AuditError, OutboxError

_HIGHEST_WRITER = 2**63 - 1
_OUTBOX = re.compile(r"([0-9]{1,19})\.outbox")
_SEQUENCE = struct.Struct(">q")


def new_writer_id() -> int:
    """A random one: writers of many servers may meet in one site's database, and nobody hands out numbers."""
    return randbelow(_HIGHEST_WRITER) + 1


def reserve(directory: Path) -> IO[bytes]:
    """The right to be the one server with this directory, which is made if need be.

    AuditError when it can't be, or another server has it. It is held until the returned file is closed or the
    process is gone.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(directory, "made", error) from None
    lock = _open(directory / "server.lock")
    if not _lock(lock):
        lock.close()
        raise AuditError(
            f"[audit] outbox: {directory}: another icapd has it; stop that one, or give this one a directory"
            " of its own"
        )
    return lock


@contextmanager
def as_owner(directory: Path) -> Iterator[None]:
    """For root: what is made in the directory meanwhile is its owner's, whose server has to read it.

    Changes the whole process; for commands, which have one thread. OSError when there is no directory.
    """
    status = directory.stat()
    if os.geteuid() != 0 or status.st_uid == 0:
        yield
        return
    group = os.getegid()
    os.setegid(status.st_gid)
    os.seteuid(status.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


def writers(directory: Path) -> Iterator[int]:
    """The ids of all whose outboxes are there; AuditError when that can't be told."""
    try:
        names = sorted(path.name for path in directory.iterdir())
    except OSError as error:
        raise _refused(directory, "read", error) from None
    for name in names:
        if match := _OUTBOX.fullmatch(name):
            yield int(match[1])


def file_of(directory: Path, writer_id: int) -> Path:
    return directory / f"{writer_id}.outbox"


def shipped(directory: Path, writer_id: int) -> int | None:
    """Up to which number a writer's entries are in the database; None when its outbox is not to be read."""
    try:
        return _sequence_in((directory / f"{writer_id}.mark").read_bytes())
    except OSError:
        return None


class Mark:
    """A writer's mark. Whoever has its lock owns the outbox: the worker, or after its death a shipper."""

    def __init__(self, directory: Path, writer_id: int) -> None:
        """Raises OutboxError when the file can't be had."""
        self._path = directory / f"{writer_id}.mark"
        try:
            self._file = _open(self._path)
        except AuditError as error:
            raise OutboxError(str(error)) from None

    def lock(self) -> bool:
        """Own the outbox, until `close`; False when someone else does."""
        return _lock(self._file)

    def is_being_made(self) -> bool:
        """Whether the outbox isn't there as a whole yet, and someone else is at it.

        Where nobody is, the caller owns it. Raises OutboxError.
        """
        with self._errors("read; look at its disk"):
            return not os.fstat(self._file.fileno()).st_size and not self.lock()

    @property
    def shipped(self) -> int:
        """The number up to which all is in the database; 0 when nothing is. Raises OutboxError."""
        with self._errors("read; look at its disk"):
            return _sequence_in(os.pread(self._file.fileno(), _SEQUENCE.size, 0))

    @shipped.setter
    def shipped(self, sequence: int) -> None:
        # One write of eight bytes: a reader sees the old number or the new one. After a loss of power it may
        # be an old one again, and rows be shipped twice, which the database notices.
        with self._errors("written; make room on its disk"):
            os.pwrite(self._file.fileno(), _SEQUENCE.pack(sequence), 0)

    def remove(self) -> None:
        """The outbox is no more. Raises OutboxError."""
        with self._errors(f"removed; {GIVE_ACCESS}"):
            self._path.unlink(missing_ok=True)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutboxError(f"{self._path}: {error.strerror}: can't be {what}") from None

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sequence_in(data: bytes) -> int:
    return int(_SEQUENCE.unpack(data)[0]) if len(data) == _SEQUENCE.size else 0


def _lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> IO[bytes]:
    try:
        return os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "r+b", buffering=0)
    except OSError as error:
        raise _refused(path, "made", error) from None


def _refused(path: Path, what: str, error: OSError) -> AuditError:
    return AuditError(f"[audit] outbox: {path}: can't be {what} ({error.strerror}); {GIVE_ACCESS}")
