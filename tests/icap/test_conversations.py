"""Codec and client against each other: any request, any legal reply to it, at any moment, cut anywhere."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.icap_client import Exchange, IcapClient, Writing
from support.icap_strategies import MISPLACED, OPTIONS, SIZES, mod_requests

from icapd.errors import LocalProtocolError, RemoteProtocolError
from icapd.http.headers import Headers
from icapd.http.heads import MessageHead, RequestHead, ResponseHead
from icapd.icap import (
    AdaptedData,
    AdaptedEnd,
    AdaptedHead,
    BodyData,
    BodyEnd,
    CodecLimits,
    Connection,
    ConnectionClosed,
    Continue,
    ErrorReply,
    Event,
    ModRequest,
    OptionsReply,
    OptionsRequest,
    PartialContent,
    PreviewEnd,
    Reply,
    Unmodified,
    UnsupportedRequest,
)

LIMITS = CodecLimits(max_icap_head=4096, max_http_head=4096, max_preview=8192)
MAX_PIPELINED = 3
ANY_REPLY: list[Reply] = [
    Continue(),
    Unmodified(),
    OptionsReply(Headers()),
    AdaptedHead(ResponseHead(403), has_body=False),
    AdaptedData(b"x"),
    AdaptedEnd(),
    PartialContent(ResponseHead(200), b"", 0),
    PartialContent(ResponseHead(200), b"", 10**9),
    ErrorReply(404, "no such service", close=False),
]


class Conversation(RuleBasedStateMachine):
    """The server's half answers at random, as far as it may; a model of its own says how far that is."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection(LIMITS)
        self.client = IcapClient()
        self.closed = False
        self._begin_exchange()
        self.served = 0  # exchanges that were answered

    def _begin_exchange(self) -> None:
        self.event: Event | None = None  # the request that is to be answered
        self.body = b""
        self.paused = self.continued = self.ended = False
        self.adapting: AdaptedHead | None = None
        self.sent_body = b""

    @property
    def exchange(self) -> Exchange:
        """The one that is being answered."""
        return self.client.exchanges[self.served]

    # --- the client

    @precondition(lambda self: not self.closed and len(self.client.unanswered) < MAX_PIPELINED)
    @rule(request=st.one_of(mod_requests(), mod_requests(), OPTIONS, MISPLACED))
    def ask(self, request: object) -> None:
        self.client.ask(request)  # type: ignore[arg-type]

    @precondition(lambda self: not self.closed)
    @rule(size=SIZES)
    def deliver(self, size: int) -> None:
        data = self.client.write(size)
        if data:
            self.connection.receive_data(data)
            self._listen()

    @precondition(lambda self: not self.closed)
    @rule()
    def deliver_all(self) -> None:
        while data := self.client.write(100_000):
            self.connection.receive_data(data)
            self._listen()

    @precondition(lambda self: not self.closed)
    @rule()
    def cut_the_body_short(self) -> None:
        if self.client.unanswered:
            self.client.unanswered[0].cut()

    @precondition(lambda self: not self.closed)
    @rule()
    def close(self) -> None:
        """The client closes its side, wherever it is."""
        self.closed = True
        self.connection.receive_data(b"")
        try:
            self._listen()
        except RemoteProtocolError:
            assert self.connection.must_close
            if self.connection.awaits_reply:
                self._send(ErrorReply(400, "broken off"))
            self._begin_exchange()

    # --- the server

    def _listen(self) -> None:
        while (event := self.connection.next_event()) is not None:
            match event:
                case ModRequest() | OptionsRequest() | UnsupportedRequest():
                    self._on_request(event)
                case BodyData(data):
                    assert data and not self.ended and not self.paused
                    self.body += data
                    assert (self.exchange.request.body or b"").startswith(self.body)
                case PreviewEnd(complete):
                    request = self.exchange.request
                    assert request.previews and not self.continued and self.body == request.previewed
                    assert complete is request.is_whole_in_preview
                    self.paused = not complete
                case BodyEnd(trailers):
                    self.ended = True
                    assert self.body == self.exchange.body
                    assert trailers.encode() == self.exchange.request.spelling.trailers
                case ConnectionClosed():
                    assert self.closed and self.event is None

    def _on_request(self, event: ModRequest | OptionsRequest | UnsupportedRequest) -> None:
        assert self.event is None and self.adapting is None, "a second request before the first was answered"
        request = self.exchange.request
        self.event = event
        self.ended = request.body is None
        assert event.path == request.path
        if isinstance(event, ModRequest):
            assert event.method.value == request.method
            assert event.preview == request.preview
            assert event.has_body is (request.body is not None)
            assert event.allow == {token.encode() for token in request.allow}
            assert (event.request_head.raw if event.request_head else b"") == request.request_head
            assert (event.response_head.raw if event.response_head else b"") == request.response_head
        else:
            assert isinstance(event, OptionsRequest) is (request.method == "OPTIONS")

    def _send(self, reply: Reply) -> None:
        self.client.receive(self.connection.send(reply))

    def _end(self) -> None:
        """The final reply was sent."""
        assert self.exchange.is_answered
        self.served += 1
        self._begin_exchange()
        if not self.closed:
            self._listen()

    @precondition(lambda self: self._may_answer and self.paused)
    @rule()
    def ask_for_the_rest(self) -> None:
        self.paused, self.continued = False, True
        self._send(Continue())

    @property
    def _may_answer(self) -> bool:
        return self.event is not None and self.adapting is None

    @property
    def _allow(self) -> frozenset[bytes]:
        return self.event.allow if isinstance(self.event, ModRequest) else frozenset()

    @precondition(lambda self: self._may_answer and self._may_answer_204)
    @rule()
    def let_pass(self) -> None:
        self._send(Unmodified(Headers(((b"ISTag", b'"x"'),))))
        assert self.exchange.reply is not None and self.exchange.reply.status == 204
        self._end()

    @property
    def _may_answer_204(self) -> bool:
        if not isinstance(self.event, ModRequest):
            return False
        return b"204" in self._allow or (self.event.preview is not None and not self.continued)

    @precondition(lambda self: self._may_answer)
    @rule()
    def answer_options_or_refuse(self) -> None:
        self._send(
            OptionsReply(Headers())
            if isinstance(self.event, OptionsRequest)
            else ErrorReply(404, "no such service", close=False)
        )
        self._end()

    @precondition(lambda self: self._may_answer and isinstance(self.event, ModRequest))
    @rule(has_body=st.booleans(), satisfies=st.booleans(), with_trailers=st.booleans())
    def begin_message(self, has_body: bool, satisfies: bool, with_trailers: bool) -> None:
        assert isinstance(self.event, ModRequest)
        head: MessageHead = ResponseHead(200, b"OK")
        if self.exchange.request.method == "REQMOD" and not satisfies:
            head = self.event.request_head or RequestHead(b"GET", b"/")
        names = (b"X-Late",) if with_trailers and b"trailers" in self._allow else ()
        self.adapting = AdaptedHead(head, has_body, trailer_names=names)
        self._send(self.adapting)
        assert self.exchange.reply is not None
        assert self.exchange.reply.http_head == head.encode()

    @precondition(lambda self: self.adapting is not None and self.adapting.has_body)
    @rule(data=st.binary(max_size=50))
    def send_body(self, data: bytes) -> None:
        self.sent_body += data
        self._send(AdaptedData(data))

    @precondition(lambda self: self.adapting is not None)
    @rule(trailers=st.sampled_from([Headers(), Headers(((b"X-Checksum", b"1"),))]))
    def end_message(self, trailers: Headers) -> None:
        assert self.adapting is not None
        late = Headers(tuple((name, b"now") for name in self.adapting.trailer_names))
        self._send(AdaptedEnd(trailers if self.adapting.has_body else Headers(), late))
        assert self.exchange.reply is not None and self.exchange.reply.body == self.sent_body
        self._end()

    @precondition(lambda self: self._may_answer and self._may_answer_206)
    @rule(data=st.binary(max_size=50), part=st.floats(0, 1))
    def send_partial_content(self, data: bytes, part: float) -> None:
        original = int(len(self.body) * part)
        is_response = self.exchange.request.method == "RESPMOD"
        head = ResponseHead(200, b"OK") if is_response else RequestHead(b"POST", b"/")
        self._send(PartialContent(head, data, original))
        assert self.exchange.reply is not None
        assert (self.exchange.reply.body, self.exchange.reply.original_from) == (data, original)
        self._end()

    @property
    def _may_answer_206(self) -> bool:
        return (
            isinstance(self.event, ModRequest)
            and self.event.has_body
            and b"206" in self._allow
            and (self.paused or (self.ended and b"204" in self._allow))
        )

    @precondition(lambda self: not self.closed)
    @rule()
    def stop_in_good_order(self) -> None:
        self.connection.close_after_response()

    @rule(reply=st.sampled_from(ANY_REPLY))
    def try_what_is_not_allowed(self, reply: Reply) -> None:
        """The codec refuses to say what the conversation forbids, and stays what it was."""
        match reply:
            case Continue():
                legal = self._may_answer and self.paused
            case AdaptedData():
                legal = self.adapting is not None and self.adapting.has_body
            case AdaptedEnd():
                legal = self.adapting is not None
            case PartialContent():
                legal = self._may_answer and self._may_answer_206 and reply.use_original_body == 0
            case ErrorReply() if self.connection.awaits_reply:
                return  # a 408 may come at any time
            case _:
                legal = self._may_answer
        if not legal:
            with pytest.raises(LocalProtocolError):
                self.connection.send(reply)

    @precondition(lambda self: self._may_answer and self._may_answer_206)
    @rule(more=st.integers(1, 100))
    def try_to_use_more_than_was_sent(self, more: int) -> None:
        with pytest.raises(LocalProtocolError):
            self.connection.send(PartialContent(ResponseHead(200), b"", len(self.body) + more))

    # --- always

    @invariant()
    def holds_no_more_than_its_limits(self) -> None:
        waits_for_us = self.event is not None
        limit = LIMITS.max_icap_head + 2 * LIMITS.max_http_head
        assert waits_for_us or self.closed or len(self.connection._buffer) <= limit

    @invariant()
    def closes_only_when_it_said_so(self) -> None:
        if self.connection.must_close and not self.closed:
            assert self.client.is_closed

    @invariant()
    def tells_where_it_is(self) -> None:
        assert self.closed or self.connection.is_mid_response is (self.adapting is not None)
        assert self.connection.is_idle + self.connection.is_reading_head + self.connection.is_draining <= 1
        if self.event is not None:
            assert not self.connection.is_idle and not self.connection.is_reading_head

    def teardown(self) -> None:
        """What was begun can be ended; then each request has had its one reply."""
        for _ in range(50):
            if self.closed or self.connection.must_close:
                return
            if self.adapting is not None:
                self.end_message(Headers())
            elif self.event is not None and (self.paused or self.ended):
                self.answer_options_or_refuse()
            elif data := self.client.write(100_000):
                self.connection.receive_data(data)
                self._listen()
        assert not self.client.unanswered
        assert all(exchange.writing is Writing.DONE for exchange in self.client.exchanges)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
