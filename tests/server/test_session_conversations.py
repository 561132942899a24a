"""Whole sessions against a strict client: any requests, cut anywhere, broken off anywhere.

Whatever comes, the client finds no fault with the replies, each request gets one, each transaction its one
record, and both are what they would have been on a connection of its own.
"""

import tempfile
from pathlib import Path
from typing import Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.icap_client import Exchange, IcapClient
from support.icap_requests import Request
from support.icap_strategies import MISPLACED, OPTIONS, SIZES, mod_requests
from support.policies import demo_policy
from support.sessions import Workbench, plain, plain_record

from icapd.audit import AuditRecord
from icapd.icap.limits import CodecLimits

LIMITS = CodecLimits(max_icap_head=4096, max_http_head=4096, max_preview=8192, max_drain=4000)
MAX_PIPELINED = 3


class SessionConversation(RuleBasedStateMachine):
    """The client does what it likes; the session answers by itself."""

    mode: Literal["open", "closed"] = "open"
    memory = 2**30
    defers = False
    patience = 1.0
    _bench: Workbench | None = None

    @classmethod
    def bench(cls) -> Workbench:
        """One for all runs: what one of them left behind would show in the next."""
        if cls._bench is None:
            directory = Path(tempfile.mkdtemp(prefix="icapd-conversations-"))
            cls._bench = Workbench(
                demo_policy(directory),
                directory,
                LIMITS,
                mode=cls.mode,
                memory=cls.memory,
                patience=cls.patience,
            )
        return cls._bench

    def __init__(self) -> None:
        super().__init__()
        self.workbench = self.bench()
        self.workbench.take_records()
        self._connect()

    def _connect(self) -> None:
        self.session = self.workbench.session(defers=self.defers)
        self.client = IcapClient()
        self.over = False
        self.records: list[AuditRecord] = []

    # --- what may happen

    @precondition(lambda self: not self.over and len(self.client.unanswered) < MAX_PIPELINED)
    @rule(request=st.one_of(*[mod_requests()] * 6, OPTIONS, MISPLACED))
    def ask(self, request: Request) -> None:
        self.client.ask(request)

    @precondition(lambda self: not self.over)
    @rule(size=SIZES)
    def deliver(self, size: int) -> None:
        if data := self.client.write(size):
            self._hear(self._receive(data))

    @precondition(lambda self: not self.over)
    @rule()
    def cut_the_body_short(self) -> None:
        if self.client.unanswered:
            self.client.unanswered[0].cut()

    @precondition(lambda self: not self.over)
    @rule()
    def deliver_all(self) -> None:
        while not self.over and (data := self.client.write(100_000)):
            self._hear(self._receive(data))

    @precondition(lambda self: not self.over)
    @rule(how=st.sampled_from(["close", "time_out", "lose", "stop"]))
    def end(self, how: str) -> None:
        match how:
            case "close":
                self._hear(self._receive(b""))
                self._end("client-gone")
            case "time_out":
                self._hear(self.session.time_out(), may_refuse=True)
                self._end("timeout")
                assert self.session.receive(b"late\r\n\r\n") == b""
            case "lose":
                self._end("client-gone")
            case "stop":
                self.session.connection.close_after_response()

    @precondition(lambda self: self.over)
    @rule()
    def connect_again(self) -> None:
        self.teardown()
        self._connect()

    # --- what follows from it

    def _receive(self, data: bytes) -> bytes:
        return self.session.receive(data) + self.workbench.settle(self.session)

    def _hear(self, out: bytes, *, may_refuse: bool = False) -> None:
        before = len(self.client.exchanges) - len(self.client.unanswered)
        self.client.receive(out)
        after = len(self.client.exchanges) - len(self.client.unanswered)
        for exchange in self.client.exchanges[before:after]:
            self._check(exchange, may_refuse=may_refuse)
        self.records += self.workbench.take_records()
        if self.session.connection.must_close:
            self.over = True

    def _check(self, exchange: Exchange, *, may_refuse: bool) -> None:
        request, reply = exchange.request, exchange.reply
        assert reply is not None
        if request.method == "FOOMOD":
            expected = {501}
        elif request.path == "/nowhere":
            expected = {404}
        elif request.method == "OPTIONS":
            expected = {200}
        elif (request.method == "REQMOD") is not (request.path == "/reqmod"):
            expected = {405}
        else:
            expected = {200, 204, 206}
        assert reply.status in expected | ({408} if may_refuse else set())
        if reply.status != 408:
            assert (reply.get(b"ISTag") or b"").startswith(b'"')
        if reply.get(b"X-Icapd-Verdict") == b"allowed" and reply.status == 200:
            assert reply.body == exchange.body, "an allowed body was not passed as it was"

    def _end(self, reason: str) -> None:
        self.over = True
        self.session.abandon(reason)
        self.records += self.workbench.take_records()

    def _is_transaction(self, exchange: Exchange) -> bool:
        request = exchange.request
        at_home = (request.method == "REQMOD") is (request.path == "/reqmod") and request.path != "/nowhere"
        return request.is_mod and at_home

    @invariant()
    def has_one_record_for_each_transaction(self) -> None:
        """Of those answered, each; of those under way, at most one more, and that only at the end."""
        answered = [
            exchange
            for exchange in self.client.exchanges
            if exchange.is_answered and exchange.reply and exchange.reply.status < 300
        ]
        known = [exchange.request.method for exchange in answered if self._is_transaction(exchange)]
        recorded = [record.method_icap for record in self.records]
        assert recorded[: len(known)] == known
        assert len(recorded) <= len(known) + self.over
        assert len({record.event_id for record in self.records}) == len(recorded)
        assert not any(record.inspection == "error" for record in self.records), "a defect of ours"

    @invariant()
    def holds_no_more_than_its_limits(self) -> None:
        # Once it must close, what came with the last bytes goes with the connection.
        held = 0 if self.session.connection.must_close else len(self.session.connection._buffer)
        assert held <= LIMITS.max_icap_head + 2 * LIMITS.max_http_head
        if self.over:
            assert self.workbench.memory.held == 0

    def teardown(self) -> None:
        """Write what is left; then hold each transaction against the same one alone."""
        self.deliver_all()
        if not self.over:
            assert not self.client.unanswered
            assert self.session.connection.is_idle
        self._end("client-gone")
        self.has_one_record_for_each_transaction()
        assert self.workbench.memory.held == 0
        records = iter(self.records)
        for exchange in self.client.exchanges:
            if not exchange.is_answered or exchange.reply is None or exchange.reply.status == 408:
                break
            reply, recorded = alone(self.workbench, exchange)
            assert reply == told(exchange)
            assert recorded == [plain_record(next(records)) for _ in range(self._is_transaction(exchange))]


def told(exchange: Exchange) -> tuple[object, ...]:
    """A reply less what differs from one transaction to the next."""
    reply = exchange.reply
    assert reply is not None
    fields = plain(b"".join(b"\r\n%b: %b" % item for item in reply.fields))
    parts = plain(reply.http_head), plain(reply.body), reply.trailers, reply.icap_trailers
    return reply.status, fields, *parts, reply.original_from


def alone(workbench: Workbench, exchange: Exchange) -> tuple[tuple[object, ...], list[AuditRecord]]:
    """The same request, written in the same pieces, on a connection of its own."""
    session, client = workbench.session(), IcapClient()
    copy = client.ask(exchange.request)
    for size in exchange.history:
        if size is None:
            copy.cut()
        else:
            client.receive(session.receive(copy.write(size)))
    return told(copy), [plain_record(record) for record in workbench.take_records()]


class ClosedConversation(SessionConversation):
    """The same where what can't be inspected is blocked."""

    mode = "closed"
    _bench = None


class ForgetfulConversation(SessionConversation):
    """The same where next to nothing can be held back."""

    memory = 100
    _bench = None


class DeferringConversation(SessionConversation):
    """The same where records are left to the caller, as the asyncio engine has them."""

    defers = True
    _bench = None


class ImpatientConversation(DeferringConversation):
    """The same where everything that a rule might find is looked for apart."""

    patience = -1.0
    _bench = None


_SETTINGS = settings(
    max_examples=50,
    stateful_step_count=30,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
TestSessionConversation = SessionConversation.TestCase
TestSessionConversation.settings = _SETTINGS
TestClosedConversation = ClosedConversation.TestCase
TestClosedConversation.settings = _SETTINGS
TestForgetfulConversation = ForgetfulConversation.TestCase
TestForgetfulConversation.settings = _SETTINGS
TestDeferringConversation = DeferringConversation.TestCase
TestDeferringConversation.settings = _SETTINGS
TestImpatientConversation = ImpatientConversation.TestCase
TestImpatientConversation.settings = _SETTINGS
