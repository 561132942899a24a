"""The state machine of a transaction, over the codec, without a socket: bytes in, bytes and records out."""

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import wire
from support.policies import KEY, SECRET, demo_policy

from icapd.audit import AuditRecord
from icapd.http.codings import CodingLimits
from icapd.icap import BodyData, BodyEnd, Connection, ModRequest, PreviewEnd
from icapd.inspection import Fingerprinter, InspectionLimits
from icapd.policy import Policy
from icapd.services.adaptation import Adaptation, AdaptationOptions
from icapd.services.answers import Record, Step
from icapd.services.catalogue import Catalogue, ServiceOptions, make_catalogue
from icapd.services.transaction import Transaction

CONTINUE = b"ICAP/1.0 100 Continue\r\n\r\n"
MAX_BUFFERED = 4096
LIMITS = InspectionLimits(
    buffered_coding=CodingLimits(max_size=8192, max_ratio=200),
    streamed_coding=CodingLimits(max_size=None, max_ratio=200),
)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return demo_policy(tmp_path_factory.mktemp("rules"))


def catalogue_of(
    policy: Policy, mode: Literal["open", "closed"] = "open", scan_timeout: float = 5.0
) -> Catalogue:
    adaptation = AdaptationOptions(
        MAX_BUFFERED, blocks_uninspected=mode == "closed", contact="security@example"
    )
    options = ServiceOptions(1024, 600, 100, adaptation, adaptation)
    limits = replace(LIMITS, scan_timeout=scan_timeout)
    return make_catalogue(policy, Fingerprinter(b"k" * 32), limits, options)


@dataclass
class Outcome:
    """What came of one request: the bytes sent, and the records in their order."""

    sent: bytes = b""
    records: list[tuple[str, AuditRecord]] = field(default_factory=list)

    @property
    def status(self) -> int:
        """Of the final reply."""
        return int(self._final[9:12])

    @property
    def _final(self) -> bytes:
        return self.sent.removeprefix(CONTINUE)

    @property
    def http_head(self) -> bytes:
        payload = self._final.partition(b"\r\n\r\n")[2]
        return payload.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    @property
    def body(self) -> bytes:
        """Of the adapted message; its framing is checked to the last byte."""
        icap_head, _, payload = self._final.partition(b"\r\n\r\n")
        data = payload[len(self.http_head) :]
        if b"null-body" in icap_head:
            assert data == b""
            return b""
        body, rest = wire.dechunked(data)
        assert rest == b""
        return body

    @property
    def record(self) -> AuditRecord:
        """The one row of the transaction."""
        final = [record for phase, record in self.records if phase != "open"]
        assert len(final) == 1
        return final[0]


@dataclass(frozen=True)
class Previewed:
    """A request with a preview: `rest` travels only after 100 Continue, as from Squid."""

    upfront: bytes
    rest: bytes = b""


def adapt(catalogue: Catalogue, *data: bytes | Previewed, sizes: Sequence[int] = ()) -> Outcome:
    """Run one request through codec and adaptation; records are taken down before the bytes behind them."""
    connection, outcome = Connection(), Outcome()
    adaptation: Adaptation | None = None

    def perform(steps: list[Step]) -> None:
        assert adaptation is not None
        for step in steps:
            if isinstance(step, Record):
                outcome.records.append((step.phase, adaptation.transaction.record(5, inspector.mask_text)))
            else:
                outcome.sent += connection.send(step)

    for piece in _travelling(data, sizes, outcome):
        connection.receive_data(piece)
        while (event := connection.next_event()) is not None:
            if isinstance(event, ModRequest):
                service = catalogue.services[event.path]
                inspector = service.inspector
                transaction = Transaction(event, catalogue.policy, 1_000_000)
                adaptation = Adaptation(transaction, inspector, service.options)
                perform(adaptation.begin())
            else:
                assert adaptation is not None and isinstance(event, BodyData | PreviewEnd | BodyEnd)
                perform(adaptation.handle(event))
    return outcome


def _travelling(data: Sequence[bytes | Previewed], sizes: Sequence[int], outcome: Outcome) -> Iterator[bytes]:
    for part in data:
        if isinstance(part, bytes):
            yield from wire.pieces(part, sizes)
            continue
        yield from wire.pieces(part.upfront, sizes)
        if outcome.sent.startswith(CONTINUE):
            yield from wire.pieces(part.rest, sizes)


JSON = b'{"user": "ann", "key": "%b", "n": 1e3}' % KEY
REDACTED_JSON = b'{"user": "ann", "key": "KEY-[REDACTED]", "n": 1e3}'


def response(body: bytes, content_type: bytes = b"application/json", *headers: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in headers)
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n" % (
        content_type,
        len(body),
        lines,
    )


def respmod_of(
    body: bytes, content_type: bytes = b"application/json", *headers: bytes, **icap: str
) -> Previewed:
    """A response as Squid sends it: a preview of up to 1024 bytes, and the rest behind it."""
    preview, rest = body[:1024], body[1024:]
    http = response(body, content_type, *headers)
    upfront = wire.respmod(http, wire.chunked(preview, ieof=not rest), Preview="1024", **icap)
    return Previewed(upfront, wire.chunked(*([rest] if rest else [])))


def test_clean_message_is_left_alone(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(b'{"a": 1}'))
    assert outcome.status == 204
    assert b"X-Icapd-Verdict: allowed\r\n" in outcome.sent
    record = outcome.record
    assert (record.verdict, record.disposition, record.inspection) == ("allowed", "unmodified", "complete")
    assert (record.response_bytes, record.http_status, record.content_type) == (8, 200, "application/json")


def test_message_without_a_body_is_left_alone(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), wire.reqmod(Preview="0", Allow="204"))
    assert outcome.status == 204
    record = outcome.record
    assert (record.method_icap, record.http_method, record.scheme) == ("REQMOD", "GET", "https")
    assert (record.host, record.port, record.path) == ("api.example", 443, "/items")


def test_clean_message_is_echoed_where_204_is_not_allowed(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), wire.respmod(response(b"{}"), wire.chunked(b"{}")))
    assert outcome.status == 200
    assert outcome.http_head == response(b"{}")
    assert outcome.body == b"{}"
    assert outcome.record.disposition == "echoed"


def test_204_is_not_given_after_100_unless_allowed(policy: Policy) -> None:
    body = b"x" * 3000
    assert adapt(catalogue_of(policy), respmod_of(body, b"text/plain")).body == body
    assert adapt(catalogue_of(policy), respmod_of(body, b"text/plain", Allow="204")).status == 204


def test_secret_is_redacted_and_the_head_says_so(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(JSON, b"application/json", b'ETag: "x"'))
    assert outcome.status == 200
    assert outcome.body == REDACTED_JSON
    assert b"Content-Length: %d\r\n" % len(REDACTED_JSON) in outcome.http_head
    assert b"ETag" not in outcome.http_head
    assert b"Cache-Control: no-store\r\n" in outcome.http_head
    record = outcome.record
    assert (record.verdict, record.disposition, record.risk_score) == ("redacted", "redacted", 40)
    assert [finding.rule_id for finding in record.findings] == ["demo.key"]
    assert SECRET.decode() not in repr(record)


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        (b"gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", lambda data: zlib.compress(data)[2:-4]),
    ],
    ids=["gzip", "deflate with zlib", "deflate raw"],
)
def test_secret_in_a_coded_body_is_redacted(policy: Policy, coding: bytes, encode: object) -> None:
    assert callable(encode)
    body = encode(JSON)
    outcome = adapt(
        catalogue_of(policy), respmod_of(body, b"application/json", b"Content-Encoding: " + coding)
    )
    assert outcome.body == REDACTED_JSON
    assert b"Content-Encoding" not in outcome.http_head
    assert outcome.record.response_bytes == len(body)


def test_codings_on_two_lines_are_two_codings(policy: Policy) -> None:
    body = gzip.compress(zlib.compress(JSON))
    headers = (b"Content-Encoding: deflate", b"Content-Encoding: gzip")
    assert adapt(catalogue_of(policy), respmod_of(body, b"application/json", *headers)).body == REDACTED_JSON


def test_clean_coded_body_stays_coded(policy: Policy) -> None:
    body = gzip.compress(b'{"a": 1}')
    header = b"Content-Encoding: gzip"
    assert adapt(catalogue_of(policy), respmod_of(body, b"application/json", header)).status == 204


def test_attack_in_a_request_is_answered_by_a_page(policy: Policy) -> None:
    chunks = wire.chunked(b'{"q": "ATTACK!"}', ieof=True)
    outcome = adapt(catalogue_of(policy), wire.reqmod(wire.POST, chunks, Preview="1024"))
    assert outcome.status == 200
    assert outcome.http_head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"Cache-Control: no-store" in outcome.http_head
    document = json.loads(outcome.body)
    assert document["error"]["rules"] == ["demo.attack"]
    assert document["error"]["transaction"] == outcome.record.txn_id
    assert b"Content-Length: %d\r\n" % len(outcome.body) in outcome.http_head
    assert (outcome.record.verdict, outcome.record.disposition) == ("blocked", "blocked")
    assert outcome.record.http_status == 403


def test_attack_in_a_url_is_blocked_before_the_body_comes(policy: Policy) -> None:
    http = b"GET https://h/?q=ATTACK%21 HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.reqmod(http))
    assert b"Content-Type: text/html" in outcome.http_head
    assert b"ATTACK" not in outcome.body


def test_page_for_head_has_no_body_but_its_length(policy: Policy) -> None:
    outcome = adapt(
        catalogue_of(policy), wire.reqmod(b"HEAD https://h/?q=ATTACK! HTTP/1.1\r\nHost: h\r\n\r\n")
    )
    assert outcome.body == b""
    assert b"Content-Length: 0\r\n" not in outcome.http_head


def test_blocked_type_is_blocked_by_its_head(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(b"MZ\x00\x00", b"application/x-program"))
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")
    assert outcome.record.http_status == 200


def test_announced_size_is_blocked_by_its_head(policy: Policy) -> None:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100001\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.respmod(http, wire.chunked(b"\x89PNG"), Preview="4"))
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")


def test_secret_in_a_header_and_in_the_url_is_taken_out_and_the_body_stays(policy: Policy) -> None:
    http = b"POST https://h/p?k=%b HTTP/1.1\r\nHost: h\r\nX-Key: %b\r\nContent-Type: image/png\r\n\r\n" % (
        KEY,
        KEY,
    )
    body = b"\x89PNG" * 500
    upfront = wire.reqmod(http, wire.chunked(body[:1024]), Preview="1024", Allow="204")
    outcome = adapt(catalogue_of(policy), Previewed(upfront, wire.chunked(body[1024:])))
    assert outcome.http_head.startswith(b"POST https://h/p?k=KEY-%5BREDACTED%5D HTTP/1.1\r\n")
    assert b"X-Key: KEY-[REDACTED]\r\n" in outcome.http_head
    assert outcome.body == body
    assert outcome.record.disposition == "redacted"
    assert outcome.record.path == "/p"


def test_response_with_a_changed_header_is_not_stored(policy: Policy) -> None:
    outcome = adapt(
        catalogue_of(policy), respmod_of(b"{}", b"text/plain", b"X-Key: " + KEY, b"Cache-Control: max-age=9")
    )
    assert b"X-Key: KEY-[REDACTED]\r\n" in outcome.http_head
    assert b"Cache-Control: no-store\r\n" in outcome.http_head
    assert outcome.body == b"{}"


def test_host_and_method_in_the_record_hold_no_secret(policy: Policy) -> None:
    http = b"%b https://%b.example/ HTTP/1.1\r\nHost: h\r\n\r\n" % (KEY, KEY)
    record = adapt(catalogue_of(policy), wire.reqmod(http)).record
    assert SECRET.decode().lower() not in repr(record).lower()


def test_path_in_the_record_holds_no_secret(policy: Policy) -> None:
    http = b"GET https://h/files/%b/x HTTP/1.1\r\nHost: h\r\n\r\n" % KEY
    assert adapt(catalogue_of(policy), wire.reqmod(http)).record.path == "/files/KEY-[REDACTED]/x"


def test_monitor_mode_finds_and_changes_nothing(tmp_path: Path) -> None:
    outcome = adapt(catalogue_of(demo_policy(tmp_path, "monitor")), respmod_of(JSON))
    assert outcome.status == 204
    assert (outcome.record.verdict, outcome.record.disposition) == ("redacted", "unmodified")
    assert len(outcome.record.findings) == 1


def test_body_that_is_no_text_is_skipped_at_the_end_of_its_preview(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(b"\x89PNG" * 1000, b"image/png"))
    assert outcome.status == 204
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("skipped", "media-type")


UNREADABLE = [
    pytest.param(JSON, b"application/json", b"Content-Encoding: br", "unknown-coding", id="unknown coding"),
    pytest.param(JSON, b"application/json", b"Content-Encoding: gzip", "bad-coding", id="not what it says"),
    pytest.param(
        gzip.compress(JSON)[:-9], b"text/plain", b"Content-Encoding: gzip", "truncated", id="broken off"
    ),
    pytest.param("x".encode("utf-16"), b"text/plain; charset=utf-16", b"X: y", "charset", id="charset"),
]


@pytest.mark.parametrize(("body", "content_type", "header", "reason"), UNREADABLE)
def test_what_can_not_be_read_passes_in_fail_mode_open(
    policy: Policy, body: bytes, content_type: bytes, header: bytes, reason: str
) -> None:
    outcome = adapt(catalogue_of(policy, "open"), respmod_of(body, content_type, header, Allow="204"))
    assert outcome.status == 204 or outcome.body == body
    assert outcome.record.skip_reason == reason
    assert outcome.record.inspection in {"skipped", "partial"}


@pytest.mark.parametrize(("body", "content_type", "header", "reason"), UNREADABLE)
def test_what_can_not_be_read_is_blocked_in_fail_mode_closed(
    policy: Policy, body: bytes, content_type: bytes, header: bytes, reason: str
) -> None:
    outcome = adapt(catalogue_of(policy, "closed"), respmod_of(body, content_type, header))
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")
    assert reason.encode() in outcome.body
    assert (outcome.record.verdict, outcome.record.disposition) == ("blocked", "blocked")


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_coded_body_of_another_charset_that_flows_is_told(
    policy: Policy, mode: Literal["open", "closed"]
) -> None:
    body = gzip.compress(("x" * 20_000 + KEY.decode()).encode("utf-16"))
    request = respmod_of(body, b"text/plain", b"Content-Encoding: gzip")
    outcome = adapt(catalogue_of(policy, mode), request)
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("skipped", "charset")
    if mode == "open":
        assert outcome.body == body
        assert b"Content-Encoding: gzip" in outcome.http_head
    else:
        assert outcome.http_head.startswith(b"HTTP/1.1 403 ")


def test_range_that_would_lose_something_is_blocked(policy: Policy) -> None:
    http = response(JSON, b"application/json", b"Content-Range: bytes 0-9/99").replace(
        b"200 OK", b"206 Partial"
    )
    outcome = adapt(catalogue_of(policy), wire.respmod(http, wire.chunked(JSON)))
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")
    assert (outcome.record.verdict, outcome.record.skip_reason) == ("blocked", "range")


def test_decompression_bomb_is_cut_short(policy: Policy) -> None:
    body = gzip.compress(b"a" * 2**24)
    outcome = adapt(catalogue_of(policy), respmod_of(body, b"text/plain", b"Content-Encoding: gzip"))
    assert len(outcome.body) < 2**22
    assert (outcome.record.disposition, outcome.record.skip_reason) == ("cut", "coding-ratio")


def test_truncated_body_is_told_and_stays_truncated(policy: Policy) -> None:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.respmod(http, wire.chunked(JSON)))
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("partial", "truncated")
    missing = 100 - len(JSON)
    assert b"Content-Length: %d\r\n" % (len(REDACTED_JSON) + missing) in outcome.http_head


def test_upgrade_to_another_protocol_is_told(policy: Policy) -> None:
    http = b"GET https://h/ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.reqmod(http, Allow="204"))
    assert outcome.status == 204
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("partial", "upgrade")


def large_text(secrets: int) -> bytes:
    return b" ".join([b"lorem ipsum " * 40, KEY] * secrets) + b" the end"


def test_large_body_flows_and_is_redacted(policy: Policy) -> None:
    body = large_text(100)
    outcome = adapt(catalogue_of(policy), respmod_of(body, b"text/plain"))
    assert outcome.body == body.replace(SECRET, b"[REDACTED]")
    assert b"Content-Length" not in outcome.http_head
    assert outcome.records[0][0] == "open"
    assert outcome.records[-1][0] == "close"
    assert outcome.record.disposition == "redacted"
    assert b"X-Icapd-Verdict" not in outcome.sent


def test_body_that_outgrows_the_buffer_flows(policy: Policy) -> None:
    body = large_text(20)
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    pieces = [body[i : i + 500] for i in range(0, len(body), 500)]
    outcome = adapt(catalogue_of(policy), wire.respmod(http, wire.chunked(*pieces)))
    assert outcome.body == body.replace(SECRET, b"[REDACTED]")


def test_coded_body_that_outgrows_the_buffer_when_decoded_flows(policy: Policy) -> None:
    body = large_text(20)
    assert len(body) > LIMITS.buffered_coding.max_size  # type: ignore[operator]
    coded = gzip.compress(body)
    outcome = adapt(catalogue_of(policy), respmod_of(coded, b"text/plain", b"Content-Encoding: gzip"))
    assert outcome.body == body.replace(SECRET, b"[REDACTED]")
    assert b"Content-Encoding" not in outcome.http_head


def test_block_in_a_flowing_body_cuts_it(policy: Policy) -> None:
    body = b"harmless " * 2000 + b"MALWARE! and more" + b" tail" * 2000
    outcome = adapt(catalogue_of(policy), respmod_of(body, b"text/plain"))
    assert body.startswith(outcome.body)
    assert b"MALWARE!" not in outcome.body
    assert (outcome.record.verdict, outcome.record.disposition) == ("blocked", "cut")


def test_block_at_the_beginning_of_a_flowing_body_still_gets_its_page(policy: Policy) -> None:
    body = b"MALWARE! " + b"x" * 200_000
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.respmod(http, wire.chunked(body)))
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")
    assert (outcome.record.verdict, outcome.record.disposition) == ("blocked", "blocked")


SLOW = """
[[rule]]
id = "demo.slow"
description = "A pattern that takes for ever on what it does not match"
targets = ["body", "header:X-Slow"]
pattern = '(?:a|aa|aaa){1,60}b'
max_length = 4096
action = "redact"
severity = "low"
match = ["aab"]
no_match = ["b"]
"""


@pytest.mark.parametrize("mode", ["open", "closed"])
@pytest.mark.parametrize("place", ["header", "body", "flow"])
def test_rule_that_takes_too_long_is_no_end_of_the_transaction(
    tmp_path: Path, mode: Literal["open", "closed"], place: str
) -> None:
    slow = b"a" * 60
    header = b"X-Slow: " + (slow if place == "header" else b"fast")
    body = {"header": b"x", "body": slow, "flow": slow + b" " * 200_000}[place]
    catalogue = catalogue_of(demo_policy(tmp_path, rules=SLOW), mode, scan_timeout=0.05)
    outcome = adapt(catalogue, respmod_of(body, b"text/plain", header))
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("partial", "budget")
    if mode == "closed" and place != "flow":
        assert outcome.http_head.startswith(b"HTTP/1.1 403 ")
    elif place == "flow":
        assert outcome.record.disposition == "cut"
    else:
        assert outcome.status == 204


@pytest.mark.parametrize("mid_response", [False, True])
def test_defect_of_ours_ends_the_transaction_in_good_order(policy: Policy, mid_response: bool) -> None:
    connection = Connection()
    connection.receive_data(wire.respmod(response(b"x" * 5000, b"text/plain"), b"1388\r\n" + b"x" * 100))
    request, data = connection.next_event(), connection.next_event()
    assert isinstance(request, ModRequest) and isinstance(data, BodyData)
    service = catalogue_of(policy).services["/respmod"]
    adaptation = Adaptation(Transaction(request, policy, 0), service.inspector, service.options)
    adaptation.begin()
    adaptation.handle(data)
    steps = adaptation.fail(mid_response)
    kinds = [type(step).__name__ for step in steps]
    if mid_response:
        assert kinds == ["Record", "AdaptedData", "AdaptedEnd"]
    else:
        assert kinds[0] == "Record"
        assert kinds[-1] in {"Unmodified", "AdaptedEnd"}
    assert adaptation.is_done
    assert adaptation.transaction.skip_reason == "internal-error"


def test_flowing_body_of_unknown_size_is_cut_at_the_limit(policy: Policy) -> None:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.respmod(http, wire.chunked(*[b"x" * 5000] * 30)))
    assert len(outcome.body) <= 110_000
    assert outcome.record.disposition == "cut"
    assert [finding.rule_id for finding in outcome.record.findings] == ["demo.size"]


def test_monitored_flow_goes_on_byte_for_byte(tmp_path: Path) -> None:
    body = gzip.compress(large_text(100), mtime=0)
    header = b"Content-Encoding: gzip"
    catalogue = catalogue_of(demo_policy(tmp_path, "monitor"))
    outcome = adapt(catalogue, respmod_of(body, b"text/plain", header))
    assert outcome.status == 204 or outcome.body == body
    assert outcome.record.verdict == "redacted"


EVENTS = b'data: one\n\ndata: {"key": "%b"}\n\n: ping\n\n' % KEY
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def test_event_leaves_as_soon_as_it_is_whole(policy: Policy) -> None:
    head = wire.respmod(STREAM, b"", path="/stream", Preview="0")
    first, second = EVENTS.split(b"\n\n")[:2]
    catalogue = catalogue_of(policy)
    begun = [head + wire.chunked(), b"%x\r\n%b\n\n\r\n" % (len(first) + 2, first)]
    assert adapt(catalogue, *begun).sent.endswith(b"b\r\ndata: one\n\n\r\n")
    # A secret that is split over chunks leaves with its whole event.
    half = len(second) // 2 + 5
    split = [*begun, b"%x\r\n%b\r\n" % (half, second[:half])]
    assert adapt(catalogue, *split).sent.endswith(b"b\r\ndata: one\n\n\r\n")
    rest = second[half:] + b"\n\n"
    whole = [*split, b"%x\r\n%b\r\n" % (len(rest), rest), b"0\r\n\r\n"]
    outcome = adapt(catalogue, *whole)
    assert outcome.body == b'data: one\n\ndata: {"key": "KEY-[REDACTED]"}\n\n'
    assert [phase for phase, _ in outcome.records] == ["open", "open", "close"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        [
            respmod_of(JSON),
            respmod_of(gzip.compress(JSON, mtime=0), b"application/json", b"Content-Encoding: gzip"),
            respmod_of(large_text(12), b"text/plain"),
            Previewed(
                wire.respmod(STREAM, wire.chunked(), path="/stream", Preview="0"), wire.chunked(EVENTS * 3)
            ),
            wire.reqmod(wire.POST, wire.chunked(b'{"q": "ATTACK!"}', ieof=True), Preview="1024"),
        ]
    ),
    st.lists(st.integers(1, 700), max_size=40),
)
def test_any_chunking_gives_the_same_message(
    policy: Policy, data: bytes | Previewed, sizes: list[int]
) -> None:
    catalogue = catalogue_of(policy)
    whole, cut = adapt(catalogue, data), adapt(catalogue, data, sizes=sizes)
    # Transaction ids differ, and stand in pages; all else is the same.
    expected = whole.body.replace(whole.record.txn_id.encode(), cut.record.txn_id.encode())
    assert cut.body == expected
    assert cut.record.disposition == whole.record.disposition
    assert [f.rule_id for f in cut.record.findings] == [f.rule_id for f in whole.record.findings]


def test_request_and_response_share_the_transaction_id(policy: Policy) -> None:
    request = adapt(catalogue_of(policy), wire.reqmod(Preview="0"))
    txn_id = request.record.txn_id
    answer = adapt(catalogue_of(policy), respmod_of(b"{}", **{"X-Icapd-Txn": txn_id}))
    assert answer.record.txn_id == txn_id
    assert answer.record.event_id != request.record.event_id
    assert b"X-Icapd-Txn: %b\r\n" % txn_id.encode() in answer.sent


def test_transaction_id_that_is_not_ours_is_not_taken_over(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(b"{}", **{"X-Icapd-Txn": "<script>"}))
    assert outcome.record.txn_id == outcome.record.event_id
