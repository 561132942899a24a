"""The connections that threads serve: told to end, waited for, and in the end cut."""

import os
import threading

import structlog

from icapd.server.pyicap_engine.blocking_wire import Wire
from icapd.server.pyicap_engine.gate import Gate

log = structlog.get_logger()

#: Seconds that threads get for their last records once their connections are cut: what they may be at is one
#: scan of a text, which has its own limit, and one commit.
CUT_TIMEOUT = 5.0


class OpenConnections:
    """Used by all threads of a server."""

    def __init__(self, gate: Gate) -> None:
        #: What those with work pass through.
        self.gate = gate
        self._wires: set[Wire] = set()
        self._count = 0
        self._changed = threading.Condition()
        # Nobody writes to it. Its other end becomes readable for all who wait on it when this one is closed.
        self.stop_descriptor, self._stop_end = os.pipe()
        self._ending = self._stopping = self._cutting = False

    def __len__(self) -> int:
        """Connections that have begun and not ended, those too whose thread has not got to work yet."""
        return self._count

    @property
    def is_ending(self) -> bool:
        """Whether each connection is to end behind the next answer, which says so."""
        return self._ending

    def begin(self) -> None:
        """A connection was accepted."""
        with self._changed:
            self._count += 1

    def add(self, wire: Wire) -> None:
        """Its thread has begun to work."""
        with self._changed:
            self._wires.add(wire)
            if self._cutting:
                wire.cut()

    def end(self, wire: Wire | None) -> None:
        """It has ended; `wire`: None when its thread has never begun."""
        with self._changed:
            self._count -= 1
            if wire is not None:
                self._wires.discard(wire)
            self._changed.notify_all()

    def retire(self) -> None:
        """Connections end behind the next answer; idle ones wait for its request."""
        self._ending = True

    def stop(self) -> None:
        """Idle connections end now, the others behind the request under way."""
        with self._changed:
            self._ending = True
            if not self._stopping:
                self._stopping = True
                os.close(self._stop_end)

    def end_all(self, timeout: float) -> None:
        """`stop`, let requests under way end for up to `timeout` seconds, cut the rest."""
        self.stop()
        with self._changed:
            if self._changed.wait_for(self._is_empty, timeout):
                return
            self._cutting = True
            log.warning("stop-cut", connections=self._count)
            for wire in self._wires:
                wire.cut()
            self._changed.wait_for(self._is_empty, CUT_TIMEOUT)

    def _is_empty(self) -> bool:
        return not self._count
