"""The asyncio engine: one Protocol per connection, all on one event loop."""

import asyncio
import time
from typing import cast

import structlog

from icapd.errors import ConfigurationError
from icapd.server.session import Session, SessionContext
from icapd.settings import Server as ServerSettings
from icapd.settings import split_address

log = structlog.get_logger()

#: Seconds between two looks at the clocks of all connections.
SWEEP_INTERVAL = 1.0
OVERLOADED = b"ICAP/1.0 503 Service overloaded\r\nConnection: close\r\nEncapsulated: null-body=0\r\n\r\n"


class IcapProtocol(asyncio.Protocol):
    """Carries bytes between one socket and its session."""

    def __init__(self, engine: "AsyncioEngine") -> None:
        self._engine = engine
        self._session = Session(engine.context)
        self._transport: asyncio.Transport | None = None
        self._last_activity = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._engine.admit(self):
            self._transport.write(OVERLOADED)
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._receive(data)

    def eof_received(self) -> bool:
        self._receive(b"")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.abandon("client-gone")
        self._engine.dismiss(self)

    def pause_writing(self) -> None:
        # The peer reads slowly: take no more from it than it takes from us.
        assert self._transport is not None
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        assert self._transport is not None
        self._last_activity = time.monotonic()
        self._transport.resume_reading()

    def sweep(self, now: float, settings: ServerSettings) -> None:
        """Close the connection when it has been silent for longer than its state allows."""
        if self._transport is not None and self._transport.is_closing():
            # Closed some time ago, and the peer still does not take the rest of what it was sent.
            if now - self._last_activity > settings.stall_timeout:
                self._transport.abort()
            return
        if self._session.is_idle:
            limit = settings.idle_timeout
        elif self._session.is_reading_head:
            limit = settings.head_timeout
        else:
            limit = settings.stall_timeout
        if now - self._last_activity > limit:
            self._write(self._session.time_out())
            self._close()

    def drain(self) -> None:
        """Close once the request under way is answered; at once when there is none."""
        self._session.close_after_response()
        if self._session.is_idle:
            self._close()

    def abort(self, reason: str) -> None:
        """Close now, whatever is under way."""
        self._session.abandon(reason)
        if self._transport is not None:
            self._transport.abort()

    def _receive(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        # A request's head is timed from its first byte, so that a byte now and then does not keep it open.
        if not self._session.is_reading_head:
            self._last_activity = time.monotonic()
        self._write(self._session.receive(data))
        if self._session.must_close:
            self._close()

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class AsyncioEngine:
    """Listens, keeps the connections' clocks, and stops in good order."""

    def __init__(self, context: SessionContext, settings: ServerSettings) -> None:
        self.context = context
        self._settings = settings
        self._connections: set[IcapProtocol] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._emptied = asyncio.Event()

    async def start(self) -> tuple[str, int]:
        """Listen; returns the address. Raises ConfigurationError when that is not possible."""
        address = split_address(self._settings.listen)
        assert address is not None
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: IcapProtocol(self), *address)
        except OSError as error:
            raise ConfigurationError(
                f"server.listen: can't listen on {self._settings.listen}: {error.strerror or error}; "
                "choose another address, or stop what holds it"
            ) from None
        self._sweeper = loop.create_task(self._sweep())
        bound: tuple[str, int] = self._server.sockets[0].getsockname()[:2]
        return bound

    def admit(self, connection: IcapProtocol) -> bool:
        """Whether the connection may stay; counts it if so."""
        if len(self._connections) >= self._settings.max_connections:
            self.context.metrics.refused.inc()
            return False
        self._connections.add(connection)
        self.context.metrics.connections.set(len(self._connections))
        return True

    def dismiss(self, connection: IcapProtocol) -> None:
        self._connections.discard(connection)
        self.context.metrics.connections.set(len(self._connections))
        if not self._connections:
            self._emptied.set()

    async def stop(self) -> None:
        """Accept no more, let requests under way end, close; cut what is left after shutdown_timeout."""
        assert self._server is not None and self._sweeper is not None
        self._server.close()
        self._sweeper.cancel()
        for connection in tuple(self._connections):
            connection.drain()
        self._emptied.clear()
        if self._connections:
            try:
                await asyncio.wait_for(self._emptied.wait(), self._settings.shutdown_timeout)
            except TimeoutError:
                log.warning("stop-cut", connections=len(self._connections))
                for connection in tuple(self._connections):
                    connection.abort("server-stopped")

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            now = time.monotonic()
            for connection in tuple(self._connections):
                connection.sweep(now, self._settings)
