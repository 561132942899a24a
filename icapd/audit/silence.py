"""Connections to PostgreSQL that give up a server which says nothing; libpq itself would wait for ever.

TCP's timers end a connection whose other end is gone, but not one whose other end takes bytes and never
answers: a server that is stopped, or a proxy whose own way is cut.
"""

import time
from typing import Any

from psycopg import Connection, OperationalError
from psycopg.abc import RV, PQGen


class BoundedConnection(Connection[Any]):
    """Waits for the server's next word only so long; then it is closed, with an OperationalError."""

    #: Seconds.
    silence: float

    def wait(self, gen: PQGen[RV], *args: Any, **options: Any) -> RV:
        """What psycopg does all its waiting with."""
        return super().wait(self._heard(gen), *args, **options)

    def _heard(self, gen: PQGen[RV]) -> PQGen[RV]:
        end = time.monotonic() + self.silence
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    end = time.monotonic() + self.silence
                elif time.monotonic() > end:
                    self.close()
                    raise OperationalError(f"the server has said nothing for {self.silence:g} s")
                wanted = gen.send(ready)
        except StopIteration as done:
            result: RV = done.value
            return result


def connect(silence: float, *args: Any, **options: Any) -> BoundedConnection:
    """As psycopg does it, by whose `connect_timeout` it is bounded itself."""
    connection = BoundedConnection.connect(*args, **options)
    connection.silence = silence
    return connection
