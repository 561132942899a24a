"""An outbox: the SQLite file that one writer appends its records to, and a shipper reads.

`entry` holds what was numbered, in its order, with its link of the chain; `stream` what the record of each
message under way would be if the server died now; `tally` the records that floods are counted in (`floods`);
`writer` whose file it is. Only who holds the lock of the file's mark writes to it (`directory`).
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Self

from icapd.audit import sqlite
from icapd.audit.canonical import BEGINNING
from icapd.errors import OutboxError

Kind = Literal["event", "admin", "shadow"]
#: What a writer is: a worker; a command, for what it reads or does; the server's own retention.
Role = Literal["worker", "command", "retention"]

#: `off`: nothing but what was done to the audit itself and to the policy.
Mode = Literal["durable", "relaxed", "strict", "off"]

#: Of the file's format (`PRAGMA user_version`). 1 had no tallies; up to 2 writers had no role.
FORMAT = 3
#: Bytes.
_PAGE_SIZE = 4096
#: Pages in the write-ahead log before a commit moves them into the file, which waits for the disk. Four times
#: SQLite's own figure: a quarter of the waits, each of about 12 ms where it was 5, and less to move in all.
_CHECKPOINT_PAGES = 4000
#: Bytes of the log when it is moved: a head, and with each page one of its own.
_LOG_SIZE = 32 + _CHECKPOINT_PAGES * (24 + _PAGE_SIZE)
#: So many times that there has to be room for, if it is to be taken ahead.
_SPARE = 8
#: Seconds to wait for a reader that is just moving the log into the file.
_BUSY_TIMEOUT = 0.5

_SCHEMA = f"""
PRAGMA user_version = {FORMAT};
CREATE TABLE writer (
    writer_id INTEGER PRIMARY KEY, node TEXT, process_id INTEGER, version TEXT, started_at INTEGER,
    boot_id TEXT, role TEXT
);
CREATE TABLE entry (
    seq INTEGER PRIMARY KEY, kind TEXT, occurred_at INTEGER, body TEXT, salt BLOB, commitment BLOB, chain BLOB
);
CREATE TABLE stream (event_id TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID;
CREATE TABLE tally (event_id TEXT PRIMARY KEY, body TEXT) WITHOUT ROWID;
"""

#: A table of what is not numbered yet.
Unnumbered = Literal["stream", "tally"]


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: one run of one process."""

    writer_id: int
    node: str
    process_id: int
    version: str
    #: Microseconds since 1970-01-01 UTC.
    started_at: int
    #: Of the machine, since when it runs.
    boot_id: str
    #: None: not known.
    role: Role | None = None


class Entry(NamedTuple):
    """One numbered row. `body`: its record as JSON; `salt` and `commitment` only of events."""

    seq: int
    kind: Kind
    occurred_at: int
    body: str
    salt: bytes | None
    commitment: bytes | None
    chain: bytes


class OutboxFile:
    """One outbox, open. Transactions are the caller's; methods raise sqlite3.Error."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        #: Bytes that it may have; 0 when that is not known.
        self.max_size = 0

    @classmethod
    def create(cls, path: Path, writer: Writer, *, max_size: int, mode: Mode) -> Self:
        """A new one, of at most so many bytes. But in `relaxed`, a commit waits until it is on the disk.

        Then a worker's log has its whole size at once. Raises AuditError, naming the file and the remedy.
        """
        sqlite.create(path)
        outbox = cls.open(path, "rw")
        outbox.max_size = max_size
        try:
            outbox.connection.executescript(_SCHEMA)
            outbox.connection.execute("INSERT INTO writer VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(writer))
            outbox.connection.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'relaxed' else 'FULL'}")
            outbox.connection.execute(f"PRAGMA max_page_count = {max(1, max_size // _PAGE_SIZE)}")
            outbox.connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        except sqlite3.Error as error:
            outbox.close()
            raise sqlite.failure(path, error) from error
        if mode in ("durable", "strict") and writer.role == "worker":
            _fill_log(Path(f"{path}-wal"), min(_LOG_SIZE, max_size))
        return outbox

    @classmethod
    def open(cls, path: Path, mode: sqlite.Mode) -> Self:
        """One that is there. Raises OutboxError."""
        try:
            outbox = cls(path, sqlite.connect(path, mode, busy_timeout=_BUSY_TIMEOUT))
            if outbox._format() <= FORMAT:
                return outbox
        except sqlite3.Error as error:
            raise OutboxError(str(sqlite.failure(path, error))) from None
        outbox.close()
        raise OutboxError(f"{path}: was written by a newer icapd; start that one to have it shipped")

    def writer(self) -> Writer | None:
        """Whose file it is; None when it was never finished."""
        tables = self.connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
        row = self.connection.execute("SELECT * FROM writer").fetchone() if tables != (0,) else None
        return Writer(*row) if row else None

    def last(self) -> tuple[int, bytes]:
        """The number and the chain of the newest entry that is there."""
        row = self.connection.execute("SELECT seq, chain FROM entry ORDER BY seq DESC LIMIT 1").fetchone()
        return row or (0, BEGINNING)

    def size(self) -> int:
        """Bytes that are in use."""
        (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
        (free,) = self.connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * _PAGE_SIZE

    def append(self, entry: Entry) -> None:
        self.connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)", entry)

    def read(self, after: int, limit: int) -> list[Entry]:
        """The entries behind that number, in their order, so many at most."""
        rows = self.connection.execute(
            "SELECT * FROM entry WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
        )
        return [Entry(*row) for row in rows]

    def sync(self) -> None:
        """Have all that was committed on the disk, whoever committed it. Raises OutboxError."""
        for file in (Path(f"{self.path}-wal"), self.path):
            try:
                descriptor = os.open(file, os.O_RDONLY)
                try:
                    os.fdatasync(descriptor)
                finally:
                    os.close(descriptor)
            except FileNotFoundError:
                # The log goes when the last one closes it; the next read of the file tells if that is gone.
                continue
            except OSError as error:
                raise OutboxError(f"{file}: can't be synced ({error.strerror}); look at its disk") from None

    def forget(self, up_to: int) -> None:
        """Drop the entries up to that number."""
        self.connection.execute("DELETE FROM entry WHERE seq <= ?", (up_to,))

    def put(self, kind: Unnumbered, event_id: str, body: str) -> None:
        """In the place of an earlier one of that id."""
        self.connection.execute(f"INSERT OR REPLACE INTO {kind} VALUES (?, ?)", (event_id, body))  # noqa: S608

    def drop(self, kind: Unnumbered, event_id: str) -> bool:
        """Whether there was one."""
        dropped = self.connection.execute(f"DELETE FROM {kind} WHERE event_id = ?", (event_id,))  # noqa: S608
        return dropped.rowcount > 0

    def unnumbered(self, kind: Unnumbered) -> Iterator[tuple[str, str]]:
        """Event id and record as JSON of each."""
        if kind == "stream" or self._format() > 1:
            yield from self.connection.execute(f"SELECT event_id, body FROM {kind} ORDER BY event_id")  # noqa: S608

    def _format(self) -> int:
        (number,) = self.connection.execute("PRAGMA user_version").fetchone()
        return int(number)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Errors of SQLite become OutboxErrors, with the file and the remedy."""
        try:
            yield
        except sqlite3.Error as error:
            raise OutboxError(str(sqlite.failure(self.path, error))) from None

    def remove(self) -> None:
        """Close it and take it off the disk. Raises OutboxError."""
        self.close()
        try:
            for suffix in ("-wal", "-shm", ""):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        except OSError as error:
            problem = f"{self.path}: {error.strerror}: can't be removed; {sqlite.GIVE_ACCESS}"
            raise OutboxError(problem) from None

    def close(self) -> None:
        self.connection.close()


def _fill_log(log: Path, size: int) -> None:
    """Zeros up to that size, so that no sync has to note a larger file: half of what each costs until then.

    SQLite reads its log up to the first page that is none, and writes it over from the beginning once it is
    moved. Without the room, or with little more, it grows as it would: others may need that.
    """
    with suppress(OSError), log.open("r+b", buffering=0) as file:
        end = begin = file.seek(0, os.SEEK_END)
        disk = os.fstatvfs(file.fileno())
        if disk.f_bavail * disk.f_frsize < _SPARE * size:
            return
        try:
            while end < size:
                end += os.pwrite(file.fileno(), bytes(size - end), end)
            os.fsync(file.fileno())
        except OSError:
            file.truncate(begin)
