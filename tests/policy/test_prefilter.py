"""Candidates: no rule is left out that has a match, whatever the pass over all of them does not know."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy import CompiledRule, load_policy, one_pass
from icapd.policy.databases import Databases
from icapd.policy.prefilter import make_prefilter
from icapd.policy.ruleset import RuleSet

Make = Callable[..., CompiledRule]


def names(rules: list[CompiledRule], text: bytes, *, databases: Databases | None = None) -> list[str]:
    prefilter = make_prefilter(rules, databases or Databases(), "body")
    return [rule.id for rule in prefilter.candidates(text)]


CANDIDATES = [
    pytest.param({"pattern": "ab"}, b"xabx", True, id="the pattern"),
    pytest.param({"pattern": "ab"}, b"a b", False, id="not the pattern"),
    pytest.param({"pattern": "ab", "near": {"pattern": "x", "before": 5}}, b"x", False, id="near a pattern"),
    pytest.param({"pattern": "ab", "keywords": ["key"]}, b"key", False, id="a keyword alone"),
    pytest.param({"pattern": "é", "unicode": True}, b"x", True, id="characters: always"),
    pytest.param({"pattern": "é", "unicode": True, "keywords": ["key"]}, b"x", False, id="but no keyword"),
    pytest.param({"pattern": r"\mab"}, b"x", True, id="what is not known: always"),
    pytest.param({"pattern": r"\mab", "keywords": ["key"]}, b"KEY", True, id="or by its keyword"),
]


@pytest.mark.parametrize(("keys", "text", "expected"), CANDIDATES)
def test_candidates(compiled: Make, keys: dict[str, object], text: bytes, expected: bool) -> None:
    assert bool(names([compiled(**keys)], text)) is expected


def test_a_word_at_the_end_of_a_text_of_any_length(compiled: Make) -> None:
    """Of a text of 17 to 34 bytes, Hyperscan 5.4 itself misses this one."""
    patterns = ["(?i:api|secret|k1)", r"(?i:k1)[\x00-\xfe]{0,10}[0-9]{3}"]
    rules = [compiled(id=f"t.n{number}", pattern=pattern) for number, pattern in enumerate(patterns)]
    prefilter = make_prefilter(rules, Databases(), "body")
    for length in range(200):
        assert prefilter.candidates(b"." * length + b"k1") == [rules[0]]


def test_a_keyword_of_one_byte_hides_nothing(compiled: Make) -> None:
    """Once it was reported, Hyperscan 5.4 itself misses what else begins with it."""
    by_word = compiled(id="t.word", pattern=r"\m.", keywords=["a", "k1"])
    pattern = compiled(id="t.pattern", pattern=r"(?i:ab?|k[0-2])[^a].??\d{9}")
    text = b"\xbfA2\xe2\x84\xaa" + b"." * 29 + b"[K16b" + b"1" * 30
    assert names([by_word, pattern], text) == ["t.word", "t.pattern"]


def test_a_pattern_that_is_too_large_costs_the_others_nothing(compiled: Make) -> None:
    """Hyperscan refuses the whole database then, and does not say whose fault it is."""
    large = "(?:" + "|".join(f"[a-f]{{16}}{number:04}[^x]{{16}}" for number in range(3000)) + ")"
    rules = [
        compiled(id="t.large", pattern=large, max_length=99, keywords=["key"]),
        compiled(id="t.small", pattern="ab"),
    ]
    assert not Databases().takes(expression_of(rules[0]))
    assert names(rules, b"x") == []
    assert names(rules, b"ab") == ["t.small"]
    assert names(rules, b"key") == ["t.large"]


def expression_of(rule: CompiledRule) -> tuple[bytes, int]:
    assert rule.pattern is not None
    expression = one_pass.as_expression(rule.pattern.pattern, rule.rule.ignore_case)
    assert expression is not None
    return expression


def test_narrowed_prefilter_knows_some_of_the_rules(compiled: Make) -> None:
    patterns = {"t.a": "a", "t.b": "b", "t.x": r"\mx"}
    rules = [compiled(id=name, pattern=pattern) for name, pattern in patterns.items()]
    prefilter = make_prefilter(rules, Databases(), "body")
    assert [rule.id for rule in prefilter.narrowed(rules[1:]).candidates(b"ab")] == ["t.b", "t.x"]
    assert prefilter.narrowed(rules[:1]).candidates(b"b") == ()


@given(st.data())
def test_shipped_rules_find_the_same_with_and_without_the_pass(data: st.DataObject) -> None:
    policy, plain = SHIPPED
    examples = data.draw(st.lists(st.sampled_from(EXAMPLES), min_size=1, max_size=3))
    text = data.draw(st.sampled_from([" ", "\n", '","', "&", "x"])).join(examples).encode()
    for target in ("body", "url", "field"):
        assert policy.scan(target, text) == plain.scan(target, text)


_POLICY = load_policy("rules")
SHIPPED = _POLICY.request, RuleSet(_POLICY.request.rules)
EXAMPLES = sorted(
    {
        example if isinstance(example, str) else example.text
        for rule in _POLICY.request.rules
        for example in (*rule.rule.match, *rule.rule.no_match)
    }
)
