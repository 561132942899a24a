"""One ICAP connection without its socket: bytes in, bytes out, each record durable before its verdict."""

import time
from collections.abc import Callable, Sequence
from typing import assert_never

import structlog

from icapd.audit import AuditRecord, Phase
from icapd.errors import RemoteProtocolError
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
    Reply,
    UnsupportedRequest,
)
from icapd.server.engine import LOCAL, Peer
from icapd.server.session_context import Apart, Pending, SessionContext
from icapd.server.telemetry.internal_error import log_internal_error
from icapd.services.adaptation import Adaptation
from icapd.services.answers import Record, Step, Work
from icapd.services.catalogue import Catalogue, Service
from icapd.services.options import options_headers, quoted
from icapd.services.transaction import Transaction
from icapd.services.trust import trusted_identity

log = structlog.get_logger()


class Session:
    """Drives the codec and the adaptations of one connection."""

    def __init__(
        self, context: SessionContext, peer: Peer = LOCAL, *, pauses: bool = False, defers: bool = False
    ) -> None:
        """With `pauses` it stops behind each request, until `connection.take_rest`.

        With `defers` it leaves records to the caller, who writes those of many sessions together: it then
        stops with `pending` set, until `settle`. So does it with work that takes long: with `apart` set,
        until that has run and it is to `rejoin`.
        """
        self._context = context
        self._peer = peer
        self._defers = defers
        self.pending: Pending | None = None
        self.apart: Apart | None = None
        self._head_clock = context.metrics.stage("head")
        self._body_clock = context.metrics.stage("body")
        self._audit_clock = context.metrics.stage("audit")
        self._body_work = 0  # nanoseconds spent on the current request's body
        self._peer_closed = False
        self.connection = Connection(context.codec_limits, pauses=pauses)
        if peer.overloaded:
            # It must not stay in the client's pool when there is room again.
            self.connection.close_after_response()
        self._adaptation: Adaptation | None = None
        self._service: Service | None = None
        self._ended = False  # abandoned: nothing that still arrives is looked at
        self._abandoned = ""  # why, while something is apart
        self._began = 0  # perf_counter_ns when the current request's head was complete

    def receive(self, data: bytes) -> bytes:
        """Bytes from the peer (b"": it closed its side); returns the bytes to send."""
        if self._ended:
            return b""
        self.connection.receive_data(data)
        self._peer_closed = not data
        return self._advance()

    def settle(self, durable: bool) -> bytes:
        """What was pending has been written, or could not be; returns the bytes to send."""
        pending, self.pending = self.pending, None
        assert pending is not None
        if durable:
            self._context.note_recorded(pending.phase, pending.record, pending.scope)
            self._context.metrics.audit_lag.observe((time.perf_counter_ns() - pending.since) / 1e9)
        if self._ended:
            return b""
        must_block = not durable and self._context.blocks_unrecorded
        if must_block and self.apart is not None:
            # The adaptation is in its hands: the message ends when it is back.
            self.apart.is_in_vain = True
            return b""
        return self._perform(self._unrecorded() if must_block else pending.replies) + self._advance()

    def rejoin(self) -> bytes:
        """What was apart has run; returns the bytes to send."""
        out = self._rejoin()
        if not self._ended:
            return out + self._advance()
        self.abandon(self._abandoned)
        return b""

    def _rejoin(self) -> bytes:
        assert self.apart is not None
        apart, self.apart = self.apart, None
        self._body_work += apart.took
        return self._perform(self._unrecorded()) if apart.is_in_vain else self._step(apart.steps)

    def _advance(self) -> bytes:
        out: list[bytes] = []
        until = time.monotonic() + self._context.patience
        try:
            while self._goes_on and (event := self.connection.next_event()) is not None:
                out.append(self._handle(event))
                if self._defers and self._adaptation and self._goes_on and time.monotonic() > until:
                    # Others have their turn before what else these bytes hold is looked at.
                    self.apart = Apart(Work(list), ())
        except RemoteProtocolError as error:
            out.append(self._answer_error(error))
        return b"".join(out)

    @property
    def _goes_on(self) -> bool:
        """Whether the next event can be looked at: none behind work, or a record that is not durable."""
        return self.apart is None and (self.pending is None or self.pending.phase == "open")

    def abandon(self, reason: str) -> None:
        """The connection is gone, or will be: record what was under way. `reason`: for the audit row."""
        self._ended = True
        if self.apart is not None:
            self._abandoned = reason
            return
        if self._adaptation is not None:
            for step in self._adaptation.abandon(reason):
                # What was to be recorded until now is part of what is recorded at its end.
                self.pending = None
                if self._defers and self._context.audit.mode == "durable":
                    # A sync, and nobody waits for it: it stays `pending`.
                    self._defer(step.phase)
                else:
                    self._record(step.phase)
            self._adaptation = None

    def time_out(self) -> bytes:
        """The peer was silent for too long; what to send before the connection is closed."""
        self.abandon("timeout")
        if self.connection.is_idle or not self.connection.awaits_reply:
            return b""
        return self._send_error(408, "nothing arrived for too long")

    def _handle(self, event: Event) -> bytes:
        match event:
            case ModRequest():
                return self._begin(event)
            case BodyData() | PreviewEnd() | BodyEnd():
                return self._step(self._take_body, event)
            case OptionsRequest():
                return self._answer_options(event)
            case UnsupportedRequest():
                return self._send_error(501, "the methods here are OPTIONS, REQMOD and RESPMOD", close=False)
            case ConnectionClosed():
                return b""
            case _:
                assert_never(event)

    def _take_body(self, event: BodyData | PreviewEnd | BodyEnd) -> list[Step]:
        assert self._adaptation is not None
        began = time.perf_counter_ns()
        try:
            return self._adaptation.handle(event)
        finally:
            self._body_work += time.perf_counter_ns() - began

    def _answer_options(self, request: OptionsRequest) -> bytes:
        catalogue = self._context.catalogue()
        service = catalogue.services.get(request.path)
        if service is None:
            return self._unknown_service(catalogue)
        self._context.metrics.options.inc()
        headers = options_headers(service.description, catalogue.policy.istag, time.time(), request.allow)
        return self.connection.send(OptionsReply(headers))

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
        transaction = Transaction(request, catalogue.policy, time.time_ns() // 1000, identity, findings)
        self._adaptation = service.adaptation(transaction, self._context.memory)
        self._body_work = 0
        if unseen := transaction.unseen(self._peer.overloaded or self._context.is_overloaded()):
            return self._step(self._adaptation.bypass, unseen)
        out = self._step(self._adaptation.begin)
        self._head_clock.observe((time.perf_counter_ns() - self._began) / 1e9)
        return out

    def _unknown_service(self, catalogue: Catalogue) -> bytes:
        return self._send_error(404, f"the services here are {', '.join(catalogue.services)}", close=False)

    def _step(self, decide: Callable[..., list[Step]], *arguments: object) -> bytes:
        """Carry out one move of the adaptation. A defect ends the transaction, not the connection."""
        assert self._adaptation is not None
        try:
            steps = decide(*arguments)
        except Exception as error:
            log_internal_error(error, self._adaptation.transaction.txn_id)
            steps = self._adaptation.fail(self.connection.is_mid_response)
        return self._perform(steps)

    def _perform(self, steps: Sequence[Step]) -> bytes:
        """Carry out the steps in order; returns the bytes of the replies among them."""
        assert self._adaptation is not None
        out: list[bytes] = []
        for number, step in enumerate(steps):
            if isinstance(step, Work):
                self.apart = Apart(step, steps[number + 1 :])
                if not self._defers:
                    self.apart.run()
                    out.append(self._rejoin())
                return b"".join(out)
            if not isinstance(step, Record):
                if self.pending is None:
                    out.append(self.connection.send(step))
                else:
                    self.pending.replies.append(step)
            elif (phase := self._adaptation.transaction.phase(step.phase)) == "omit":
                self._context.note_recorded(phase, self._make_record(), self._scope)
            elif self._defers:
                self._defer(phase)
            elif not self._record(phase) and self._context.blocks_unrecorded:
                out += map(self.connection.send, self._unrecorded())
                break
        # While work is apart, only that can tell.
        if self.apart is None and self._adaptation.is_done and self.pending is None:
            self._context.over(self._adaptation)
            self._adaptation = None
        return b"".join(out)

    def _defer(self, phase: Phase) -> None:
        record = self._make_record()
        if self.pending is None:
            self.pending = Pending(phase, record, self._scope, [], time.perf_counter_ns())
        else:
            self.pending.phase, self.pending.record = phase, record

    def _unrecorded(self) -> Sequence[Reply]:
        """What takes the place of the steps behind a record that could not be written."""
        assert self._adaptation is not None
        if self.connection.is_mid_response:
            self._context.audit.cuts.add(self._make_record())
        return self._adaptation.record_failed(self.connection.is_mid_response)

    def _record(self, phase: Phase) -> bool:
        """Make the transaction's record durable; False when that failed."""
        record = self._make_record()
        began = time.perf_counter_ns()
        try:
            # When it has ended, no verdict depends on it.
            self._context.audit.write_all(((phase, record),), waits=not self._ended)
        except Exception as error:
            self._context.note_unrecorded(record, error)
            return False
        self._audit_clock.observe((time.perf_counter_ns() - began) / 1e9)
        self._context.note_recorded(phase, record, self._scope)
        return True

    @property
    def _scope(self) -> str:
        assert self._adaptation is not None
        return self._adaptation.transaction.profile.name

    def _make_record(self) -> AuditRecord:
        assert self._adaptation is not None and self._service is not None
        if self._body_work:
            self._body_clock.observe(self._body_work / 1e9)
            self._body_work = 0
        latency_us = (time.perf_counter_ns() - self._began) // 1000
        return self._service.record(self._adaptation.transaction, latency_us)

    def _answer_error(self, error: RemoteProtocolError) -> bytes:
        """The answer to bytes that are no ICAP; none in the middle of a reply, or to a peer that has gone."""
        answerable = not self._peer_closed and self.connection.awaits_reply
        self.abandon("client-gone" if self._peer_closed else "protocol-error")
        if not answerable:
            return b""
        self._context.metrics.protocol_errors.labels(str(error.icap_status)).inc()
        log.warning("protocol-error", status=error.icap_status, problem=str(error))
        return self._send_error(error.icap_status, str(error))

    def _send_error(self, status: int, explanation: str, *, close: bool = True) -> bytes:
        headers = Headers(((b"ISTag", quoted(self._context.catalogue().policy.istag)),))
        return self.connection.send(ErrorReply(status, explanation, close, headers))
