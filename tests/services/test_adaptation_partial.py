"""206, trailers, and what else a reply tells: by the matrix of what the client allows."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import wire
from support.adapting import Outcome, Previewed, adapt, catalogue_of, respmod_of, response
from support.policies import KEY, RULES, demo_policy

from icapd.http.heads import RequestHead
from icapd.policy import Policy
from icapd.services.answers import changed_part

PAGE = b'{"key": "%b", "rest": "%b"}' % (KEY, b"x" * 900)
SECRET_IN_HEAD = b"X-Key: " + KEY


def original_from(outcome: Outcome) -> int:
    """use-original-body of a 206; its framing is checked to the last byte."""
    match = re.search(rb"0; use-original-body=(\d+)\r\n\r\n$", outcome.sent)
    assert match is not None
    return int(match[1])


def partial_body(outcome: Outcome, virgin: bytes) -> bytes:
    """The body as the client puts it together."""
    position = original_from(outcome)
    last_chunk = b"0; use-original-body=%d" % position
    payload = outcome.sent.partition(b"\r\n\r\n")[2].partition(b"\r\n\r\n")[2]
    body, rest = wire.dechunked(payload.replace(last_chunk, b"0"))
    assert rest == b""
    return body + virgin[position:]


@pytest.mark.parametrize("size", [0, 10, 1024, 1025, 5000])
@pytest.mark.parametrize("allow", ["", "204", "206", "204, 206"])
def test_header_only_edit(policy: Policy, size: int, allow: str) -> None:
    body = b"\x89" * size
    outcome = adapt(catalogue_of(policy), respmod_of(body, b"image/png", SECRET_IN_HEAD, Allow=allow))
    assert b"X-Key: KEY-[REDACTED]" in outcome.http_head
    assert outcome.record.disposition == "redacted"
    whole_in_preview = size <= 1024
    if "206" in allow and ("204" in allow or not whole_in_preview):
        assert outcome.status == 206
        assert (original_from(outcome), partial_body(outcome, body)) == (0, body)
        assert b"Encapsulated: res-hdr=0, res-body=%d" % len(outcome.http_head) in outcome.sent
        # 206 in the place of 100: the rest of the body never travels.
        assert not outcome.sent.startswith(b"ICAP/1.0 100")
    else:
        assert (outcome.status, outcome.body) == (200, body)


@pytest.mark.parametrize("allow", ["", "204", "206", "204, 206"])
@pytest.mark.parametrize("preview", [True, False])
def test_redaction_within_what_the_client_holds(policy: Policy, allow: str, preview: bool) -> None:
    if preview:
        sent: Previewed | bytes = respmod_of(PAGE, Allow=allow)
    else:
        sent = wire.respmod(response(PAGE), wire.chunked(PAGE), Allow=allow)
    outcome = adapt(catalogue_of(policy), sent)
    expected = PAGE.replace(KEY, b"KEY-[REDACTED]")
    assert b"Content-Length: %d\r\n" % len(expected) in outcome.http_head
    if allow == "204, 206":
        assert outcome.status == 206
        assert partial_body(outcome, PAGE) == expected
        assert len(outcome.sent) < len(PAGE)
    else:
        assert (outcome.status, outcome.body) == (200, expected)


def test_redaction_behind_the_preview_is_sent_whole(policy: Policy) -> None:
    body = b'{"rest": "%b", "key": "%b", "more": "%b"}' % (b"x" * 1500, KEY, b"y" * 1500)
    outcome = adapt(catalogue_of(policy), respmod_of(body, Allow="204, 206"))
    assert (outcome.status, outcome.body) == (200, body.replace(KEY, b"KEY-[REDACTED]"))


def test_redaction_in_the_preview_of_a_longer_body_leaves_its_rest(policy: Policy) -> None:
    body = b'{"key": "%b", "more": "%b"}' % (KEY, b"y" * 2500)
    outcome = adapt(catalogue_of(policy), respmod_of(body, Allow="204, 206"))
    assert outcome.sent.startswith(b"ICAP/1.0 100 Continue\r\n\r\nICAP/1.0 206 ")
    assert original_from(outcome) <= 1024


@given(st.binary(max_size=3000), st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 3000))
def test_changed_part_and_the_rest_are_the_changed_body(
    raw: bytes, old: bytes, new: bytes, position: int
) -> None:
    virgin, changed = raw[:position] + old + raw[position:], raw[:position] + new + raw[position:]
    part = changed_part(virgin, changed)
    if part is None:
        assert len(raw) - min(position, len(raw)) < 256
    else:
        assert part.data + virgin[part.original_end :] == changed


TRAILERS = b"0\r\nContent-MD5: abc\r\nX-Key: %b\r\n\r\n"


@pytest.mark.parametrize("content_type", [b"application/json", b"image/png"])
def test_http_trailers_are_kept(policy: Policy, content_type: bytes) -> None:
    body = b"[1, 2, 3]"
    data = b"9\r\n%b\r\n" % body + TRAILERS % b"plain"
    outcome = adapt(catalogue_of(policy), wire.respmod(response(body, content_type), data))
    assert outcome.status == 200
    assert outcome.sent.endswith(data)


def test_http_trailer_is_inspected(policy: Policy) -> None:
    body = b"[1, 2, 3]"
    data = b"9\r\n%b\r\n" % body + TRAILERS % KEY
    outcome = adapt(catalogue_of(policy), wire.respmod(response(body), data, Allow="204"))
    assert outcome.sent.endswith(b"9\r\n[1, 2, 3]\r\n" + TRAILERS % b"KEY-[REDACTED]")
    assert (outcome.record.verdict, outcome.record.disposition) == ("redacted", "redacted")


def test_http_trailer_that_is_blocked_behind_a_flow_does_not_go_on(tmp_path: Path) -> None:
    rules = RULES.replace(
        'targets = ["body"]\npattern = "MALWARE!"', 'targets = ["header"]\npattern = "MALWARE!"'
    )
    image = b"\x89PNG" * 5000
    chunks = wire.chunked(image)[:-2] + b"X-Note: MALWARE!\r\n\r\n"
    http = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
    outcome = adapt(catalogue_of(demo_policy(tmp_path, rules=rules)), wire.respmod(http, chunks))
    assert b"MALWARE!" not in outcome.sent
    assert outcome.body == image
    assert (outcome.record.verdict, outcome.record.disposition) == ("blocked", "cut")


def test_http_trailers_of_a_changed_body_are_dropped(policy: Policy) -> None:
    data = b"%x\r\n%b\r\n" % (len(PAGE), PAGE) + TRAILERS % b"plain"
    outcome = adapt(catalogue_of(policy), wire.respmod(response(PAGE), data))
    assert outcome.sent.endswith(b"0\r\n\r\n")
    assert b"Content-MD5" not in outcome.sent


@pytest.mark.parametrize(
    ("body", "verdict"), [(b"data: hello\n\n", b"allowed"), (b"data: " + KEY + b"\n\n", b"redacted")]
)
def test_verdict_of_a_flow_comes_as_a_trailer(policy: Policy, body: bytes, verdict: bytes) -> None:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    catalogue = catalogue_of(policy, verdict_trailer=True)
    outcome = adapt(catalogue, wire.respmod(http, wire.chunked(body), Allow="trailers"))
    icap_head = outcome.sent.partition(b"\r\n\r\n")[0]
    assert b"\r\nTrailer: X-Icapd-Verdict" in icap_head
    assert b"\r\nAllow: trailers" in icap_head
    assert outcome.sent.endswith(b"0\r\n\r\nX-Icapd-Verdict: %b\r\n\r\n" % verdict)


@pytest.mark.parametrize(
    ("verdict_trailer", "allow"),
    [
        pytest.param(True, "204", id="not-allowed"),
        # Squid allows trailers always, and may wait for ever behind one that comes in two pieces.
        pytest.param(False, "204, 206, trailers", id="not-set"),
    ],
)
def test_no_trailer_for_those_who_do_not_ask(policy: Policy, verdict_trailer: bool, allow: str) -> None:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    catalogue = catalogue_of(policy, verdict_trailer=verdict_trailer)
    outcome = adapt(catalogue, wire.respmod(http, wire.chunked(b"data: hello\n\n"), Allow=allow))
    assert b"railer" not in outcome.sent
    assert outcome.sent.endswith(b"\r\n0\r\n\r\n")


def test_changed_message_tells_who_changed_it(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(PAGE, b"application/json", b"Via: 1.1 origin"))
    via = [line for line in outcome.http_head.split(b"\r\n") if line.startswith(b"Via: ")]
    assert via == [b"Via: 1.1 origin", b"Via: ICAP/1.0 icapd"]


def test_unchanged_message_has_no_via(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), wire.respmod(response(b"{}"), wire.chunked(b"{}")))
    assert outcome.http_head == response(b"{}")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (PAGE, b"X-Infection-Found: Type=1; Resolution=1; Threat=demo.key;"),
        (b"MALWARE!", b"X-Infection-Found: Type=1; Resolution=2; Threat=demo.malware;"),
        (b"NOTE-ME", b""),
    ],
)
def test_what_was_found_is_told(policy: Policy, body: bytes, told: bytes) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(body, b"text/plain"))
    lines = [line for line in outcome.sent.split(b"\r\n") if line.startswith(b"X-Infection-Found")]
    assert lines == ([told] if told else [])


def test_message_with_too_many_fields_is_blocked(policy: Policy) -> None:
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(300))
    http = b"GET https://h/ HTTP/1.1\r\nHost: h\r\n%b\r\n" % many
    assert RequestHead.parse(http).too_many_fields
    outcome = adapt(catalogue_of(policy), wire.reqmod(http))
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")
    assert (outcome.record.disposition, outcome.record.skip_reason) == ("blocked", "head-fields")


def test_names_that_squid_takes_are_inspected_not_refused(policy: Policy) -> None:
    body = b"\x89"
    outcome = adapt(catalogue_of(policy), respmod_of(body, b"image/png", b"X(odd)@: 1", SECRET_IN_HEAD))
    assert b"X(odd)@: 1\r\nX-Key: KEY-[REDACTED]\r\n" in outcome.http_head
