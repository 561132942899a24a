"""The last step of a write: what waits for a disk, or for a database, and not for ever."""

import threading
import time
from collections.abc import Callable

from icapd.audit.outbox.directory import Mark
from icapd.errors import AuditBusyError, AuditError

#: Seconds between two looks at how far the shipping is, by a thread that waits for it.
_LOOK = 0.002


class Lane:
    """Lets one write pass at a time. Who waits does so until the one before takes longer than it may."""

    def __init__(self, patience: float) -> None:
        """`patience`: seconds."""
        self._patience = patience
        self._lock = threading.Lock()
        self._since: float | None = None

    def enter(self) -> None:
        """Raises AuditBusyError when the way does not become free."""
        since = self._since
        left = self._patience if since is None else since + self._patience - time.monotonic()
        if not self._lock.acquire(timeout=max(0.0, left)):
            raise AuditBusyError(
                f"the disk of the outbox has not answered for {self._patience:g} s; look at the disk and at"
                " the kernel's log"
            )
        self._since = time.monotonic()

    def leave(self) -> None:
        """Any thread may."""
        self._since = None
        self._lock.release()


class Commit:
    """Records that are written but for their commit, which is made by the call, in any thread, once."""

    def __init__(self, finish: Callable[["Commit"], None], late: Callable[[], AuditError]) -> None:
        """`finish` commits, and returns as soon as it may once it is `given_up`.

        `late`: is told when the commit came about, but later than anybody waited for; what to raise then.
        """
        self._finish, self._late = finish, late
        self._lock = threading.Lock()
        self._is_over = False
        self._given_up = threading.Event()

    def __call__(self) -> None:
        """Raises AuditError: the records are not kept, or came late."""
        try:
            self._finish(self)
        finally:
            with self._lock:
                self._is_over = True
        if self._given_up.is_set():
            raise self._late()

    def give_up(self) -> bool:
        """Wait for it no longer; False when it is over, and what it came to is about to be told."""
        with self._lock:
            if not self._is_over:
                self._given_up.set()
            return not self._is_over

    def await_shipped(self, mark: Mark, sequence: int, patience: float) -> None:
        """Wait until the database has the entry of that number, for so many seconds at most."""
        end = time.monotonic() + patience
        while mark.shipped < sequence and not self._given_up.wait(_LOOK):
            if time.monotonic() > end:
                self.give_up()
