"""The window decides alike however a stream is cut, and as if the whole had been there."""

import base64
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspecting import (
    FORM,
    HTML,
    JSON,
    PLAIN,
    bytewise,
    impatiently,
    inspector,
    pieces_of,
    places,
    policy,
    rule,
    through,
)

from icapd.errors import ScanTimeout
from icapd.http.media_types import MediaType
from icapd.inspection import Inspector
from icapd.inspection.formats import AHEAD
from icapd.inspection.json_text import MAX_NAME
from icapd.inspection.window import MAX_REPEATED
from icapd.policy import Policy

# Short matches that overlap, look around themselves and lie next to each other, over a small alphabet.
DENSE = (
    rule("run", "a{3,6}b", "aaab"),
    rule("around", "(?<=x)[ab]{2,4}(?=y)", "xaby"),
    rule("key", r"\bKEY(?P<secret>[0-9]{3,5})\b", "KEY123"),
    rule("noted", "b{1,5}c?", "bb", action="log"),
    rule("letters", "é[à-ü]{1,3}", "éà", more="unicode = true"),
    rule("word", r"\w{2}é\b", "abé", action="log", more="unicode = true"),
    rule("keyword", "tok=(?P<secret>[a-z]{2,5})", "tok=abc", more='keywords = ["tok"]'),
    rule("pair", '"k"[ ]?:[ ]?"[^"]{1,6}"', '"k": "v"'),
    rule("number", "[0-9]{4,6}", "1234", more='validator = "distinct>=3"\nno_match = ["1111"]'),
    rule("watched", "x{2,3}", "xx", more='mode = "monitor"'),
    rule("breaks", r"y\n{1,2}[ab]", "y\na"),
    rule("any", "é.{1,2}b", "éab", action="log", more="unicode = true"),
)
# All of the same reach, which is not a byte longer than the matches need.
TIGHT = (
    rule("ahead", "a(?=aaab)", "aaaab", action="log"),
    rule("behind", "(?<=baaa)a", "baaaa"),
    rule("digits", "[0-9]{4}(?=[0-9]|x)", "12345"),
    rule("exact", "xab[abc]y", "xabcy"),
)
KEY = "KEY-ABCDEF123456"
RULES = (
    rule("key", "KEY-[A-Z0-9]{12}", KEY),
    rule("pair", r'"drop": ?"[^"]{1,40}"', '"drop": "x"'),
    rule("malware", "MALWARE", "MALWARE", action="block"),
    rule("watched", "WATCHED", "WATCHED", action="block", more='mode = "monitor"'),
    rule("field", "field-secret", "field-secret", targets=["field"]),
)
FRAGMENTS = [
    *'abcxy"{}[]:,.=- &+%<é\\',
    *("aa", "aaa", "bb", "xa", "by", "KEY", "KEY12", "345", "11", "tok=", '"k": "', '"k":', "à", "éü", "\n"),
    *(
        r"\n",
        r"\"",
        r"\\",
        r"\u0061",
        r"\u00e9",
        r"\u004BEY",
        r"\ud83d\ude00",
        r"\ud83d",
        r"é\ud83db",
        r"\\u0061",
        r"\\n",
    ),
    *("%61", "%4B", "%C3%A9", "&#97;", "&eacute;", "&quot;", "&#x4b;EY", "&amp;", "&bb;"),
    *("true", "null", "-1.5e3", "0", "1234567890", "31415926535.8979e10", "aaa"),
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=120).map(lambda parts: "".join(parts).encode())
TYPES = pytest.mark.parametrize(
    "media_type",
    [
        pytest.param(JSON, id="json"),
        pytest.param(FORM, id="form"),
        pytest.param(HTML, id="html"),
        pytest.param(PLAIN, id="text"),
        pytest.param(MediaType(), id="untyped"),
    ],
)


@pytest.fixture(scope="module", params=[DENSE, TIGHT], ids=["dense", "tight"])
def rules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return policy(tmp_path_factory.mktemp("rules"), *request.param)


@TYPES
@given(data=st.data(), text=TEXTS, block_size=st.integers(min_value=1, max_value=64))
@settings(max_examples=100)
def test_any_chunking_gives_the_same(
    rules: Policy, media_type: MediaType, data: st.DataObject, text: bytes, block_size: int
) -> None:
    inspecting = inspector(rules, block_size=block_size)
    whole = inspecting.stream(media_type)
    expected = through(whole, [text])
    for pieces in (data.draw(pieces_of(text)), bytewise(text)):
        stream = inspecting.stream(media_type)
        assert through(stream, pieces) == expected
        assert stream.findings == whole.findings
        assert stream.leaves_unread is whole.leaves_unread


@TYPES
@given(data=st.data(), text=TEXTS, block_size=st.integers(min_value=1, max_value=64))
@settings(max_examples=100)
def test_without_patience_the_same_is_done_by_and_by(
    rules: Policy, media_type: MediaType, data: st.DataObject, text: bytes, block_size: int
) -> None:
    inspecting = inspector(rules, block_size=block_size, patience=-1.0)
    stream, other = inspecting.stream(media_type), inspecting.stream(media_type)
    assert impatiently(stream, data.draw(pieces_of(text))) == through(other, [text])
    assert stream.findings == other.findings


@TYPES
@given(text=TEXTS, block_size=st.integers(min_value=1, max_value=64))
@settings(max_examples=100)
def test_a_stream_is_inspected_like_a_whole_body(
    rules: Policy, media_type: MediaType, text: bytes, block_size: int
) -> None:
    inspecting = inspector(rules, block_size=block_size, max_findings=10_000)
    if media_type in (HTML, FORM) or text.startswith(b"<"):
        # Escapes of scripts, and of JSON in forms, are undone in whole bodies only.
        text = text.replace(b"\\", b"/")
    stream = inspecting.stream(media_type)
    output = through(stream, [text])
    whole = inspecting.inspect_body(text, media_type)
    assert output == whole.text
    assert places(stream.findings) == places(whole.findings)
    assert {f.fingerprint for f in stream.findings} == {f.fingerprint for f in whole.findings}


@TYPES
@given(data=st.data(), text=TEXTS, block_size=st.integers(min_value=1, max_value=64))
@settings(max_examples=100)
def test_stream_that_keeps_its_length_loses_the_same(
    rules: Policy, media_type: MediaType, data: st.DataObject, text: bytes, block_size: int
) -> None:
    inspecting = inspector(rules, block_size=block_size)
    stream, other = inspecting.stream(media_type, keeps_length=True), inspecting.stream(media_type)
    output, expected = through(stream, data.draw(pieces_of(text))), through(other, [text])
    assert len(output) == len(text)
    assert stream.findings == other.findings
    # Where the other has a replacement this one has as many bytes as were there.
    assert (output == text) is (expected == text)


@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers(-99999, 99999) | st.sampled_from([KEY, f"a {KEY} b", "é"]),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner),
        max_leaves=20,
    ),
    indent=st.sampled_from([None, 1]),
)
def test_json_that_keeps_its_length_stays_json_of_the_same_shape(
    numbers: Inspector, document: object, indent: int | None
) -> None:
    text = json.dumps(document, indent=indent).encode()
    output = through(numbers.stream(JSON, keeps_length=True), [text])
    assert len(output) == len(text)
    assert KEY.encode() not in output and not re.search(rb"[0-9]{4}", output)
    assert shape(json.loads(output)) == shape(document)


def shape(value: object) -> object:
    """The value with a word for each leaf."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    digits = rule("digits", "[0-9]{4,5}", "1234")
    return inspector(policy(tmp_path_factory.mktemp("rules"), RULES[0], digits), block_size=8)


# --- single streams


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    return inspector(policy(tmp_path_factory.mktemp("rules"), *RULES), block_size=8)


CASES = {
    "clean": (PLAIN, "x" * 200, "x" * 200),
    "over-many-blocks": (PLAIN, f"{'x' * 50}{KEY}{'x' * 50}", f"{'x' * 50}[REDACTED]{'x' * 50}"),
    "side-by-side": (PLAIN, KEY * 5, "[REDACTED]" * 5),
    "at-the-end": (PLAIN, f"{'x' * 50}{KEY}", f"{'x' * 50}[REDACTED]"),
    "cut-off": (PLAIN, f"{'x' * 50}{KEY[:-1]}", f"{'x' * 50}{KEY[:-1]}"),
    "json": (JSON, f'{{"a": [1, 2], "k": "\\n{KEY}"}}', '{"a": [1, 2], "k": "\\n[REDACTED]"}'),
    "json-pair": (JSON, f'{{"drop": "{"x" * 30}", "b": 1}}', '{"drop": "[REDACTED]", "b": 1}'),
    "json-in-json": (JSON, rf'["[\"\\n{KEY}\"]"]', r'["[\"\\n[REDACTED]\"]"]'),
    "monitored": (PLAIN, "a WATCHED b", "a WATCHED b"),
    "blocked": (PLAIN, f"{KEY} {'x' * 40} MALWARE {KEY}", f"[REDACTED] {'x' * 40} "),
    "fields-are-not-read": (JSON, '{"a": "field-secret"}', '{"a": "field-secret"}'),
    "no-rules": (MediaType("image/png"), KEY, KEY),
    "nothing": (JSON, "", ""),
}


@pytest.mark.parametrize(("media_type", "text", "expected"), CASES.values(), ids=CASES)
def test_streams(narrow: Inspector, media_type: MediaType, text: str, expected: str) -> None:
    for pieces in ([text.encode()], bytewise(text.encode())):
        stream = narrow.stream(media_type)
        assert through(stream, pieces).decode() == expected
        assert stream.cut == ("MALWARE" in text)


NAMED = [
    rule("named", r"pw=(?P<secret>[a-z]{12})\b", "pw=abcdefghijkl"),
    rule("behind", r"(?<=pw=)[a-z]{12}\b", "pw=abcdefghijkl"),
]
COPIES = ["abcdefghijkl", r"\u0061bcdefghijkl", "&#97;bcdefghijkl", "pw=mnopqrstuvwx", "mnopqrstuvwx"]
AROUND = ["bcdefghijkl", "abcdef", "x ", " ", '"', "é", "\n", "-" * 30]


@TYPES
@pytest.mark.parametrize("named", NAMED, ids=["in a group", "behind its name"])
@given(
    data=st.data(),
    parts=st.lists(st.sampled_from([*COPIES, *AROUND]), max_size=20),
    block_size=st.integers(min_value=1, max_value=64),
)
def test_copies_of_a_secret_go_from_where_it_is_known_on(
    tmp_path_factory: pytest.TempPathFactory,
    media_type: MediaType,
    named: str,
    data: st.DataObject,
    parts: list[str],
    block_size: int,
) -> None:
    rules = policy(tmp_path_factory.mktemp("rules"), named)
    inspecting = inspector(rules, block_size=block_size)
    text = f'"pw=abcdefghijkl pw=mnopqrstuvwx {"".join(parts)}'.encode()
    if media_type in (HTML, FORM):
        # As above: these have no such escapes in a stream.
        text = text.replace(b"\\", b"/")
    whole = inspecting.inspect_body(text, media_type)
    stream = inspecting.stream(media_type)
    assert through(stream, data.draw(pieces_of(text))) == whole.text
    assert places(stream.findings) == places(whole.findings)


def test_no_more_than_some_secrets_are_looked_for_again(tmp_path: Path) -> None:
    shown = rule("shown", r"sk_[0-9]{12}", "sk_012345678901")
    inspecting = inspector(policy(tmp_path, NAMED[0], shown), block_size=64)
    secrets = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}cdefghijkl" for number in range(40)]
    # What its rule finds again takes no room from the others.
    keys = [f"sk_{number:012d}" for number in range(40)]
    text = " ".join([*keys, *(f"pw={secret}" for secret in secrets), *secrets])
    redacted = through(inspecting.stream(PLAIN), [text.encode()]).decode()
    assert redacted == " ".join(
        ["[REDACTED]"] * 40 + ["pw=[REDACTED]"] * 40 + ["[REDACTED]"] * MAX_REPEATED + secrets[MAX_REPEATED:]
    )


IN_BASE64 = base64.b64encode(b"some text in base64").decode()
UNREAD = [
    pytest.param(JSON, f'["{IN_BASE64}"]', True, id="base64"),
    pytest.param(
        JSON, f'["{IN_BASE64[:8]}\\u00{ord(IN_BASE64[8]):x}{IN_BASE64[9:]}"]', True, id="base64-escaped"
    ),
    pytest.param(JSON, json.dumps(["%040x" % 5**60, "NotBase64ButALongName", 'a\n"é']), False, id="words"),
    pytest.param(HTML, r"<script>'\x41'</script>", True, id="script"),
    pytest.param(HTML, r"<p>&#65; C:\windows \n</p>", False, id="references"),
    pytest.param(PLAIN, "pass\u200bword", True, id="invisible"),
    pytest.param(PLAIN, "naïve 表示", False, id="other-scripts"),
    pytest.param(FORM, "a=%7B%22b%22:%22\\u0041%22%7D", True, id="json-in-a-form"),
    pytest.param(FORM, "a=%41+b%2541", False, id="percent"),
    pytest.param(MediaType("multipart/form-data"), "--a", True, id="multipart"),
]


@pytest.mark.parametrize(("media_type", "text", "is_left"), UNREAD)
@pytest.mark.parametrize("size", [1, 10_000])
def test_what_only_a_whole_body_is_read_for_is_told(
    narrow: Inspector, media_type: MediaType, text: str, is_left: bool, size: int
) -> None:
    stream = narrow.stream(media_type)
    body = ("x " * 100 + text + " y" * 100).encode()
    through(stream, [body[at : at + size] for at in range(0, len(body), size)])
    assert stream.leaves_unread is is_left


def test_a_blocked_stream_gives_nothing_more(narrow: Inspector) -> None:
    stream = narrow.stream(PLAIN)
    assert stream.feed(b"a MALWARE" + b"x" * 100) == b"a "
    assert stream.cut
    assert stream.feed(b"more" * 100) == b""
    assert stream.finish() == b""
    assert [finding.rule_id for finding in stream.findings] == ["test.malware"]


def test_what_two_readings_find_from_different_blocks_on_is_one_finding(tmp_path: Path) -> None:
    # Decoded, the match begins with the first x; as it stands, behind the escape.
    inspecting = inspector(
        policy(tmp_path, rule("tail", "x{0,20}KEY(?P<secret>[0-9]{4})", "KEY1234")), block_size=8
    )
    text = rb'["xxxxxxxxxxxxxxxx\u0078KEY1234"]'
    stream = inspecting.stream(JSON)
    assert through(stream, [text]) == text.replace(b"1234", b"[REDACTED]")
    assert len(stream.findings) == 1


def test_reference_to_no_character_is_cut_neither_whole_nor_in_a_stream(tmp_path: Path) -> None:
    # It stands for itself, so that the text is the same in both readings.
    inspecting = inspector(policy(tmp_path, rule("b", "b{1,5}", "b")), block_size=8)
    expected = b"x [REDACTED] y"
    assert inspecting.inspect_body(b"x &bbb; y", HTML).text == expected
    assert through(inspecting.stream(HTML), [b"x &bbb; y"]) == expected


def test_packs_in_order_see_a_stream_as_it_stands(tmp_path: Path) -> None:
    rules = policy(tmp_path, rule("key", "KEY", "KEY"), pack='[pack]\nredaction = "in-order"\n')
    stream = inspector(rules).stream(JSON)
    assert through(stream, [rb'["KEY \u004bEY"]']) == rb'["[REDACTED] \u004bEY"]'


@given(data=st.data(), length=st.integers(0, 2 * MAX_NAME))
def test_name_that_a_span_ends_in_is_told_in_a_stream_too(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, length: int
) -> None:
    rules = policy(tmp_path_factory.mktemp("rules"), rule("two", '1234", "k', '1234", "k'))
    inspecting = inspector(rules, block_size=8)
    text = f'{{"a": "1234", "k{"x" * length}": 1}}'.encode()
    whole = inspecting.inspect_body(text, JSON)
    assert (b'"k' in whole.text) is (length + len('":') <= MAX_NAME)
    assert through(inspecting.stream(JSON), data.draw(pieces_of(text))) == whole.text


def test_what_is_held_back_has_a_bound(narrow: Inspector) -> None:
    for media_type in (JSON, FORM, PLAIN):
        stream = narrow.stream(media_type)
        fed = written = 0
        for _ in range(500):
            fed += 100
            written += len(stream.feed(b'"\\n%20", x' * 10))
            # In JSON also what tells a name from a value.
            assert fed - written < 300 + AHEAD.get(media_type.format, 0)


def test_rules_for_no_body_hold_nothing_back(tmp_path: Path) -> None:
    stream = inspector(policy(tmp_path, RULES[-1])).stream(JSON)
    assert stream.feed(b"{") == b"{"
    assert stream.finish() == b""


def test_a_rule_that_takes_too_long_is_not_hidden(tmp_path: Path) -> None:
    hard = rule("hard", "(?:a+)+(?=b)b?", "ab", more="max_length = 100")
    stream = inspector(policy(tmp_path, hard), scan_timeout=0.02).stream(PLAIN)
    with pytest.raises(ScanTimeout):
        stream.feed(b"a" * 100_000)
