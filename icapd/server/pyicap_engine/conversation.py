"""A session on a blocking socket: request after request, each wait with the limit of its state."""

import time
from typing import Protocol

from icapd.server.pyicap_engine.blocking_wire import Wire
from icapd.server.pyicap_engine.open_connections import OpenConnections
from icapd.server.session import Session
from icapd.server.session_context import SessionContext
from icapd.settings import Server as ServerSettings


class Surroundings(Protocol):
    """What conversations share."""

    @property
    def context(self) -> SessionContext: ...
    @property
    def settings(self) -> ServerSettings: ...
    @property
    def open_connections(self) -> OpenConnections: ...


class Conversation:
    """What one connection's thread does for the services of icapd."""

    def __init__(self, wire: Wire, session: Session, surroundings: Surroundings) -> None:
        """`session`: one that pauses behind each request, so that others can read the next one."""
        self._wire = wire
        self._session = session
        self._settings = surroundings.settings
        self._max_head = surroundings.context.codec_limits.max_icap_head
        self._connections = surroundings.open_connections
        #: When the head of the request ahead must have arrived.
        self.head_deadline = 0.0
        #: Whether the request ahead is quick work, which is done whatever else waits.
        self._is_options = False
        #: Whether the peer may still be sending when the connection is closed.
        self.lingers = False

    def next_request_line(self, deadline: float) -> bytes | None:
        """The line that a request begins with, left where it is; b"" for one that does not come whole.

        None: no request comes before the deadline, or none will: the connection is to be closed.
        """
        wire = self._wire
        while not self._request_has_begun():
            try:
                if not wire.wait(deadline - time.monotonic()) or not wire.fill(deadline - time.monotonic()):
                    return None
            except OSError:
                return None
        self.head_deadline = time.monotonic() + self._settings.head_timeout
        while (end := wire.unread.find(b"\r\n")) < 0:
            try:
                if len(wire.unread) >= self._max_head or not self._fill_head():
                    return b""
            except OSError:
                return b""
        self._is_options = wire.unread.startswith(b"OPTIONS ")
        return bytes(wire.unread[:end])

    def serve(self) -> bool:
        """Carry one request through the session; False when the connection is to be closed then."""
        try:
            return self._serve()
        except TimeoutError:
            self._session.abandon("timeout")  # the peer takes nothing of its answer
        except OSError:
            self._session.abandon("server-stopped" if self._wire.was_cut else "client-gone")
        return False

    def _serve(self) -> bool:
        wire, session = self._wire, self._session
        drain_deadline = 0.0
        data = wire.take()
        while True:
            if self._connections.is_ending:
                session.connection.close_after_response()
            wire.send(self._work(data))
            if session.connection.must_close:
                self.lingers = True
                return False
            if (rest := session.connection.take_rest()) is not None:
                wire.unread += rest
                return True
            if not data:
                return False
            if session.connection.is_draining and not drain_deadline:
                drain_deadline = time.monotonic() + self._settings.drain_timeout
            try:
                if drain_deadline:
                    wire.fill(drain_deadline - time.monotonic())
                elif session.connection.is_reading_head:
                    self._fill_head()
                else:
                    wire.fill()
            except TimeoutError:
                wire.send(session.time_out())
                return False
            if wire.was_cut:
                session.abandon("server-stopped")
                return False
            data = wire.take()

    def _work(self, data: bytes) -> bytes:
        if self._is_options:
            return self._session.receive(data)
        with self._connections.gate.passed():
            return self._session.receive(data)

    def _fill_head(self) -> bool:
        # Timed from its first byte, so that a byte now and then does not keep it open.
        return self._wire.fill(self.head_deadline - time.monotonic())

    def _request_has_begun(self) -> bool:
        # Some clients send an empty line between two requests, as RFC 9112 section 2.2 tolerates.
        while self._wire.unread.startswith(b"\r\n"):
            del self._wire.unread[:2]
        return bool(self._wire.unread)
