"""The pyicap engine: a thread for each connection, with pyicap's server and handler around the codec."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from socket import socket
from socketserver import ThreadingMixIn
from ssl import SSLContext
from typing import NamedTuple

import structlog

from icapd.server.engine import Peer
from icapd.server.pyicap_engine.compat import ICAPServer
from icapd.server.pyicap_engine.gate import Gate
from icapd.server.pyicap_engine.handler import IcapdRequestHandler
from icapd.server.pyicap_engine.open_connections import OpenConnections
from icapd.server.session_context import SessionContext
from icapd.settings import Server as ServerSettings

log = structlog.get_logger()


class _Arrival(NamedTuple):
    """What pyicap takes for the client's address, whose fields come first, and what was decided about it."""

    address: str
    port: int
    peer: Peer
    tls: SSLContext | None


class _Server(ThreadingMixIn, ICAPServer):
    """pyicap's server without a listener: connections are brought to it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: type[IcapdRequestHandler]) -> None:
        super().__init__(("", 0), handler, bind_and_activate=False)
        self.server_close()


class PyicapEngine:
    """Serves each connection by a thread of its own; whoever accepts connections bounds their number."""

    def __init__(
        self,
        context: SessionContext,
        settings: ServerSettings,
        left: Callable[[Peer], None],
        handshake_failed: Callable[[str, BaseException], None],
    ) -> None:
        """`left`, `handshake_failed`: told, on the event loop, what connections end and which never began."""
        gate = Gate(settings.max_queue_delay)
        gate.report_to(context.metrics)
        self.context = replace(context, is_overloaded=gate.is_overloaded)
        self.settings = settings
        self.open_connections = OpenConnections(gate)
        self._left = left
        self._handshake_failed = handshake_failed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server = _Server(type("EngineHandler", (IcapdRequestHandler,), {"icapd": self}))

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self.open_connections)

    async def start(self) -> None:
        """Ready to take connections."""
        self._loop = asyncio.get_running_loop()

    def take(self, connection: socket, peer: Peer, tls: SSLContext | None) -> None:
        """Serve a connection that was just accepted; `tls`: begin with a handshake. The engine closes it."""
        self.open_connections.begin()
        try:
            self._server.process_request(connection, _Arrival(peer.address, 0, peer, tls))
        except RuntimeError as error:
            # The system gives no further thread.
            log.error("connection-dropped", problem=str(error), connections=self.connections)
            connection.close()
            self.open_connections.end(None)
            self._left(peer)

    def retire(self) -> None:
        """End each connection with its next answer, which says so; an idle one may wait for its request."""
        self.open_connections.retire()

    async def stop(self, grace: float) -> None:
        """Close idle connections, let requests under way end for up to `grace` seconds, cut the rest."""
        await asyncio.to_thread(self.open_connections.end_all, grace)

    # --- for the handlers, in their threads

    def arrive(self, address: _Arrival) -> tuple[Peer, SSLContext | None]:
        """What was decided when the connection was accepted."""
        return address.peer, address.tls

    def leave(self, peer: Peer) -> None:
        """A connection has ended."""
        self._tell(self._left, peer)

    def handshake_failed(self, peer: Peer, error: OSError) -> None:
        """A connection has never become one."""
        self._tell(self._handshake_failed, peer.address, error)

    def _tell(self, listener: Callable[..., None], *arguments: object) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has ended: nobody listens any more
            self._loop.call_soon_threadsafe(listener, *arguments)
