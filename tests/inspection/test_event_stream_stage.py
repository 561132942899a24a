"""Event streams: every event leaves at once, inspected, and as it came where nothing is found."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspecting import EVENTS, bytewise, impatiently, inspector, pieces_of, policy, rule, through

from icapd.inspection import Inspector
from icapd.inspection.json_text import MAX_NAME
from icapd.policy import Action

KEY = "KEY-ABCDEF123456"
RULES = (
    rule("key", "KEY-[A-Z0-9]{12}", KEY),
    rule("lines", r"BEGIN[^!]{0,30}END", "BEGIN x END"),
    rule("number", r"\b4[0-9]{15}\b", "4111111111111111"),
    rule("malware", "MALWARE", "MALWARE", action="block"),
    rule("field", "bad-field", "bad-field", targets=["field"]),
    rule("watched", "watched", "watched", action="block", more='mode = "monitor"'),
)


@pytest.fixture(scope="module")
def inspecting(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    return inspector(policy(tmp_path_factory.mktemp("rules"), *RULES))


def every_split(text: bytes) -> list[list[bytes]]:
    """Whole, byte by byte, and cut in two at every place."""
    return [[text], bytewise(text), *([text[:at], text[at:]] for at in range(1, len(text)))]


UNCHANGED = {
    "lf": "data: one\n\ndata: two\n\n",
    "crlf": "data: one\r\n\r\ndata: two\r\n\r\n",
    "cr": "data: one\r\rdata: two\r\r",
    "mixed": "data: one\r\n\ndata: two\n\r\ndata: three\r\r\ndata: four\n\r\r\n",
    "byte-order-mark": "\ufeffdata: one\n\ndata: two\n\n",
    "byte-order-mark-alone": "\ufeff",
    "comments": ": keep-alive\n\n:\n\ndata: one\n: in between\n\n",
    "all-fields": "event: message\nid: 7\nretry: 3000\ndata: one\n\n",
    "no-colon": "data\n\ndata\ndata\n\n",
    "blanks": "data:one\ndata:  two\ndata :three\n\n",
    "unknown-field": "note: something\n\n",
    "empty-lines": "\n\n\r\n\r\r\n",
    "unterminated": "data: one\n\ndata: tw",
    "monitored": "data: watched\n\n",
    "nothing": "",
}
CHANGED = {
    "control-fields": (f"id: {KEY}\nevent: {KEY}\n\n", "id: [REDACTED]\nevent: [REDACTED]\n\n"),
    "json-behind-blanks": ('data:  {"k": "\\u004b' + KEY[1:] + '"}\n\n', 'data:  {"k": "[REDACTED]"}\n\n'),
    "text": (f"data: a {KEY} b\n\n", "data: a [REDACTED] b\n\n"),
    "json": (
        f'event: message\r\nid: 7\r\ndata: {{"k": "\\n{KEY}", "n": 4111111111111111}}\r\n\r\n',
        'event: message\r\nid: 7\r\ndata: {"k": "\\n[REDACTED]", "n": 0}\r\n\r\n',
    ),
    "json-on-several-lines": (
        f'data: {{\ndata: "k":\ndata:  "{KEY}"}}\n\n',
        'data: {\ndata: "k":\ndata:  "[REDACTED]"}\n\n',
    ),
    "field": ('data: {"k": "bad\\u002dfield"}\n\n', 'data: {"k": "[REDACTED]"}\n\n'),
    "second-line": (f"data: one\nid: 1\ndata: {KEY}\n\n", "data: one\nid: 1\ndata: [REDACTED]\n\n"),
    "across-lines": (
        "data: a BEGIN\n: comment\ndata: x\ndata: END b\nid: 1\n\n",
        "data: a [REDACTED] b\n: comment\nid: 1\n\n",
    ),
    "second-event": (f"id: 1\n\ndata: {KEY}\n\nid: 2\n\n", "id: 1\n\ndata: [REDACTED]\n\nid: 2\n\n"),
    "comment": (f": {KEY}\n\n", ": [REDACTED]\n\n"),
    "comment-within": (f"data: one\n:{KEY}\n\n", "data: one\n:[REDACTED]\n\n"),
    "unknown-field": (f"data: one\nnote: {KEY}\n\n", "data: one\nnote: [REDACTED]\n\n"),
    "byte-order-mark": (f"\ufeffdata: {KEY}\n\n", "\ufeffdata: [REDACTED]\n\n"),
    "unterminated": (f"data: {KEY}", "data: [REDACTED]"),
    "no-field": (f"{KEY}\n\n", "[REDACTED]\n\n"),
    "field-of-no-event": (f"data: one\nx-{KEY}: {KEY}\n\n", "data: one\nx-[REDACTED]: [REDACTED]\n\n"),
    "unterminated-comment": (f": {KEY}", ": [REDACTED]"),
    "blocked": ("data: one\n\ndata: MALWARE\n\ndata: two\n\n", "data: one\n\n"),
    "blocked-in-a-comment": ("data: one\n\n: MALWARE\n\ndata: two\n\n", "data: one\n\n"),
    "blocked-and-unterminated": ("data: one\n\ndata: MALWARE", "data: one\n\n"),
}  # fmt: skip


@pytest.mark.parametrize("stream", UNCHANGED.values(), ids=UNCHANGED)
def test_what_is_clean_leaves_as_it_came(inspecting: Inspector, stream: str) -> None:
    for pieces in every_split(stream.encode()):
        assert through(inspecting.stream(EVENTS), pieces).decode() == stream


@pytest.mark.parametrize(("stream", "expected"), CHANGED.values(), ids=CHANGED)
def test_what_is_found_goes_wherever_the_cuts_are(inspecting: Inspector, stream: str, expected: str) -> None:
    for pieces in every_split(stream.encode()):
        assert through(inspecting.stream(EVENTS), pieces).decode() == expected


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param(["data: a\n", "\n", "data"], ["", "data: a\n\n", ""], id="lf"),
        pytest.param(["data: a\r\n", "\r", "\n", "data"], ["", "data: a\r\n\r", "\n", ""], id="crlf"),
        pytest.param(["data: a\r", "\r", "data"], ["", "data: a\r\r", ""], id="cr"),
        pytest.param(["data: a\n\ndata: b\n\nda", "ta"], ["data: a\n\ndata: b\n\n", ""], id="several"),
        pytest.param([": ping\n", "\n", "data: a\n"], [": ping\n", "\n", ""], id="comment"),
        pytest.param(["data: a\n: ping\n", "\n"], ["", "data: a\n: ping\n\n"], id="comment-within"),
        pytest.param(["\n", "\r\n", "\n"], ["\n", "\r\n", "\n"], id="empty-lines"),
    ],
)
def test_an_event_leaves_with_the_byte_that_ends_it(
    inspecting: Inspector, pieces: list[str], expected: list[str]
) -> None:
    stream = inspecting.stream(EVENTS)
    assert [stream.feed(piece.encode()).decode() for piece in pieces] == expected


def test_findings_count_from_the_beginning_of_the_stream(inspecting: Inspector) -> None:
    text = f'\ufeffid: 1\n\ndata: {{"a":\ndata: "é {KEY}"}}\n: {KEY}\n\n:{KEY}\n\ndata: {KEY}'.encode()
    stream = inspecting.stream(EVENTS)
    through(stream, bytewise(text))
    assert [text[finding.start : finding.end].decode() for finding in stream.findings] == [KEY] * 4
    starts = [finding.start for finding in stream.findings]
    assert starts == sorted(set(starts))


def test_a_finding_is_there_before_its_event_leaves(inspecting: Inspector) -> None:
    stream = inspecting.stream(EVENTS)
    assert stream.feed(f"data: {KEY}\n".encode()) == b""
    assert stream.findings == []
    assert stream.feed(b"\n") != b""
    assert [finding.rule_id for finding in stream.findings] == ["test.key"]


def test_a_blocked_stream_gives_nothing_more(inspecting: Inspector) -> None:
    stream = inspecting.stream(EVENTS)
    assert stream.feed(b"data: MALWARE\n\n") == b""
    assert stream.cut
    assert stream.feed(b"data: one\n\n") == b""
    assert stream.finish() == b""
    assert [finding.action for finding in stream.findings] == [Action.BLOCK]


def test_monitored_blocks_pass(inspecting: Inspector) -> None:
    stream = inspecting.stream(EVENTS)
    assert stream.feed(b"data: watched\n\n") == b"data: watched\n\n"
    assert not stream.cut
    assert [finding.enforced for finding in stream.findings] == [False]


# --- events too large to be seen whole

LARGE = {
    "json": (f'data: ["{"x" * 300}", "\\u004b{KEY[1:]}"]\n\ndata: b\n\n', f"\\u004b{KEY[1:]}"),
    "before-the-limit": (f'data: {{"k": "{KEY}", "a": "{"x" * 300}"}}\r\n\r\n: end\n\n', KEY),
    "several-lines": (f"id: 1\ndata: {'x' * 200}\ndata: {KEY}\ndata: {'x' * 100}\n\ndata: {KEY}\n\n", KEY),
    "comment": (f": {'x' * 300} {KEY}\n\ndata: b\n\n", KEY),
    "unterminated": (f"data: {'x' * 300} {KEY}", KEY),
    "at-the-limit": (f"data: {'x' * (100 - 6 - 17)} {KEY}\r\n\r\ndata: {KEY}\n\n", KEY),
}  # fmt: skip


@pytest.mark.parametrize(("stream", "secret"), LARGE.values(), ids=LARGE)
def test_a_large_event_flows_through_the_window(tmp_path: Path, stream: str, secret: str) -> None:
    inspecting = inspector(policy(tmp_path, *RULES), max_event_size=100, block_size=32)
    findings = []
    for pieces in every_split(stream.encode()):
        stage = inspecting.stream(EVENTS)
        assert through(stage, pieces).decode() == stream.replace(secret, "[REDACTED]")
        findings.append([(finding.rule_id, finding.start, finding.end) for finding in stage.findings])
    assert all(each == findings[0] for each in findings)
    found = [stream.encode()[start:end].decode() for _, start, end in findings[0]]
    assert found == [secret] * stream.count(secret)


def test_what_a_large_event_is_not_read_for_is_told(tmp_path: Path) -> None:
    limits = {"max_event_size": 100, "block_size": 32}
    text = b"data: " + b"x " * 300 + base64.b64encode(b"some text in base64") + b"\n\ndata: b\n\n"
    stage = inspector(policy(tmp_path, *RULES), **limits).stream(EVENTS)
    through(stage, bytewise(text))
    assert stage.leaves_unread
    on_fields = policy(tmp_path, rule("field", "field-secret", "field-secret", targets=["field", "body"]))
    stage = inspector(on_fields, **limits).stream(EVENTS)
    through(stage, [b"data: b\n\n"])
    assert not stage.leaves_unread
    through(stage, [b"data: " + b"x " * 300 + b"\n\n"])
    assert stage.leaves_unread


def test_a_large_event_does_not_wait_for_its_end(tmp_path: Path) -> None:
    stage = inspector(policy(tmp_path, *RULES), max_event_size=100, block_size=32).stream(EVENTS)
    # What is held back: the windows of the rules, and as much as a name of JSON may have.
    written = stage.feed(b"data: " + b"x" * 2000)
    assert len(written) > 2000 - MAX_NAME - 100


def test_a_large_event_can_be_blocked(tmp_path: Path) -> None:
    stage = inspector(policy(tmp_path, *RULES), max_event_size=100, block_size=32).stream(EVENTS)
    text = b"data: " + b"x" * 300 + b" MALWARE\n\ndata: b\n\n"
    assert through(stage, bytewise(text)) == b"data: " + b"x" * 300 + b" "
    assert stage.cut


# --- any stream

LINES = st.sampled_from(
    [
        *("", "", "", "\ufeff", "é", "watched", ": comment", f": {KEY}"),
        *("id: 1", "event: message", "retry", f"note: {KEY}"),
        *("data", "data:", "data: one", f"data: {KEY}", "data: BEGIN", "data: END", "data: MALWAR"),
        *(f'data: {{"k": "{KEY}\\n"}}', "data: [1, 4111111111111111]", "data: " + "long " * 30),
    ]
)
ENDINGS = st.sampled_from(["\n", "\n", "\r\n", "\r"])
STREAMS = st.lists(st.tuples(LINES, ENDINGS).map("".join), max_size=20).map("".join).map(str.encode)


@pytest.fixture(scope="module", params=[1_000_000, 40], ids=["whole-events", "large-events"])
def any_size(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    rules = policy(tmp_path_factory.mktemp("rules"), *RULES)
    return inspector(rules, max_event_size=request.param, block_size=16)


@pytest.fixture(scope="module", params=[1_000_000, 40], ids=["whole-events", "large-events"])
def hasty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    rules = policy(tmp_path_factory.mktemp("rules"), *RULES)
    return inspector(rules, max_event_size=request.param, block_size=16, patience=-1.0)


@given(data=st.data(), text=STREAMS)
def test_without_patience_the_same_is_done_by_and_by(
    hasty: Inspector, data: st.DataObject, text: bytes
) -> None:
    stage, other = hasty.stream(EVENTS), hasty.stream(EVENTS)
    assert impatiently(stage, data.draw(pieces_of(text))) == through(other, [text])
    assert stage.findings == other.findings


@given(data=st.data(), text=STREAMS)
def test_any_chunking_gives_the_same(any_size: Inspector, data: st.DataObject, text: bytes) -> None:
    whole = any_size.stream(EVENTS)
    expected = through(whole, [text])
    for pieces in (data.draw(pieces_of(text)), bytewise(text)):
        stage = any_size.stream(EVENTS)
        assert through(stage, pieces) == expected
        assert stage.findings == whole.findings
