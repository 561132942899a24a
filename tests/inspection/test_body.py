"""Whole bodies: what is found, what goes, and what must not change."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from inspecting import EVENTS, FORM, HTML, JSON, PLAIN, inspector, policy, rule

from icapd.errors import ScanTimeout
from icapd.http.media_types import MediaType
from icapd.inspection import Inspector, escapes
from icapd.inspection.budget import Budget
from icapd.inspection.views import Views
from icapd.policy import Action

SCRIPT = MediaType("text/javascript")
KEY = "KEY-ABCDEF123456"
CARD = "4111111111111111"
RULES = (
    rule("key", r"\bKEY-[A-Z0-9]{12}\b", KEY),
    rule("card", r"\b4[0-9]{15}\b", CARD),
    rule("password", r'password["\s:=]{1,5}(?P<secret>[^\s"&<]{4,32})', "password=hunter2"),
    rule("pair", '"drop" ?: ?"[^"]{1,20}"', '"drop": "x"'),
    rule("name", "é[à-ü]{3}", "éàéü", more="unicode = true"),
    rule("watched", "watched", "watched", more='mode = "monitor"'),
    rule("noted", "noted", "noted", action="log"),
    rule("attack", "' OR 1", "' OR 1", targets=["field"], action="block"),
    rule("field", "field-secret", "field-secret", targets=["field"]),
    rule("csv", "only-csv", "only-csv", more='media_types = ["text/csv"]'),
)


@pytest.fixture(scope="module")
def inspecting(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    return inspector(policy(tmp_path_factory.mktemp("rules"), *RULES))


CASES = {
    "json": (JSON, f'{{"k": "{KEY}"}}', '{"k": "[REDACTED]"}', "key"),
    "json-between-escapes": (JSON, rf'["\n{KEY}\n"]', r'["\n[REDACTED]\n"]', "key"),
    "json-escaped": (JSON, r'["\u004bEY-ABCDEF12345\u0036"]', '["[REDACTED]"]', "key"),
    "json-number": (JSON, f'{{"n": {CARD}}}', '{"n": 0}', "card"),
    "json-pair": (JSON, '{"drop": "x", "b": 1}', '{"drop": "[REDACTED]", "b": 1}', "pair"),
    "json-name": (JSON, f'{{"{KEY}": 1}}', '{"[REDACTED]": 1}', "key"),
    "json-cut-off": (JSON, f'{{"k": "{KEY}', '{"k": "[REDACTED]', "key"),
    "json-that-is-none": (JSON, f"<p>no JSON {KEY}</p>", "<p>no JSON [REDACTED]</p>", "key"),
    "json-lines": (JSON, f'{{"a": 1}}\n{{"b": "{KEY}"}}\n', '{"a": 1}\n{"b": "[REDACTED]"}\n', "key"),
    "json-unicode": (JSON, '{"a": "éàéüx"}', '{"a": "[REDACTED]x"}', "name"),
    "json-unicode-escaped": (JSON, r'["\u00e9\u00e0\u00e9\u00fcx"]', '["[REDACTED]x"]', "name"),
    "json-field": (JSON, '{"a": "field-secret!"}', '{"a": "[REDACTED]!"}', "field"),
    "json-in-json": (JSON, rf'["{{\"k\": \"{KEY}\"}}"]', r'["{\"k\": \"[REDACTED]\"}"]', "key"),
    "json-in-json-escaped": (JSON, rf'["[\"\\n{KEY}\"]"]', r'["[\"\\n[REDACTED]\"]"]', "key"),
    "json-in-json-field": (JSON, r'["[\"field\u002dsecret\"]"]', r'["[\"[REDACTED]\"]"]', "field"),
    "json-in-json-quotes": (
        JSON,
        r'["{\"password\": \"hunter2\\\"3\"}"]',
        r'["{\"password\": \"[REDACTED]\\\"3\"}"]',
        "password",
    ),
    "form": (FORM, f"a=1&k={KEY}&b=2", "a=1&k=%5BREDACTED%5D&b=2", "key"),
    "form-encoded": (FORM, "k=+%4BEY%2DABCDEF123456%20", "k=+%5BREDACTED%5D%20", "key"),
    "form-name-and-value": (FORM, "drop&password=hunter2&b", "drop&password=%5BREDACTED%5D&b", "password"),
    "form-field": (FORM, "a=field%2Dsecret", "a=%5BREDACTED%5D", "field"),
    "json-field-in-references": (JSON, '{"q": "&#39; OR &#x31;"}', None, "attack"),
    "json-field-percent-encoded": (JSON, '{"q": "%27%20OR%201"}', None, "attack"),
    "json-field-in-script-escapes": (JSON, r'{"q": "\\x27 OR 1"}', None, "attack"),
    "json-field-with-a-null": (JSON, r'{"q": "\u0027 O\u0000R 1"}', None, "attack"),
    "field-three-layers-down": (FORM, "q=%25252527+OR+1", None, "attack"),
    "field-in-two-escapes": (FORM, "q=%26%23x27%3b%2bOR+1&r=%2526apos%253b OR 1", None, "attack"),
    "field-redacted-in-its-spelling": (
        JSON,
        '{"a": "x %66ield&#45;secret y"}',
        '{"a": "x [REDACTED] y"}',
        "field",
    ),
    "form-encoded-twice": (FORM, "k=%254BEY%2DABCDEF123456", "k=%5BREDACTED%5D", "key"),
    "form-in-code-units": (FORM, "k=%u004BEY-ABCDEF123456", "k=%5BREDACTED%5D", "key"),
    "script": (SCRIPT, r"k='\x4bEY-ABCDEF123456\n'", r"k='[REDACTED]\n'", "key"),
    "script-in-html": (
        HTML,
        r"<script>a='\u0026\u004BEY-ABCDEF123456'</script>",
        r"<script>a='\u0026[REDACTED]'</script>",
        "key",
    ),
    "html": (HTML, f"<b>{KEY}</b>", "<b>[REDACTED]</b>", "key"),
    "html-escaped": (HTML, "password=&quot;hunter2&quot;", "password=&quot;[REDACTED]&quot;", "password"),
    "text": (PLAIN, f"a {KEY} b {CARD}", "a [REDACTED] b [REDACTED]", "key card"),
    "short-text-is-one-value": (PLAIN, "field-secret", "[REDACTED]", "field"),
    "long-text-has-no-fields": (PLAIN, "field-secret" + " " * 2000, None, ""),
    "overlapping": (PLAIN, f"password: {KEY}!", "password: [REDACTED]", "key password"),
    "untyped-json": (MediaType(), f'{{"n": {CARD}}}', '{"n": 0}', "card"),
    "events": (EVENTS, f'data: {{"n": {CARD}}}\n\n', 'data: {"n": 0}\n\n', "card"),
    "monitored": (PLAIN, "watched", None, "watched"),
    "logged": (PLAIN, "noted", None, "noted"),
    "blocked": (JSON, '{"q": "\' OR 1"}', None, "attack"),
    "rule-for-another-type": (PLAIN, "only-csv", None, ""),
    "rule-for-the-type": (MediaType("text/csv"), "only-csv", "[REDACTED]", "csv"),
    "type-without-rules": (MediaType("image/png"), KEY, None, ""),
    "empty": (JSON, "", None, ""),
}


@pytest.mark.parametrize(("media_type", "text", "redacted", "found"), CASES.values(), ids=CASES)
def test_bodies(
    inspecting: Inspector, media_type: MediaType, text: str, redacted: str | None, found: str
) -> None:
    body = text.encode()
    inspection = inspecting.inspect_body(body, media_type)
    assert {finding.rule_id for finding in inspection.findings} == {f"test.{name}" for name in found.split()}
    if redacted is None:
        assert inspection.text is body
    else:
        assert inspection.text.decode() == redacted


def test_the_same_match_in_two_readings_is_one_finding(inspecting: Inspector) -> None:
    text = rf'{{"a": "\n", "k": "{KEY}"}}'.encode()
    (finding,) = inspecting.inspect_body(text, JSON).findings
    assert text[finding.start : finding.end] == KEY.encode()


def test_an_escaped_secret_has_the_fingerprint_of_the_plain_one(inspecting: Inspector) -> None:
    plain, escaped = f'["{KEY}"]', r'["\u004bEY-ABCDEF123456"]'
    nested = json.dumps([escaped])
    bodies = [body.encode() for body in (plain, escaped, nested)]
    assert len({inspecting.inspect_body(body, JSON).findings[0].fingerprint for body in bodies}) == 1


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        pytest.param(
            '{"password": "correct horse", "again": "correct"}',
            '{"password": "[REDACTED] horse", "again": "correct"}',
            id="short-ones-stay",
        ),
        pytest.param(
            r'{"password": "tr0ub4dor-and-3", "a": "x tr0ub4dor-and-3 y", "b": "\u0074r0ub4dor-and-3"}',
            '{"password": "[REDACTED]", "a": "x [REDACTED] y", "b": "[REDACTED]"}',
            id="long-ones-go-in-every-spelling",
        ),
        pytest.param(
            r'{"password": "tr0ub4/r-and-3", "a": "tr0ub4%2Fr-and-3 dHIwdWI0L3ItYW5kLTM"}',
            '{"password": "[REDACTED]", "a": "[REDACTED] [REDACTED]"}',
            id="and-in-those-of-other-formats",
        ),
    ],
)
def test_a_secret_known_by_its_surroundings_goes_everywhere(
    inspecting: Inspector, text: str, redacted: str
) -> None:
    inspection = inspecting.inspect_body(text.encode(), JSON)
    assert inspection.text.decode() == redacted
    assert len(inspection.findings) == 1


def test_a_dump_of_secrets_goes_in_time(inspecting: Inspector) -> None:
    dump = [{"password": f"{number:012x}", "again": f"{number:012x}"} for number in range(2000)]
    redacted = json.loads(inspecting.inspect_body(json.dumps(dump).encode(), JSON).text)
    assert redacted == [{"password": "[REDACTED]", "again": "[REDACTED]"}] * 2000


def test_a_monitored_secret_stays_everywhere(tmp_path: Path) -> None:
    watching = inspector(policy(tmp_path, rule("key", KEY, KEY, more='mode = "monitor"')))
    body = f"{KEY} {KEY}".encode()
    assert watching.inspect_body(body, PLAIN).text is body


def test_a_block_is_found_and_left_to_the_caller(inspecting: Inspector) -> None:
    (finding,) = inspecting.inspect_body(b"q=1%27+OR+1", FORM).findings
    assert (finding.action, finding.target) == (Action.BLOCK, "field")
    assert (finding.start, finding.end) == (3, 11)


# --- packs whose redactions go in order

IN_ORDER = '[pack]\nredaction = "in-order"\n'
STEPS = ("a+b?", r"b\[RED", r"[^ac]c")


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    more = "unicode = true\nmax_length = 64"
    examples = ("ab", "b[RED", "xc")
    rules = [rule(f"step{n}", pattern, examples[n], more=more) for n, pattern in enumerate(STEPS)]
    return inspector(policy(tmp_path_factory.mktemp("rules"), *rules, pack=IN_ORDER))


@given(
    text=st.text('abcdRED[]\\n"{}é\ud800 ', max_size=60),
    media_type=st.sampled_from([JSON, FORM, HTML, PLAIN, EVENTS]),
)
def test_redactions_in_order_are_plain_substitutions(
    in_order: Inspector, text: str, media_type: MediaType
) -> None:
    expected = text
    for pattern in STEPS:
        expected = regex.sub(pattern, "[REDACTED]", expected)
    inspection = in_order.inspect_body(text.encode("utf-8", "surrogatepass"), media_type)
    assert inspection.text.decode("utf-8", "surrogatepass") == expected


def test_packs_in_order_see_the_text_as_it_stands(in_order: Inspector) -> None:
    assert in_order.inspect_body(rb'"\u0061"', JSON).findings == ()


# --- any JSON

SECRETS = st.sampled_from([KEY, f"x {KEY} y", f"password={CARD[:12]}", f'"{KEY}"', f"\n{KEY}\\", CARD])
STRINGS = st.text(max_size=8) | SECRETS
NUMBERS = st.integers(-99, 10**6) | st.just(int(CARD)) | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)


def spelled(value: Any, style: random.Random) -> str:
    """The value as JSON, each character of its strings in any of its spellings, with blanks anywhere."""
    blank = style.choice(["", "", " ", "\n\t"])
    match value:
        case str():
            return '"' + "".join(_spelled_character(character, style) for character in value) + '"'
        case list():
            return "[" + f"{blank},".join(blank + spelled(item, style) for item in value) + blank + "]"
        case dict():
            items = (f"{spelled(k, style)}{blank}:{blank}{spelled(v, style)}" for k, v in value.items())
            return "{" + f",{blank}".join(items) + blank + "}"
        case _:
            return json.dumps(value)


def _spelled_character(character: str, style: random.Random) -> str:
    spellings = [json.dumps(character)[1:-1], json.dumps(character, ensure_ascii=False)[1:-1]]
    spellings += [r"\/"] if character == "/" else []
    units = character.encode("utf-16-be", "surrogatepass").hex()
    spellings.append("".join(rf"\u{units[at : at + 4]}" for at in range(0, len(units), 4)))
    return style.choice(spellings)


def same_shape(one: Any, other: Any) -> bool:
    """Whether two documents, objects as lists of pairs, differ in their strings and numbers at most."""
    match one, other:
        case (list(), list()) | (tuple(), tuple()):
            return len(one) == len(other) and all(map(same_shape, one, other))
        case (bool() | None, _):
            return one is other
        case (dict(), dict()):
            return list(one) == list(other) and all(map(same_shape, one.values(), other.values()))
        case (int() | float(), int() | float()):
            return other in (one, 0)
        case (str(), str()):
            return one == other or "[REDACTED]" in other
    return False


def strings_in(document: Any) -> list[str]:
    match document:
        case str():
            return [document]
        case list() | tuple():
            return [text for item in document for text in strings_in(item)]
    return []


def redacted_json(inspecting: Inspector, text: str) -> str:
    inspection = inspecting.inspect_body(text.encode("utf-8", "surrogatepass"), JSON)
    return inspection.text.decode("utf-8", "surrogatepass")


@given(document=DOCUMENTS, style=st.randoms(use_true_random=False))
def test_redacted_json_has_the_same_shape_and_no_secret(
    inspecting: Inspector, document: Any, style: random.Random
) -> None:
    text = spelled(document, style)
    redacted = redacted_json(inspecting, text)
    before, after = (json.loads(each, object_pairs_hook=tuple) for each in (text, redacted))
    assert same_shape(before, after)
    assert not any(KEY in leaf or CARD in leaf for leaf in strings_in(after))
    assert CARD not in redacted


@given(document=DOCUMENTS, style=st.randoms(use_true_random=False))
def test_json_inside_json_loses_its_secrets_and_leaves_the_outer_one_whole(
    inspecting: Inspector, document: Any, style: random.Random
) -> None:
    inner = spelled(document, style)
    text = spelled({"content": [{"type": "text", "text": inner}]}, style)
    after = json.loads(redacted_json(inspecting, text))
    assert same_shape(json.loads(text), after)
    leaf = after["content"][0]["text"].encode("utf-8", "surrogatepass")
    assert not any(KEY.encode() in reading for reading in Views(leaf, (escapes.JSON,)))


# --- time

HARD = rule("hard", "(?:a+)+(?=b)b?", "ab", more="max_length = 100")


def test_a_rule_that_takes_too_long_is_not_hidden(tmp_path: Path) -> None:
    inspecting = inspector(policy(tmp_path, HARD), scan_timeout=0.02)
    with pytest.raises(ScanTimeout) as error:
        inspecting.inspect_body(b"a" * 10_000, PLAIN)
    assert error.value.rule_id == "test.hard"
    assert inspecting.mask_text(b"a" * 10_000) == b"[REDACTED]"


def test_a_spent_budget_names_the_rule() -> None:
    assert Budget(0).left() == 0
    with pytest.raises(ScanTimeout, match=r"test\.rule"):
        Budget(0).check("test.rule")
