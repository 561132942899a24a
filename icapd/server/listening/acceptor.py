"""Accepts connections, has each one admitted, and hands it to the worker with the fewest."""

import asyncio
import errno
import resource
import socket
from collections.abc import Iterable

import structlog

from icapd.server.engine import Peer
from icapd.server.listening.admission import Admission, Refusal
from icapd.server.listening.listeners import Listener
from icapd.server.supervision.pool import Pool
from icapd.server.telemetry.log_limit import LogLimit
from icapd.server.telemetry.metrics import SupervisorMetrics
from icapd.settings import Server

log = structlog.get_logger()

#: Connections accepted before the loop's other business has its turn.
_BATCH = 64
#: What a process needs descriptors for besides connections: files, the channel, the database, and some spare.
RESERVED_DESCRIPTORS = 64
#: Seconds without accepting after the system had no descriptor or memory left.
PAUSE = 1.0
#: What passes when others give something back. A connection that could not be accepted stays in the backlog,
#: so its listener is readable at once again.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def capacity(settings: Server, workers: int) -> int:
    """Connections to inspect at one time: what the settings say, if the limit of descriptors allows it.

    The soft limit is raised for it as far as the hard one goes. As many connections again may be open
    without being inspected.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * settings.max_connections + RESERVED_DESCRIPTORS
    if soft < needed and soft != resource.RLIM_INFINITY:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return settings.max_connections
    allowed = max(1, (soft - RESERVED_DESCRIPTORS) * workers // 2)
    if allowed < settings.max_connections:
        log.warning(
            "fewer-connections",
            max_connections=allowed,
            problem=f"each process may open {soft} files only; raise ulimit -n, or systemd's LimitNOFILE",
        )
    return min(settings.max_connections, allowed)


class Acceptor:
    """Accepts while there is someone to hand over to."""

    def __init__(
        self, listeners: Iterable[Listener], admission: Admission, pool: Pool, metrics: SupervisorMetrics
    ) -> None:
        self._listeners = list(listeners)
        self._admission = admission
        self._pool = pool
        self._metrics = metrics
        self._log_limit = LogLimit()
        self._loop = asyncio.get_running_loop()
        self._accepting = False
        self._stopped = False
        self._pause: asyncio.TimerHandle | None = None
        #: Connections of one worker, one at least, as `capacity` has it.
        self._most = max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVED_DESCRIPTORS)

    def update(self) -> None:
        """Accept if someone can take a connection; otherwise let them wait in the backlog.

        To be called when a connection has ended, and when workers have come or gone.
        """
        accepting = not self._stopped and self._pause is None and self._has_room()
        if accepting == self._accepting:
            return
        self._accepting = accepting
        for listener in self._listeners:
            if accepting:
                self._loop.add_reader(listener.socket, self._accept, listener)
            else:
                self._loop.remove_reader(listener.socket)

    def stop(self) -> None:
        """Accept no more."""
        self._stopped = True
        if self._pause is not None:
            self._pause.cancel()
        self.update()

    def count(self, peers: Iterable[Peer]) -> None:
        """Connections that were accepted before a restart."""
        for peer in peers:
            self._admission.count(peer)

    def leave(self, peer: Peer) -> None:
        """A connection has ended."""
        self._admission.leave(peer)
        self.update()

    def _has_room(self) -> bool:
        worker = self._pool.least_loaded()
        return worker is not None and worker.connections < self._most and not self._admission.is_full

    def _accept(self, listener: Listener) -> None:
        # The channel of the last worker may have ended since.
        self.update()
        for _ in range(_BATCH):
            if not self._accepting:
                return
            try:
                connection, address = listener.socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._rest(error)
                    return
                # The client went away again before its turn (accept(2)).
                continue
            self._take(listener, connection, address)

    def _take(self, listener: Listener, connection: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        peer = self._admission.arrive(host)
        if isinstance(peer, Refusal):
            self._metrics.refused.inc()
            connection.close()
        elif not self._hand_over(connection, peer, tls=listener.setting == "listen_tls"):
            self._admission.leave(peer)
            connection.close()
        self.update()

    def _hand_over(self, connection: socket.socket, peer: Peer, *, tls: bool) -> bool:
        # One that has died since the last look does not take it, and is not offered the next.
        while (worker := self._pool.least_loaded()) is not None:
            if worker.take(connection, peer, tls=tls):
                return True
        return False

    def _rest(self, error: OSError) -> None:
        if self._log_limit.admits(error.errno):
            log.error(
                "accept-paused",
                problem=error.strerror,
                remedy="raise ulimit -n (systemd: LimitNOFILE), or lower [server] max_connections",
            )
        self._pause = self._loop.call_later(PAUSE, self._resume)
        self.update()

    def _resume(self) -> None:
        self._pause = None
        self.update()
