"""What a RuleSet arranges: headers by name, bodies by media type, sizes, redactions in order."""

from collections.abc import Callable

import pytest

from icapd.policy import REPLACEMENT, CompiledRule, RuleSet

Make = Callable[..., CompiledRule]

HEADER_RULES = {
    "t.any": {"targets": ["header"], "pattern": "secret"},
    "t.cookie": {"targets": ["header:Cookie"], "pattern": "sid=(?P<secret>[a-z]+)"},
    "t.exact": {"targets": ["header-exact:X-Real-IP"], "pattern": r"\A"},
    "t.body": {"targets": ["body"], "pattern": "secret"},
}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param(b"Accept", b"x secret", [("t.any", 2, 8)], id="every header"),
        pytest.param(b"Cookie", b"sid=secret", [("t.any", 4, 10), ("t.cookie", 4, 10)], id="also by name"),
        pytest.param(b"COOKIE", b"sid=abc", [("t.cookie", 4, 7)], id="names have no case"),
        pytest.param(b"X-Real-IP", b"192.0.2.1", [("t.exact", 0, 0)], id="presence"),
        pytest.param(b"X-Real-IP", b"", [("t.exact", 0, 0)], id="presence without a value"),
        pytest.param(b"x-real-ip", b"192.0.2.1", [], id="exact names have case"),
        pytest.param("Cookié".encode(), b"sid=abc", [], id="a name that is no token"),
    ],
)
def test_headers(compiled: Make, name: bytes, value: bytes, expected: list[tuple[str, int, int]]) -> None:
    rules = RuleSet(compiled(id=rule_id, **keys) for rule_id, keys in HEADER_RULES.items())
    assert [(match.rule.id, match.start, match.end) for match in rules.scan_header(name, value)] == expected


TYPED_RULES = {
    "t.textual": {"targets": ["body", "field"]},
    "t.everything": {"media_types": ["*"]},
    "t.images": {"media_types": ["image/*"]},
    "t.json": {"media_types": ["application/json", "*+json"]},
    "t.mixed": {"targets": ["body", "url"]},
    "t.type": {"targets": ["content-type"]},
}
ALWAYS = {"t.everything", "t.mixed", "t.type"}
TEXT = {"t.textual", "t.everything", "t.mixed"}


@pytest.mark.parametrize(
    ("essence", "all_rules", "body_rules"),
    [
        ("text/html", {"t.textual", *ALWAYS}, TEXT),
        ("", {"t.textual", *ALWAYS}, TEXT),
        ("application/json", {"t.textual", "t.json", *ALWAYS}, {*TEXT, "t.json"}),
        ("model/gltf+json", {"t.textual", "t.json", *ALWAYS}, {*TEXT, "t.json"}),
        ("image/png", {"t.images", *ALWAYS}, {"t.images", "t.everything"}),
        ("application/octet-stream", ALWAYS, {"t.everything"}),
    ],
)
def test_rules_for_a_media_type(
    compiled: Make, essence: str, all_rules: set[str], body_rules: set[str]
) -> None:
    rules = RuleSet(compiled(id=rule_id, pattern="a", **keys) for rule_id, keys in TYPED_RULES.items())
    narrowed = rules.for_media_type(essence)
    assert {rule.id for rule in narrowed.rules} == all_rules
    assert {rule.id for rule in narrowed.body_rules} == body_rules
    assert {match.rule.id for match in narrowed.scan("body", b"a")} == body_rules
    assert bool(narrowed.field_rules) == ("t.textual" in all_rules)
    assert [match.rule.id for match in narrowed.scan("url", b"a")] == ["t.mixed"]


def test_a_media_type_is_worked_out_once(compiled: Make) -> None:
    rules = RuleSet([compiled(pattern="a")])
    assert rules.for_media_type("text/html") is rules.for_media_type("text/plain")
    assert rules.for_media_type("image/png").for_media_type("text/html").rules == rules.rules


def test_the_window_is_the_longest_reach_of_a_body_rule(compiled: Make) -> None:
    rules = [
        compiled(id="t.short", pattern="ab"),
        compiled(id="t.given", pattern="a+", max_length=50),
        compiled(id="t.url", pattern="a{90}", targets=["url"]),
        compiled(id="t.characters", pattern="a{20}", unicode=True),
    ]
    assert [rule.max_length for rule in rules] == [2, 50, 90, 80]
    assert compiled(pattern="a+").max_length == compiled(pattern="a{1,99999}").max_length == 4096
    assert RuleSet(rules).window == 80
    assert RuleSet([]).window == 0


@pytest.mark.parametrize(
    ("unicode", "text", "fires"),
    [
        (False, b"abc", False),
        (False, b"abcd", True),
        (False, "éa".encode(), False),
        (False, "éé".encode(), True),
        (True, "ééé".encode(), False),
        (True, "éééé".encode(), True),
    ],
)
def test_sizes(compiled: Make, unicode: bool, text: bytes, fires: bool) -> None:
    rules = RuleSet([compiled(targets=["size"], max_size=3, unicode=unicode)])
    assert rules.scan_size(len(text), text) == (list(rules.rules) if fires else [])


def test_a_size_without_its_text_is_taken_in_bytes(compiled: Make) -> None:
    rules = RuleSet([compiled(targets=["size"], max_size=3, unicode=True)])
    assert rules.scan_size(4) == list(rules.rules)


def test_in_order_rules_are_those_that_redact(compiled: Make) -> None:
    rules = RuleSet(
        [
            compiled(id="t.merged", pattern="a", action="redact"),
            compiled(id="t.second", pattern="b", action="redact", in_order=True),
            compiled(id="t.first", pattern="a", action="redact", in_order=True),
            compiled(id="t.logs", pattern="a", action="log", in_order=True),
            compiled(id="t.monitors", pattern="a", action="redact", mode="monitor", in_order=True),
        ]
    )
    assert [rule.id for rule in rules.in_order_rules] == ["t.second", "t.first"]


@pytest.mark.parametrize(
    ("keys", "text", "expected"),
    [
        pytest.param({"pattern": "a+"}, b"xaaxa", b"x[REDACTED]x[REDACTED]", id="every match"),
        pytest.param({"pattern": "k=(?P<secret>a)"}, b"k=a", b"k=[REDACTED]", id="the secret alone"),
        pytest.param({"pattern": "."}, b"", b"", id="nothing"),
        pytest.param({"pattern": "é", "unicode": True}, "aéa".encode(), b"a[REDACTED]a", id="characters"),
        pytest.param({"pattern": "a", "keywords": ["k"]}, b"a", b"a", id="no keyword"),
        pytest.param({"pattern": "[0-9]+", "validator": "luhn"}, b"1 2", b"1 2", id="refused"),
    ],
)
def test_substitute(compiled: Make, keys: dict[str, object], text: bytes, expected: bytes) -> None:
    rule = compiled(action="redact", **keys)
    assert RuleSet([rule]).substitute(rule, text, REPLACEMENT) == expected
