"""Clients that keep their connections and connect again, as Squid does with an ICAP service."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.icapd import PATIENCE, ask

#: Seconds between an answer and the next request.
PAUSE = 0.005


@dataclass
class Load:
    """What the clients have met so far."""

    connect: Callable[[], socket.socket]
    request: bytes
    #: The X-Icapd-Txn of each answer.
    answered: list[bytes] = field(default_factory=list)
    #: Requests that found their connection closed before a byte of the answer, and were sent again.
    retried: int = 0
    #: What a retry does not mend.
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _progress: threading.Condition = field(default_factory=threading.Condition)

    def wait_for_more(self, count: int) -> None:
        """Until so many answers more have come."""
        with self._progress:
            goal = len(self.answered) + count
            assert self._progress.wait_for(lambda: len(self.answered) >= goal or self.failures, PATIENCE)
        assert not self.failures

    def run(self) -> None:
        """One client, until told to stop."""
        connection: socket.socket | None = None
        try:
            # Flat out, the clients would take from the server what it needs to start anew.
            while not self._stop.wait(PAUSE):
                fresh = connection is None
                connection = connection or self.connect()
                reply = self._ask(connection, retry=not fresh)
                if not reply or b"\r\nConnection: close\r\n" in reply.partition(b"\r\n\r\n")[0] + b"\r\n":
                    connection.close()
                    connection = None
        except (OSError, AssertionError, ValueError) as error:
            self._note(failure=f"{type(error).__name__}: {error}")
        finally:
            if connection is not None:
                connection.close()

    def _ask(self, connection: socket.socket, *, retry: bool) -> bytes:
        try:
            reply = ask(connection, self.request)
        except (BrokenPipeError, ConnectionResetError):
            reply = b""
        if reply:
            found = re.search(rb"\r\nX-Icapd-Txn: (\S+)\r\n", reply)
            assert found is not None and b"[REDACTED]" in reply, reply
            self._note(txn_id=found[1])
        elif retry:
            self.retried += 1
        else:
            raise AssertionError("a new connection was closed before its first answer")
        return reply

    def _note(self, *, txn_id: bytes = b"", failure: str = "") -> None:
        with self._progress:
            if txn_id:
                self.answered.append(txn_id)
            if failure:
                self.failures.append(failure)
            self._progress.notify_all()


@contextmanager
def loaded(connect: Callable[[], socket.socket], request: bytes, clients: int = 4) -> Iterator[Load]:
    """So many clients at work while the context lasts."""
    load = Load(connect, request)
    threads = [threading.Thread(target=load.run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load._stop.set()
        for thread in threads:
            thread.join(PATIENCE)
