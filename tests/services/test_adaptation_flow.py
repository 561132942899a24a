"""Messages that flow: redacted on their way, cut where a rule says so, events at once."""

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import wire
from support.adapting import JSON, LIMITS, Previewed, adapt, catalogue_of, respmod_of, response
from support.policies import KEY, SECRET, demo_policy

from icapd.policy import Policy


def large_text(secrets: int) -> bytes:
    return b" ".join([b"lorem ipsum " * 40, KEY] * secrets) + b" the end"


def test_large_body_flows_and_is_redacted(policy: Policy) -> None:
    body = large_text(200)
    outcome = adapt(catalogue_of(policy), respmod_of(body, b"text/plain"))
    # Its length was announced: whoever counts on it is right.
    assert outcome.body == body.replace(SECRET, b"[REDACTED]".ljust(len(SECRET), b"*"))
    assert b"\r\nContent-Length: %d\r\n" % len(body) in outcome.http_head
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
    body = b"harmless " * 8000 + b"MALWARE! and more" + b" tail" * 2000
    outcome = adapt(catalogue_of(policy), respmod_of(body, b"text/plain"))
    assert outcome.body
    assert body.startswith(outcome.body)
    assert b"MALWARE!" not in outcome.body
    assert (outcome.record.verdict, outcome.record.disposition) == ("blocked", "cut")


@pytest.mark.parametrize("before", [0, 20_000])
def test_block_before_anything_has_left_still_gets_its_page(policy: Policy, before: int) -> None:
    body = b"x" * before + b" MALWARE! " + b"x" * 200_000
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.respmod(http, wire.chunked(body)))
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")
    assert (outcome.record.verdict, outcome.record.disposition) == ("blocked", "blocked")


def test_block_within_a_preview_does_not_ask_for_the_rest(policy: Policy) -> None:
    preview = b"MALWARE! " + b"x" * 1000
    head = response(b"x" * 200_000, b"text/plain")
    data = wire.respmod(head, wire.chunked(preview), Preview=str(len(preview)))
    outcome = adapt(catalogue_of(policy), data)
    assert outcome.sent.startswith(b"ICAP/1.0 200 ")
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")


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


def test_reply_begins_although_a_rule_holds_everything_back(tmp_path: Path) -> None:
    """Squid reads no more than 64 KiB before it has (bug 5352)."""
    far = """
[[rule]]
id = "demo.far"
description = "A rule that looks far"
targets = ["body"]
pattern = "KEY-[A-Z0-9]{12}"
max_length = 65536
action = "redact"
severity = "low"
match = ["KEY-ABCDEF123456"]
"""
    catalogue = catalogue_of(demo_policy(tmp_path, rules=far))
    body = large_text(200)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % (4 * len(body))
    connection = adapt(catalogue, wire.respmod(head, wire.chunked(body)[: 60 * 1024]))
    assert connection.http_head.startswith(b"HTTP/1.1 200")
