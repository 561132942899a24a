"""SQLite files: making and opening them, and saying in one line why that failed and what helps.

Every connection that writes uses the write-ahead log (https://sqlite.org/wal.html): a commit is one append,
and readers (`icapd audit search`) neither wait for the server nor make it wait.
"""

import os
import sqlite3
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from icapd.errors import AuditBusyError, AuditError

#: `rw` writes what exists, `ro` can't write at all. Neither makes a file: `create` does, with the right mode.
Mode = Literal["ro", "rw"]

#: What helps where a file can't be opened or written.
GIVE_ACCESS = "give the user that icapd runs as the right to write to the file and to its directory"
_RESTORE = "restore it from a backup, or move it away and make a new one with `icapd db upgrade`"
#: SQLite's result codes (https://sqlite.org/rescode.html) -> what is wrong, and what to do about it.
_REMEDIES = {
    sqlite3.SQLITE_BUSY: "is locked by another program; let that end its transaction, then try again",
    sqlite3.SQLITE_CANTOPEN: f"can't be opened; {GIVE_ACCESS}",
    sqlite3.SQLITE_CORRUPT: f"is damaged; {_RESTORE}",
    sqlite3.SQLITE_FULL: "has no room left on its disk; make some, or move the file to a larger one",
    sqlite3.SQLITE_IOERR: "can't be read or written; look at the disk and at the kernel's log",
    sqlite3.SQLITE_NOTADB: f"is not a SQLite database; name another in [audit] database_url, or {_RESTORE}",
    sqlite3.SQLITE_PERM: f"can't be written; {GIVE_ACCESS}",
    sqlite3.SQLITE_READONLY: f"can't be written; {GIVE_ACCESS}",
}
#: Extended result codes hold the primary one in their low byte.
_PRIMARY_CODE = 0xFF


def create(file: Path) -> None:
    """Makes an empty file that only its owner can read, if there is none; AuditError when that can't be done.

    SQLite gives the log files next to it the same mode.
    """
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise AuditError(
            f"{file}: {_misplacement(file) or _REMEDIES[sqlite3.SQLITE_CANTOPEN]} ({error.strerror})"
        ) from None


def connect(file: Path, mode: Mode, *, busy_timeout: float) -> sqlite3.Connection:
    """A connection in autocommit mode: transactions begin where the caller says so. Raises sqlite3.Error.

    Any thread may use it, one at a time. `busy_timeout` is in seconds.
    """
    connection = sqlite3.connect(
        f"file:{quote(str(file))}?mode={mode}",
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if mode == "rw":
            connection.execute("PRAGMA journal_mode = WAL")
        # SQLite opens lazily; this makes it look at the file.
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def identity(file: Path) -> tuple[int, int] | None:
    """Which file that is; None when there is none, or an empty one. One put in its place is another."""
    try:
        status = file.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_size else None


def failure(file: Path, error: sqlite3.Error) -> AuditError:
    """The error as its user needs it: the file, what is wrong, what to do. SQLite's texts hold no values."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE
    misplacement = _misplacement(file) if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR) else None
    reason = misplacement or _REMEDIES.get(code)
    kind = AuditBusyError if code == sqlite3.SQLITE_BUSY else AuditError
    return kind(f"{file}: {reason} ({error})" if reason else f"{file}: {error}")


def _misplacement(file: Path) -> str | None:
    """What is wrong with the place itself, which SQLite does not say."""
    try:
        if not file.parent.is_dir():
            return f"the directory {file.parent} does not exist; make it, and {GIVE_ACCESS}"
        if file.is_dir():
            return "is a directory; name a file in [audit] database_url"
        if not file.exists() and os.access(file.parent, os.W_OK, effective_ids=True):
            return "does not exist; make it with `icapd db upgrade`"
    except PermissionError:
        # It can't even be looked at.
        pass
    return None
