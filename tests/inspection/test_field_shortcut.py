"""The one pass that spares the fields of a clean text: it may pass nothing over that a field rule finds."""

import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspecting import policy, rule

from icapd.http.headers import Headers
from icapd.inspection import Fingerprinter
from icapd.inspection.budget import Budget
from icapd.inspection.fields import fields_of
from icapd.inspection.formats import WHOLE_ESCAPES, TextFormat
from icapd.inspection.head_parts import HeadParts
from icapd.inspection.heads import examine_headers
from icapd.inspection.scanning import layers_of, scan_fields
from icapd.inspection.views import Views
from icapd.policy import RuleSet

WORDS = st.sampled_from(
    [
        "drop table",
        "drop+table",
        "DROP%20table",
        'a"b',
        "\\",
        "{",
        "[",
        "x",
        "\u0064rop table",
        r"drop\u0020table",
        r"drop\x20table",
        "drop&#32;table",
        "drop%2520table",
        "drop%u0020table",
        "dr\x00op table",
        "dr\u200bop table",
        "\uff44rop table",
        "%2",
        "&",
        "=",
    ]
)
VALUES = st.lists(WORDS, max_size=4).map("".join)
ESCAPED = st.sampled_from(
    [json.dumps, lambda text: '"' + "".join(f"\\u{ord(each):04x}" for each in text) + '"']
)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    more = 'keywords = ["drop table"]'
    text = rule("drop", "drop table", "drop table", targets=("field",), more=more)
    return policy(tmp_path_factory.mktemp("rules"), text).request


def found(rules: RuleSet, text: bytes, kind: TextFormat) -> bool:
    return bool(list(scan_fields(rules, fields_of(text, kind), Budget(10))))


@given(st.lists(st.tuples(VALUES, ESCAPED), max_size=4), st.integers(0, 2), st.binary(max_size=3))
def test_json(rules: RuleSet, values: list[tuple[str, object]], depth: int, noise: bytes) -> None:
    text = "[" + ",".join(spell(value) for value, spell in values) + "]"  # type: ignore[operator]
    for _ in range(depth):
        text = json.dumps([text])
    raw = noise + text.encode()
    if found(rules, raw, "json"):
        assert rules.fields_may_match(layers_of(Views(raw, WHOLE_ESCAPES["json"])))


@given(st.lists(VALUES, max_size=4), st.sampled_from([quote, quote_plus, str]))
def test_form_and_url(rules: RuleSet, values: list[str], spell: object) -> None:
    form = "&".join(f"k={spell(value)}" for value in values).encode()  # type: ignore[operator]
    if found(rules, form, "form"):
        assert rules.fields_may_match(layers_of(Views(form, WHOLE_ESCAPES["form"])))
    url = b"https://h/p?" + form
    if found(rules, url, "url"):
        assert rules.fields_may_match(layers_of(Views(url, WHOLE_ESCAPES["form"])))


def test_header_rules_without_words_are_never_spared(tmp_path: Path) -> None:
    bound = rule("bound", "^KEY", "KEY", targets=("header",))
    headers = Headers(((b"A", b"x"), (b"B", b"KEY"), (b"C", b"x")))
    parts = HeadParts(policy(tmp_path, bound).request)
    (hit,) = examine_headers(headers, parts, 1.0, Fingerprinter.ephemeral()).hits
    assert hit.target == "header:B"
