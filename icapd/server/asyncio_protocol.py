"""One connection on the event loop: bytes between its socket and its session."""

import asyncio
import time
from typing import TYPE_CHECKING, cast

from icapd.server.engine import Peer
from icapd.server.listening.handshakes import NothingSent
from icapd.server.session import Session
from icapd.server.session_context import Apart, Pending
from icapd.settings import Server as ServerSettings

if TYPE_CHECKING:
    from icapd.server.asyncio_engine import AsyncioEngine


class IcapProtocol(asyncio.Protocol):
    """Carries bytes between one socket and its session."""

    def __init__(self, engine: "AsyncioEngine", peer: Peer) -> None:
        self.peer = peer
        self._engine = engine
        self._session = Session(engine.context, peer, defers=True)
        self._transport: asyncio.Transport | None = None
        self._last_activity = time.monotonic()
        self._is_new = True  # nothing has arrived yet
        self._drains_since: float | None = None
        self._waiting = 0  # pieces of data that wait for their turn
        self._apart: Apart | None = None  # what was last set going in a thread
        self._is_tls = False
        self._is_ending = False  # it is we who close it
        self._must_not_read = False  # the peer takes nothing of what it was sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        self._engine.begin(self)

    def data_received(self, data: bytes) -> None:
        self._receive(data)

    def eof_received(self) -> bool:
        self._receive(b"")
        # The answer to what came before may still wait for its turn. TLS has no connections half closed.
        return not self._is_tls

    def connection_lost(self, exc: Exception | None) -> None:
        try:
            self._session.abandon("client-gone")
            self._stage()
            if self._is_tls and self._is_new and not self._is_ending:
                self._engine.handshake_failed(self.peer.address, NothingSent())
        finally:
            self._engine.end(self)

    def pause_writing(self) -> None:
        # The peer reads slowly: take no more from it than it takes from us.
        self._must_not_read = True
        self._govern_reading()

    def resume_writing(self) -> None:
        self._last_activity = time.monotonic()
        self._must_not_read = False
        self._govern_reading()

    def _govern_reading(self) -> None:
        """Read while the peer takes its answers, and while what it sent is worked off."""
        assert self._transport is not None
        if self._must_not_read or self._waiting > 1:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def sweep(self, now: float, settings: ServerSettings) -> None:
        """Close the connection when its state has lasted for longer than that state may."""
        if self._transport is not None and self._transport.is_closing():
            # Closed some time ago, and the peer still does not take the rest of what it was sent.
            if now - self._last_activity > settings.stall_timeout:
                self._transport.abort()
            return
        if self._waiting or self._session.apart is not None:
            return
        if self._session.connection.is_draining:
            # However busily the rest arrives.
            since, limit = self._drains_since or now, settings.drain_timeout
            self._drains_since = since
        else:
            self._drains_since = None
            since, limit = self._last_activity, self._silence(settings)
        if now - since > limit:
            self._is_ending = True
            self._write(self._session.time_out())
            self._stage()
            self._close()

    def retire(self) -> None:
        """Close behind the next answer, and say so in it."""
        self._session.connection.close_after_response()

    def drain(self) -> None:
        """Close once the request under way is answered; at once when there is none."""
        self._is_ending = True
        self._session.connection.close_after_response()
        if self._session.connection.is_idle and not self._waiting and self._session.apart is None:
            self._close()

    def abort(self, reason: str) -> None:
        """Close now, whatever is under way."""
        try:
            self._session.abandon(reason)
            self._stage()
        finally:
            if self._transport is not None:
                self._transport.abort()

    def _silence(self, settings: ServerSettings) -> float:
        """Seconds for which nothing needs to arrive."""
        if self._is_new:
            return settings.first_byte_timeout
        if self._session.connection.is_idle:
            return settings.idle_timeout
        if self._session.connection.is_reading_head:
            return settings.head_timeout
        return settings.stall_timeout

    @property
    def pending(self) -> Pending | None:
        return self._session.pending

    @property
    def waits(self) -> bool:
        return self._session.pending is not None or self._session.apart is not None

    def _receive(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        # A request's head is timed from its first byte, so that a byte now and then does not keep it open.
        if not self._session.connection.is_reading_head:
            self._last_activity = time.monotonic()
        self._is_new = self._is_new and not data
        if not self._waiting and self._session.connection.is_idle and data.startswith(b"OPTIONS "):
            # Squid holds everything up for it, and it is done at once: it needs no turn.
            self._work(data)
            self._stage()
            return
        self._waiting += 1
        if self._waiting == 2:
            self._govern_reading()
        self._engine.turns.add(self, data)

    def work(self, data: bytes) -> None:
        self._waiting -= 1
        if self._waiting == 1:
            self._govern_reading()
        self._work(data)

    def settle(self, durable: bool) -> None:
        self._send(self._session.settle(durable))

    def rejoin(self) -> None:
        """What was apart has run."""
        self._send(self._session.rejoin())
        self._stage()

    def _stage(self) -> None:
        """What became pending outside of a turn is written in the next one."""
        if self._session.pending is not None:
            self._engine.turns.stage(self)

    def _work(self, data: bytes) -> None:
        self._engine.context.metrics.received_bytes.inc(len(data))
        self._send(self._session.receive(data))
        if not data and not self.waits:
            self._close()

    def _send(self, data: bytes) -> None:
        self._write(data)
        apart = self._session.apart
        if apart is not None:
            if apart is not self._apart:
                self._apart = apart
                self._engine.run_apart(self, apart)
        elif self._session.pending is None:
            # An answer that began before the end was ordered did not announce it.
            is_over = self._is_ending and self._session.connection.is_idle and not self._waiting
            if is_over or self._session.connection.must_close:
                self._close()

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._engine.context.metrics.sent_bytes.inc(len(data))
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
