"""Requests that would blind the inspection of their responses go on without that, and their rows say so."""

from pathlib import Path

import pytest
from support import wire
from support.adapting import Outcome, adapt, catalogue_of
from support.policies import KEY, demo_policy

from icapd.policy import Policy

GET = b"GET https://h.example/data.json HTTP/1.1\r\nHost: h.example\r\n%bAccept: */*\r\n\r\n"
BLINDING = GET % b"Range: bytes=0-9\r\nAccept-Encoding: gzip, dcb\r\n"
READABLE = GET % b"Accept-Encoding: gzip, deflate, br, zstd\r\n"


def targets(outcome: Outcome) -> list[str]:
    findings = outcome.record.findings
    assert {(finding.rule_id, finding.action) for finding in findings} <= {
        ("icapd.normalised-request", "allow")
    }
    return [finding.target for finding in findings]


@pytest.mark.parametrize("allow", ["", "204", "204, 206"])
def test_request_goes_on_without_what_blinds(policy: Policy, allow: str) -> None:
    outcome = adapt(catalogue_of(policy), wire.reqmod(BLINDING, Preview="0", Allow=allow))
    assert outcome.status == 200
    assert outcome.http_head == GET.replace(b"\r\n\r\n", b"\r\nVia: ICAP/1.0 icapd\r\n\r\n") % (
        b"Accept-Encoding: gzip\r\n"
    )
    assert b"X-Infection-Found" not in outcome.sent
    record = outcome.record
    assert (record.verdict, record.disposition, record.inspection) == ("allowed", "normalised", "complete")
    assert targets(outcome) == ["header:Range", "header:Accept-Encoding"]


def test_request_that_blinds_nothing_is_left_alone(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), wire.reqmod(READABLE, Preview="0", Allow="204"))
    assert outcome.status == 204
    assert (outcome.record.disposition, outcome.record.findings) == ("unmodified", ())


@pytest.mark.parametrize("size", [10, 5000, 50_000])
def test_body_of_such_a_request_stands(policy: Policy, size: int) -> None:
    body = b"\x89PNG" + b"x" * size
    http = b"POST https://h.example/a HTTP/1.1\r\nHost: h\r\nContent-Type: image/png\r\nA-IM: feed\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.reqmod(http, wire.chunked(body)))
    assert outcome.body == body
    assert b"A-IM" not in outcome.http_head
    assert (outcome.record.disposition, outcome.record.skip_reason) == ("normalised", "media-type")


def test_redaction_is_the_graver_thing_to_tell(policy: Policy) -> None:
    http = BLINDING.replace(b"Accept: */*", b"X-Key: " + KEY)
    outcome = adapt(catalogue_of(policy), wire.reqmod(http))
    assert b"Range" not in outcome.http_head
    assert (outcome.record.verdict, outcome.record.disposition) == ("redacted", "redacted")
    assert b"Threat=demo.key;" in outcome.sent


def test_blocked_request_is_blocked(policy: Policy) -> None:
    http = BLINDING.replace(b"/data.json", b"/?q=ATTACK!")
    assert adapt(catalogue_of(policy), wire.reqmod(http)).record.disposition == "blocked"


def test_nothing_is_changed_where_rules_only_watch(tmp_path: Path) -> None:
    outcome = adapt(catalogue_of(demo_policy(tmp_path, "monitor")), wire.reqmod(BLINDING, Allow="204"))
    assert outcome.status == 204
    assert outcome.record.findings == ()


def test_nothing_is_changed_where_no_rule_reads_responses(tmp_path: Path) -> None:
    rules = """
[[rule]]
id = "demo.requests"
description = "Of requests only"
direction = "request"
targets = ["body"]
pattern = "x{9}"
action = "block"
severity = "low"
match = ["xxxxxxxxx"]
no_match = ["x"]
"""
    outcome = adapt(catalogue_of(demo_policy(tmp_path, rules=rules)), wire.reqmod(BLINDING, Allow="204"))
    assert outcome.status == 204


def test_connect_is_for_the_proxy_and_stays(policy: Policy) -> None:
    http = b"CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\nAccept-Encoding: dcb\r\n\r\n"
    assert adapt(catalogue_of(policy), wire.reqmod(http, Allow="204")).status == 204


def test_response_is_not_taken_for_a_request(policy: Policy) -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nRange: bytes=0-9\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.respmod(response, wire.chunked(b"x"), request=BLINDING))
    assert outcome.http_head == response
    assert outcome.record.disposition == "echoed"
