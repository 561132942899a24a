"""One ICAP connection without its socket: bytes in, bytes out, each record durable before its verdict."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import structlog

from icapd.audit import AuditWriter
from icapd.errors import AuditError, RemoteProtocolError
from icapd.http.headers import Headers
from icapd.icap import (
    BodyData,
    BodyEnd,
    Connection,
    ConnectionClosed,
    ErrorReply,
    Event,
    ModRequest,
    OptionsReply,
    OptionsRequest,
    PreviewEnd,
    UnsupportedRequest,
)
from icapd.icap.limits import CodecLimits
from icapd.server.engine import LOCAL, Peer
from icapd.server.metrics import Metrics
from icapd.services.adaptation import Adaptation
from icapd.services.answers import Record, Step
from icapd.services.body_memory import BodyMemory
from icapd.services.catalogue import Catalogue, Service
from icapd.services.options import options_headers, quoted
from icapd.services.transaction import Transaction
from icapd.services.trust import trusted_identity

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SessionContext:
    """What all sessions of a server share."""

    #: The live services; a transaction keeps those that it began with.
    catalogue: Callable[[], Catalogue]
    audit: AuditWriter
    #: Whether a message whose record can't be written is blocked.
    blocks_unrecorded: bool
    codec_limits: CodecLimits
    metrics: Metrics
    #: What all bodies that are held back take together.
    memory: BodyMemory
    #: Whether there is more work than can be done in time: what begins now meets the fail mode.
    is_overloaded: Callable[[], bool] = lambda: False


class Session:
    """Drives the codec and the adaptations of one connection."""

    def __init__(self, context: SessionContext, peer: Peer = LOCAL, *, pauses: bool = False) -> None:
        """With `pauses` it stops behind each request, until `take_rest`."""
        self._context = context
        self._peer = peer
        self._connection = Connection(context.codec_limits, pauses=pauses)
        self._adaptation: Adaptation | None = None
        self._service: Service | None = None
        self._ended = False  # abandoned: nothing that still arrives is looked at
        self._began = 0  # perf_counter_ns when the current request's head was complete

    @property
    def must_close(self) -> bool:
        return self._connection.must_close

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way, not even its first byte."""
        return self._connection.is_idle

    @property
    def is_reading_head(self) -> bool:
        """Whether a request has begun to arrive, but not its whole head."""
        return self._connection.is_reading_head

    @property
    def is_draining(self) -> bool:
        """Whether the request is answered, and what still arrives of it is read only to be dropped."""
        return self._connection.is_draining

    def receive(self, data: bytes) -> bytes:
        """Bytes from the peer (b"": it closed its side); returns the bytes to send."""
        if self._ended:
            return b""
        self._connection.receive_data(data)
        out = bytearray()
        try:
            while (event := self._connection.next_event()) is not None:
                out += self._handle(event)
        except RemoteProtocolError as error:
            out += self._answer_error(error, peer_closed=not data)
        return bytes(out)

    def take_rest(self) -> bytes | None:
        """Once a request has ended: what came behind it, for whoever reads on. None before that."""
        return self._connection.take_rest()

    def close_after_response(self) -> None:
        self._connection.close_after_response()

    def abandon(self, reason: str) -> None:
        """The connection is gone, or will be: record what was under way. `reason`: for the audit row."""
        self._ended = True
        if self._adaptation is not None:
            for step in self._adaptation.abandon(reason):
                self._record(step)
            self._adaptation = None

    def time_out(self) -> bytes:
        """The peer was silent for too long; what to send before the connection is closed."""
        self.abandon("timeout")
        if self._connection.is_idle or not self._connection.awaits_reply:
            return b""
        return self._send_error(408, "nothing arrived for too long")

    def _handle(self, event: Event) -> bytes:
        match event:
            case ModRequest():
                return self._begin(event)
            case BodyData() | PreviewEnd() | BodyEnd():
                assert self._adaptation is not None
                return self._step(self._adaptation.handle, event)
            case OptionsRequest():
                return self._answer_options(event)
            case UnsupportedRequest():
                return self._send_error(501, "the methods here are OPTIONS, REQMOD and RESPMOD", close=False)
            case ConnectionClosed():
                return b""
            case _:
                assert_never(event)

    def _answer_options(self, request: OptionsRequest) -> bytes:
        catalogue = self._context.catalogue()
        service = catalogue.services.get(request.path)
        if service is None:
            return self._unknown_service(catalogue)
        self._context.metrics.options.inc()
        return self._connection.send(
            OptionsReply(
                options_headers(service.description, catalogue.policy.istag, time.time(), request.allow)
            )
        )

    def _begin(self, request: ModRequest) -> bytes:
        catalogue = self._context.catalogue()
        service = catalogue.services.get(request.path)
        if service is None:
            return self._unknown_service(catalogue)
        if service.description.method is not request.method:
            known = service.description.method.value
            return self._send_error(405, f"{request.path} is a {known} service", close=False)
        self._began = time.perf_counter_ns()
        self._service = service
        identity, findings = trusted_identity(request.headers, self._peer.trusted, self._peer.address)
        transaction = Transaction(request, catalogue.policy, time.time_ns() // 1000, identity)
        transaction.add_findings(findings)
        self._adaptation = Adaptation(transaction, service.inspector, service.options, self._context.memory)
        if self._peer.overloaded or self._context.is_overloaded():
            return self._step(self._adaptation.bypass, "overload")
        return self._step(self._adaptation.begin)

    def _unknown_service(self, catalogue: Catalogue) -> bytes:
        return self._send_error(404, f"the services here are {', '.join(catalogue.services)}", close=False)

    def _step(self, decide: Callable[..., list[Step]], *arguments: object) -> bytes:
        """Carry out one move of the adaptation. A defect ends the transaction, not the connection."""
        assert self._adaptation is not None
        try:
            steps = decide(*arguments)
        except Exception as error:
            # The message of an unforeseen error may quote the body: only its kind and its place are logged.
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error(
                "internal-error",
                txn_id=self._adaptation.transaction.txn_id,
                error=type(error).__name__,
                place=f"{Path(place.filename).name}:{place.lineno}",
            )
            steps = self._adaptation.fail(self._connection.is_mid_response)
        out = self._perform(steps)
        if self._adaptation.is_done:
            self._adaptation = None
        return out

    def _perform(self, steps: Sequence[Step]) -> bytes:
        """Carry out the steps in order; returns the bytes of the replies among them."""
        assert self._adaptation is not None
        out = bytearray()
        for step in steps:
            if not isinstance(step, Record):
                out += self._connection.send(step)
            elif not self._record(step) and self._context.blocks_unrecorded:
                mid_response = self._connection.is_mid_response
                return bytes(out) + self._perform(self._adaptation.record_failed(mid_response))
        return bytes(out)

    def _record(self, step: Record) -> bool:
        """Make the transaction's record durable; False when that failed."""
        assert self._adaptation is not None and self._service is not None
        transaction, audit, metrics = self._adaptation.transaction, self._context.audit, self._context.metrics
        latency_us = (time.perf_counter_ns() - self._began) // 1000
        record = transaction.record(latency_us, self._service.inspector.mask_text)
        write = {"final": audit.write, "open": audit.open_stream, "close": audit.close_stream}[step.phase]
        try:
            write(record)
        except AuditError as error:
            metrics.audit_failures.inc()
            log.error("audit-failed", txn_id=record.txn_id, error=str(error))
            return False
        if step.phase != "open":
            metrics.observe(record)
        return True

    def _answer_error(self, error: RemoteProtocolError, *, peer_closed: bool) -> bytes:
        """The answer to bytes that are no ICAP; none in the middle of a reply, or to a peer that has gone."""
        answerable = not peer_closed and self._connection.awaits_reply
        self.abandon("client-gone" if peer_closed else "protocol-error")
        if not answerable:
            return b""
        self._context.metrics.protocol_errors.labels(str(error.icap_status)).inc()
        log.warning("protocol-error", status=error.icap_status, problem=str(error))
        return self._send_error(error.icap_status, str(error))

    def _send_error(self, status: int, explanation: str, *, close: bool = True) -> bytes:
        headers = Headers(((b"ISTag", quoted(self._context.catalogue().policy.istag)),))
        return self._connection.send(ErrorReply(status, explanation, close, headers))
