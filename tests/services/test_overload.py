"""More than can be done: messages that meet the fail mode unseen, and bodies that memory has no room for."""

from typing import Literal

import pytest
from support import wire
from support.adapting import adapt, catalogue_of, respmod_of, response
from support.policies import KEY, SECRET

from icapd.http.headers import Headers
from icapd.policy import Policy
from icapd.services.body_memory import BodyMemory, HeldBody
from icapd.services.identity import Identity
from icapd.services.trust import UNTRUSTED_IDENTITY, trusted_identity

BODY = b'{"key": "%b"}' % KEY


@pytest.mark.parametrize("size", [10, 5000])
def test_overload_passes_a_message_unseen_where_the_service_fails_open(policy: Policy, size: int) -> None:
    body = BODY + b" " * size
    outcome = adapt(catalogue_of(policy), respmod_of(body), bypass="overload")
    assert outcome.sent.startswith(b"ICAP/1.0 204 ")
    record = outcome.record
    assert (record.disposition, record.inspection, record.skip_reason) == ("bypassed", "skipped", "overload")


def test_overload_echoes_where_204_is_not_allowed(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), wire.respmod(response(BODY), wire.chunked(BODY)), bypass="overload")
    assert (outcome.status, outcome.body, outcome.http_head) == (200, BODY, response(BODY))
    assert (outcome.record.disposition, outcome.record.skip_reason) == ("bypassed", "overload")


def test_overload_echoes_a_message_without_body(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), wire.reqmod(), bypass="overload")
    assert (outcome.status, outcome.http_head) == (200, wire.GET)
    assert outcome.record.disposition == "bypassed"


@pytest.mark.parametrize("data", [respmod_of(BODY), wire.respmod(response(BODY), wire.chunked(BODY))])
def test_overload_blocks_where_the_service_fails_closed(policy: Policy, data: bytes) -> None:
    outcome = adapt(catalogue_of(policy, "closed"), data, bypass="overload")
    assert outcome.status == 200
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")
    assert (outcome.record.verdict, outcome.record.skip_reason) == ("blocked", "overload")


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_body_without_room_in_memory_flows(policy: Policy, mode: Literal["open", "closed"]) -> None:
    memory = BodyMemory(2000)
    body = BODY + b" " * 3000
    outcome = adapt(catalogue_of(policy, mode), respmod_of(body), memory=memory)
    assert outcome.body == body.replace(SECRET, b"[REDACTED]".ljust(len(SECRET), b"*"))
    assert b"\r\nContent-Length: %d\r\n" % len(body) in outcome.http_head
    assert memory.held == 0


@pytest.mark.parametrize("body", [b"", BODY, BODY + b" " * 3000, BODY + b" " * 9000, b"MALWARE!" * 300])
def test_memory_is_given_back(policy: Policy, body: bytes) -> None:
    memory = BodyMemory(1 << 20)
    adapt(catalogue_of(policy), respmod_of(body), memory=memory)
    assert memory.held == 0


def test_held_body_is_counted_as_far_as_there_is_room() -> None:
    memory = BodyMemory(10)
    first, second = HeldBody(memory, 8), HeldBody(memory, 8)
    assert first.add(b"12345678")
    assert not second.add(b"123")
    assert memory.held == 8
    assert first.release() == b"12345678"
    assert second.release() == b"123"
    assert memory.held == 0


CLAIMS = Headers(((b"X-Client-IP", b"192.0.2.7"), (b"X-Client-Username", b"ann")))


@pytest.mark.parametrize(
    ("headers", "trusted", "identity", "findings"),
    [
        (CLAIMS, True, Identity("192.0.2.7", "ann"), []),
        (CLAIMS, False, Identity("198.51.100.1"), [UNTRUSTED_IDENTITY]),
        (Headers(), False, Identity("198.51.100.1"), []),
        (Headers(), True, Identity(), []),
    ],
)
def test_identity_is_taken_from_whom_it_is_trusted(
    headers: Headers, trusted: bool, identity: Identity, findings: list[str]
) -> None:
    known, noted = trusted_identity(headers, trusted, "198.51.100.1")
    assert known == identity
    assert [finding.rule_id for finding in noted] == findings
