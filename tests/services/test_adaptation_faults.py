"""What can't be read, or not in time, or not at all: by fail mode, and always told."""

import base64
import gzip
import os
from pathlib import Path
from typing import Literal

import pytest
from support import wire
from support.adapting import JSON, PLENTY, REDACTED_JSON, adapt, catalogue_of, respmod_of, response
from support.policies import KEY, RULES, demo_policy

from icapd.icap import BodyData, Connection, ModRequest
from icapd.policy import Policy
from icapd.services.adaptation import Adaptation
from icapd.services.identity import Identity
from icapd.services.transaction import Transaction

UNREADABLE = [
    pytest.param(JSON, b"application/json", b"Content-Encoding: dcb", "unknown-coding", id="unknown coding"),
    pytest.param(JSON, b"application/json", b"Content-Encoding: gzip", "bad-coding", id="not what it says"),
    pytest.param(
        gzip.compress(JSON)[:-9], b"text/plain", b"Content-Encoding: gzip", "truncated", id="broken off"
    ),
    pytest.param(
        b"+" + b"A" * 6000, b"text/plain; charset=utf-7", b"X: y", "charset", id="charset that is not read"
    ),
    pytest.param(
        "data: x\n\n".encode("utf-16"), b"text/event-stream", b"X: y", "charset", id="events not in UTF-8"
    ),
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
def test_coded_body_of_a_charset_that_is_not_read_as_it_flows_is_told(
    policy: Policy, mode: Literal["open", "closed"]
) -> None:
    body = gzip.compress(("x" * 20_000 + KEY.decode()).encode("utf-7"))
    request = respmod_of(body, b"text/plain; charset=utf-7", b"Content-Encoding: gzip")
    outcome = adapt(catalogue_of(policy, mode), request)
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("skipped", "charset")
    if mode == "open":
        assert outcome.body == body
        assert b"Content-Encoding: gzip" in outcome.http_head
    else:
        assert outcome.http_head.startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("mode", ["open", "closed"])
@pytest.mark.parametrize(
    ("codings", "reason"), [(b"gzip", "bad-coding"), (b"gzip, gzip, gzip, gzip", "unknown-coding")]
)
def test_flow_that_can_not_be_read_from_its_beginning_meets_the_fail_mode(
    policy: Policy, mode: Literal["open", "closed"], codings: bytes, reason: str
) -> None:
    body = b"no gzip at all " * 5000
    request = respmod_of(body, b"text/plain", b"Content-Encoding: " + codings)
    outcome = adapt(catalogue_of(policy, mode), request)
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("partial", reason)
    if mode == "open":
        assert outcome.body == body
        assert outcome.http_head == response(body, b"text/plain", b"Content-Encoding: " + codings)
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


SLOW = """
[[rule]]
id = "demo.slow"
description = "A pattern that takes for ever on what it does not match"
targets = ["body", "header:X-Slow"]
pattern = '(?:a|aa|aaa){1,60}(?=b)b?'
max_length = 4096
action = "redact"
severity = "low"
match = ["aab"]
no_match = ["b"]
"""
WATCHED = [
    pytest.param(gzip.compress(os.urandom(9000))[:-8] + b"checksum", "bad-coding", id="wrong checksum"),
    pytest.param(gzip.compress(os.urandom(9000))[:-9], "truncated", id="broken off"),
    pytest.param(gzip.compress(b"-" * 2**23), "coding-ratio", id="bomb"),
    pytest.param(b"a" * 20_000, "budget", id="out of time"),
]


@pytest.mark.parametrize("mode", ["open", "closed"])
@pytest.mark.parametrize(("body", "reason"), WATCHED)
def test_flow_that_nothing_may_change_goes_on_when_it_can_not_be_read(
    tmp_path: Path, mode: Literal["open", "closed"], body: bytes, reason: str
) -> None:
    rules = demo_policy(tmp_path, "monitor", RULES + SLOW)
    header = b"X: y" if reason == "budget" else b"Content-Encoding: gzip"
    outcome = adapt(catalogue_of(rules, mode, scan_timeout=0.2), respmod_of(body, b"text/plain", header))
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("partial", reason)
    assert outcome.record.disposition == ("bypassed" if mode == "open" else "cut")
    assert outcome.body == body or mode == "closed"


def test_truncated_body_is_told_and_stays_truncated(policy: Policy) -> None:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.respmod(http, wire.chunked(JSON)))
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("partial", "truncated")
    missing = 100 - len(JSON)
    assert b"Content-Length: %d\r\n" % (len(REDACTED_JSON) + missing) in outcome.http_head


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_body_too_large_for_rules_on_fields_is_told(policy: Policy, mode: Literal["open", "closed"]) -> None:
    body = b'{"q": "%b"}' % (b"x" * 20_000)
    http = wire.POST.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(body))
    outcome = adapt(catalogue_of(policy, mode), wire.reqmod(http, wire.chunked(body)))
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("partial", "oversize")
    assert outcome.record.disposition == ("echoed" if mode == "open" else "blocked")


@pytest.mark.parametrize("text", ["some text in base64, for who decodes it", ""])
def test_what_a_large_answer_is_not_read_for_is_told(policy: Policy, text: str) -> None:
    body = b'["%b", "%b"]' % (b"x " * 10_000, base64.b64encode(text.encode()))
    http = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    outcome = adapt(catalogue_of(policy, "closed"), wire.respmod(http, wire.chunked(body)))
    seen = ("partial", "oversize") if text else ("complete", None)
    assert (outcome.record.inspection, outcome.record.skip_reason) == seen
    assert outcome.record.disposition == "echoed"


def test_upgrade_to_another_protocol_is_told(policy: Policy) -> None:
    http = b"GET https://h/ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.reqmod(http, Allow="204"))
    assert outcome.status == 204
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("partial", "upgrade")


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
    # So much that some of it has left, or as little as is held back.
    received = 90_000 if mid_response else 100
    chunk = b"%x\r\n" % 100_000 + b"x" * received
    connection.receive_data(wire.respmod(response(b"x" * 100_000, b"text/plain"), chunk))
    request, data = connection.next_event(), connection.next_event()
    assert isinstance(request, ModRequest) and isinstance(data, BodyData)
    service = catalogue_of(policy).services["/respmod"]
    transaction = Transaction(request, policy, 0, Identity())
    adaptation = Adaptation(transaction, service.inspector, service.options, PLENTY)
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
