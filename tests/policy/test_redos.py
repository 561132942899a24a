"""The screen for patterns that blow up. Verdicts are ratios with a wide gap between them, never seconds."""

import pytest
from support.policies import RULES, demo_policy

from icapd.policy import CompiledRule, Rule, default_rules_directory, load_policy
from icapd.policy.attack_texts import attack_texts
from icapd.policy.matching import compile_rule
from icapd.policy.redos import SHORT, screen
from icapd.policy.rule import Near


def rule(pattern: str, *match: str, **keys: object) -> CompiledRule:
    fields: dict[str, object] = {"targets": ("body",), "action": "log", "severity": "low", **keys}
    return compile_rule(Rule(id="a.b", description="x", pattern=pattern, match=match, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        pytest.param(r"(?:a|aa|aaa){1,60}(?=b)", "aab", id="alternatives that begin alike"),
        pytest.param(r"(?:a+)+!x", "aa!x", id="repeat in a repeat"),
        pytest.param(r"(?:\w+\s?)+=", "ab =", id="optional separator"),
        pytest.param(r"(?:a|a)*b", "aab", id="the same twice"),
        pytest.param(r"(?:x+x+)+y", "xxy", id="neighbours that take the same"),
    ],
)
def test_pattern_that_takes_for_ever_on_a_line_is_explosive(pattern: str, example: str) -> None:
    for short in (True, False):
        screening = screen(rule(pattern, example), short=short)
        assert screening is not None
        assert (screening.verdict, screening.size) == ("explosive", SHORT)
        assert "over and over" in screening.text


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        pytest.param(r"\s*x", " x", id="leading repeat"),
        pytest.param(r"(\w+)\s+\1", "ab ab", id="back-reference"),
        pytest.param(r"[\w.]+@[\w.]+\.\w+", "a@b.c", id="address"),
        pytest.param(r"[^@]+@[^@]+\.com", "a@b.com", id="a literal that is there, but not in time"),
        pytest.param(r"(?s)/\*.*?\*/", "/**/", id="a literal that is there, but in front"),
    ],
)
def test_pattern_without_a_bound_is_super_linear(pattern: str, example: str) -> None:
    screening = screen(rule(pattern, example))
    assert screening is not None
    assert screening.verdict == "super-linear"


@pytest.mark.parametrize(
    ("pattern", "example"),
    [
        pytest.param(r"\bKEY-[A-Z]{12}\b", "KEY-ABCDEFABCDEF", id="token"),
        pytest.param(r"\A\s*+x", " x", id="anchored and possessive"),
        pytest.param(r"(?i:key)[ \t]{0,9}=", "key =", id="bounded"),
        pytest.param(r"\p{Lu}{4}", "ABCD", id="no tree, its example alone"),
    ],
)
def test_bounded_pattern_is_linear(pattern: str, example: str) -> None:
    screening = screen(rule(pattern, example, unicode="\\p" in pattern))
    assert screening is not None
    assert screening.verdict == "linear"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("allow", (r"[a-f]+\Z", r"(?:\w+\s?)+="), id="allow"),
        pytest.param("near", Near(words=("card",), pattern=r"(?:a|a)*b", before=400), id="near"),
    ],
)
def test_what_looks_at_and_around_the_secret_is_screened_too(key: str, value: object) -> None:
    screening = screen(rule(r"\bKEY-[A-Z]{12}\b", "KEY-ABCDEFABCDEF", **{key: value}))
    assert screening is not None
    assert (screening.verdict, screening.key) == ("explosive", key)


def test_field_rule_is_measured_by_the_longest_value_that_it_sees() -> None:
    screening = screen(rule(r"\s*x", " x", targets=("field",), max_value_length=100))
    assert screening is not None
    assert (screening.verdict, screening.size) == ("linear", 100)
    screening = screen(rule(r"\s*x", " x", targets=("field", "url"), max_value_length=100))
    assert screening is not None
    assert screening.verdict == "super-linear"


def test_rule_on_size_has_nothing_to_screen(tmp_path: object) -> None:
    (size_rule,) = demo_policy(tmp_path).response.size_rules  # type: ignore[arg-type]
    assert "demo.size" in RULES
    assert screen(size_rule) is None


def test_texts_grow_as_asked_and_tell_no_example() -> None:
    secret = "KEY-" + "Q7" * 20
    texts = list(attack_texts(r"KEY-(?P<secret>\w{9,60})\b", [secret], ["key-"]))
    assert texts
    for text in texts:
        assert secret not in text.description
        assert secret not in repr(text)
        assert 1000 < len(text.of_size(2048)) < 4096


@pytest.mark.parametrize(
    "pack", sorted(path.stem for path in default_rules_directory().glob("*.toml") if path.stem != "policy")
)
def test_no_shipped_rule_is_explosive(pack: str) -> None:
    policy = load_policy(default_rules_directory(), [pack])
    found = [screen(rule, short=True) for rule in policy.rules]
    assert [str(one) for one in found if one is not None and one.verdict == "explosive"] == []
