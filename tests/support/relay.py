"""A way to a database that can become a black hole: TCP on loopback in front of a server's Unix socket."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import make_url

#: The end of a transaction in both protocols; MariaDB's clients also say AUTOCOMMIT.
_COMMIT = re.compile(rb"(?<![A-Z])COMMIT(?![A-Z])")


class _Link:
    """A connection and its continuation, each with a thread that carries what comes from there."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        #: Carries nothing any more, and is not closed either.
        self.is_lost = False
        #: The server's next answer is not passed on, but all is cut.
        self.is_eating = False

    def cut(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Relay:
    """Carries bytes until told otherwise. A black hole still takes connections and bytes; no RST comes."""

    def __init__(self, place: Path) -> None:
        """`place`: the server's Unix socket."""
        self._place = place
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._free = threading.Event()
        self._free.set()
        self._links: list[_Link] = []
        self._threads = [threading.Thread(target=self._accept)]
        #: How many are left until the one at which something is to be done.
        self._commits = 0
        self._at_commit: Callable[[_Link], None] = lambda _link: None
        #: Set once what `hole_at_commit` or `eat_answer_to_commit` waits for has happened.
        self.happened = threading.Event()
        self._threads[0].start()

    def hole(self) -> None:
        """From now on nothing goes either way."""
        self._free.clear()

    def free(self, *, renewed: bool = False) -> None:
        """All goes its way again; `renewed`: on new connections alone, the others stay black holes."""
        for link in self._links:
            link.is_lost |= renewed
        self._free.set()

    def hole_at_commit(self, number: int) -> None:
        """A black hole from the COMMIT of this number on, 1 being the next: the server does not get it."""
        self._arm(number, lambda _link: self.hole())

    def eat_answer_to_commit(self, number: int) -> None:
        """The COMMIT of this number arrives; its answer does not, and the connection is cut."""

        def eat(link: _Link) -> None:
            link.is_eating = True

        self._arm(number, eat)

    def close(self) -> None:
        # Wakes `accept`, which closing does not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self.free(renewed=True)
        for link in self._links:
            link.cut()
        for thread in self._threads[1:]:
            thread.join()
        for link in self._links:
            link.client.close()
            link.server.close()

    def _arm(self, number: int, deed: Callable[[_Link], None]) -> None:
        self.happened.clear()
        self._commits, self._at_commit = number, deed

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            with suppress(OSError):
                server.connect(str(self._place))
            link = _Link(client, server)
            self._links.append(link)
            for carry in (self._to_server, self._to_client):
                thread = threading.Thread(target=carry, args=(link,))
                self._threads.append(thread)
                thread.start()

    def _to_server(self, link: _Link) -> None:
        for data in _pieces(link.client):
            if _COMMIT.search(data):
                self._commits -= 1
                if not self._commits:
                    self._at_commit(link)
                    self.happened.set()
            self._carry(link, data, link.server)
        self._end(link)

    def _to_client(self, link: _Link) -> None:
        for data in _pieces(link.server):
            if link.is_eating:
                link.cut()
                return
            self._carry(link, data, link.client)
        self._end(link)

    def _carry(self, link: _Link, data: bytes, to: socket.socket) -> None:
        self._free.wait()
        if not link.is_lost:
            with suppress(OSError):
                to.sendall(data)

    def _end(self, link: _Link) -> None:
        """A black hole does not tell either side that the other one is gone."""
        self._free.wait()
        if not link.is_lost:
            link.cut()


def _pieces(source: socket.socket) -> Iterator[bytes]:
    with suppress(OSError):
        while data := source.recv(65536):
            yield data


@contextmanager
def relayed(url: str) -> Iterator[tuple[Relay, str]]:
    """A relay to a server of the tests, and the database's address by that way."""
    known = make_url(url)
    if known.get_backend_name() == "postgresql":
        place = Path(str(known.query["host"])) / ".s.PGSQL.5432"
    else:
        place = Path(str(known.query["unix_socket"]))
    relay = Relay(place)
    try:
        yield relay, str(known.set(host="127.0.0.1", port=relay.port, query={}))
    finally:
        relay.close()
