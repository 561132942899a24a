"""A load on a server under test, and what came of it."""

import socket
import threading
import time

from support.faults import REQUEST
from support.icapd import PATIENCE, Server, ask

CLIENTS = 2
#: Verdicts that make a while.
VERDICTS = 200


class Load:
    """Clients that ask, one message after the other, until they are told to stop."""

    def __init__(self, server: Server, *, goes_on: bool = False) -> None:
        """`goes_on`: also when its connection breaks; then on another."""
        self._server = server
        self._goes_on = goes_on
        self._stopped = threading.Event()
        self._verdict = threading.Condition()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        self.sent = 0
        #: The ids of the transactions that were answered, and how many seconds each answer took.
        self.seen: list[str] = []
        self.waits: list[float] = []

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def wait_for_verdicts(self, count: int = VERDICTS) -> None:
        """From now on."""
        with self._verdict:
            enough = len(self.seen) + count
            assert self._verdict.wait_for(lambda: len(self.seen) >= enough, PATIENCE), "verdicts wait"

    def _ask(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._server.connect() as connection:
                    while not self._stopped.is_set():
                        self._ask_once(connection)
            except (OSError, AssertionError, ValueError):
                # The last two: within an answer.
                if not self._goes_on:
                    raise

    def _ask_once(self, connection: socket.socket) -> None:
        with self._verdict:
            self.sent += 1
        begun = time.monotonic()
        reply = ask(connection, REQUEST)
        wait = time.monotonic() - begun
        if not reply:
            raise ConnectionError("closed in the place of an answer")
        head = reply.partition(b"\r\n\r\n")[0]
        (txn_id,) = (
            line.partition(b": ")[2].decode()
            for line in head.split(b"\r\n")
            if line.startswith(b"X-Icapd-Txn")
        )
        with self._verdict:
            self.seen.append(txn_id)
            self.waits.append(wait)
            self._verdict.notify_all()
