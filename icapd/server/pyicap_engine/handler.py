"""pyicap's handler with the services of icapd in it, beside a site's own on the same connections.

A site's service is a set of methods such as `hello_OPTIONS` and `hello_REQMOD`, as pyicap wants them. A
request whose path names one goes to pyicap; all others go to icapd. pyicap reads and writes the same buffer
as icapd's codec (blocking_wire.py), so requests of both kinds may come in any order, and pipelined.
"""

import time
from ssl import SSLContext
from typing import Any, Protocol

import structlog

from icapd.errors import RemoteProtocolError
from icapd.icap import ErrorReply, writer
from icapd.icap.grammar import parse_request_line
from icapd.server.engine import Peer
from icapd.server.pyicap_engine.blocking_wire import Wire, WireReader, WireWriter
from icapd.server.pyicap_engine.compat import BaseICAPRequestHandler, ICAPError
from icapd.server.pyicap_engine.conversation import Conversation, Surroundings
from icapd.server.pyicap_engine.site_request import SiteRequest
from icapd.server.session import Session
from icapd.server.telemetry.internal_error import log_internal_error, place_of

log = structlog.get_logger()

METHODS = frozenset(("OPTIONS", "REQMOD", "RESPMOD"))


class Host(Surroundings, Protocol):
    """Whose connections a handler serves."""

    def arrive(self, address: Any) -> tuple[Peer, SSLContext | None] | None:
        """Who has connected, and whether to begin with a handshake; None: close without a byte."""

    def leave(self, peer: Peer) -> None:
        """The connection of a peer that arrived has ended."""

    def handshake_failed(self, peer: Peer, error: OSError) -> None:
        """The peer's connection did not become one."""


class IcapdRequestHandler(BaseICAPRequestHandler):
    """Serves one connection. An engine, or `mount` (mount.py), makes the subclass that is used.

    What pyicap does to a connection that others share is put right here, and only that: `parse_request`,
    `read_chunk` and `send_error` take the place of its own. Names begin with `icapd`, since a site's handler
    has names of its own in the same object.
    """

    icapd: Host
    _icapd_request: SiteRequest

    def handle(self) -> None:
        """All requests of the connection."""
        arrival = self.icapd.arrive(self.client_address)
        if arrival is not None:
            _SharedConnection(self, self.icapd, arrival[0]).serve(arrival[1])

    def parse_request(self) -> None:
        """The heads of a request. pyicap's own lets errors of Python out, and the connection breaks off."""
        try:
            super().parse_request()
        except (ValueError, IndexError):
            raise ICAPError(400) from None
        self._icapd_request.begin_body(preview=self.preview is not None)

    def read_chunk(self) -> bytes:
        """A piece of the body; b"" at its end, or at that of the preview.

        pyicap's own takes a body that breaks off for a whole one, reads on to the end of the connection at a
        size of -1, and leaves trailers to be taken for the next request.
        """
        data = b"" if self.eob or not self.has_body else self._icapd_request.read_body()
        self.eob = not data
        self.ieof = self._icapd_request.is_complete_preview
        return data

    def send_error(self, code: int, message: bytes | None = None) -> None:
        """An ICAP error. pyicap's own fails without a message, and with one that is text."""
        phrase, _ = self._responses.get(code, (b"Error", b""))
        super().send_error(code, message if isinstance(message, bytes) else phrase)


class _SharedConnection:
    """One connection, handed from request to request to whom it is for."""

    def __init__(self, handler: IcapdRequestHandler, host: Host, peer: Peer) -> None:
        self._handler = handler
        self._host = host
        self._peer = peer
        self._wire = Wire(handler.request, host.open_connections.stop_descriptor, host.settings.stall_timeout)
        self._session = Session(host.context, peer, pauses=True)
        self._conversation = Conversation(self._wire, self._session, host)

    def serve(self, tls: SSLContext | None) -> None:
        """From its first byte, or its handshake, to its end."""
        wire, host = self._wire, self._host
        host.context.metrics.connections.inc()
        host.open_connections.add(wire)
        try:
            self._converse(tls)
        except Exception as error:
            # The server's own report of it would show its message.
            log_internal_error(error)
        finally:
            self._session.abandon("server-stopped" if wire.was_cut else "client-gone")
            wire.close()
            self._count()
            host.context.metrics.connections.dec()
            host.leave(self._peer)
            host.open_connections.end(wire)

    def _converse(self, tls: SSLContext | None) -> None:
        wire, host, conversation = self._wire, self._host, self._conversation
        deadline = time.monotonic() + host.settings.first_byte_timeout
        if tls is not None:
            try:
                wire.handshake(tls, host.settings.first_byte_timeout)
            except OSError as error:
                host.handshake_failed(self._peer, error)
                return
        while (line := conversation.next_request_line(deadline)) is not None:
            goes_on = self._serve_site() if self._is_for_site(line) else conversation.serve()
            self._count()
            if not goes_on:
                break
            deadline = time.monotonic() + host.settings.idle_timeout
        if conversation.lingers:
            max_drain = host.context.codec_limits.max_drain
            wire.close(linger=host.settings.drain_timeout, max_size=max_drain)

    def _count(self) -> None:
        """The bytes that came and went since the last time."""
        metrics, wire = self._host.context.metrics, self._wire
        metrics.received_bytes.inc(wire.received)
        metrics.sent_bytes.inc(wire.sent)
        wire.received = wire.sent = 0

    def _is_for_site(self, line: bytes) -> bool:
        """Whether a method of the handler serves the request. What no one serves, icapd answers."""
        try:
            method, path = parse_request_line(line)
        except RemoteProtocolError:
            return False
        if method not in METHODS or path in self._host.context.catalogue().services:
            return False
        return callable(getattr(self._handler, f"{path.strip('/')}_{method}", None))

    def _serve_site(self) -> bool:
        """Have pyicap serve one request; False when the connection is to be closed then.

        Whatever the service does, the next thing its client reads must be the answer to its next request.
        """
        handler, wire = self._handler, self._wire
        request = SiteRequest(wire, self._host.context.codec_limits, self._conversation.head_deadline)
        handler._icapd_request = request
        handler.rfile.close()
        handler.wfile.close()
        handler.rfile, handler.wfile = WireReader(wire, request.fill), WireWriter(wire)
        error = ErrorReply(500, "the service failed")
        goes_on = False
        try:
            handler.handle_one_request()
            if request.timed_out:
                error = ErrorReply(408, "nothing arrived for too long")
            goes_on = not handler.close_connection
        except RemoteProtocolError as problem:
            error = ErrorReply(problem.icap_status, str(problem))
        except ConnectionError:
            return False
        except Exception as problem:
            log.error("site-service-failed", error=type(problem).__name__, place=place_of(problem))
        if goes_on and wire.sent and handler.has_body and not handler.eob:
            goes_on = request.skip_body(self._host.settings.drain_timeout)
        if not wire.sent:
            wire.send(writer.error(error, close=True))
            goes_on = False
        self._conversation.lingers = not goes_on
        return goes_on and not self._host.open_connections.is_ending
