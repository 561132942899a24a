"""RE2 in the language of `regex`: the same matches, the secret named."""

import re

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from icapd.policy.importing.re2 import Translation, UnsupportedSyntax, translate

CASES = [
    pytest.param("abc", "abc", id="literals"),
    pytest.param("(?:a|b)+?", "(?:a|b)+?", id="lazy"),
    pytest.param("key_([a-z]{4})", "key_(?P<secret>[a-z]{4})", id="the first group is the secret"),
    pytest.param("(a)(b)", "(?P<secret>a)(?:b)", id="only the first"),
    pytest.param("(a)|x(b)", "(?P<secret>a)|x(?P<secret>b)", id="the first of each alternative"),
    pytest.param("(?P<x>a)(?<y>b)", "(?P<secret>a)(?:b)", id="names"),
    pytest.param("a(?i)b|c", "a(?i:b)|(?i:c)", id="flags in the middle hold to the end of the group"),
    pytest.param("(?:a(?i)b)c", "(?:a(?i:b))c", id="and no further"),
    pytest.param("(?i:a(?-i)b)", "(?i:a(?-i:b))", id="flags switched off"),
    pytest.param("a(?s).", "a(?s:.)", id="dot takes line feeds"),
    pytest.param("(?U)a+b*?", "a+?b*", id="greedy and lazy swapped"),
    pytest.param("^a$", r"\Aa\Z", id="the ends of the text"),
    pytest.param("(?m)^a$", "(?m:^a$)", id="the ends of lines"),
    pytest.param(r"\Aa\z", r"\Aa\Z", id="the very end"),
    pytest.param("a{,5}", r"a\{,5\}", id="braces that are no repeat"),
    pytest.param(r"\Qa.b\E+", r"a\.b+", id="quoted"),
    pytest.param(r"\Qa.", r"a\.", id="quoted to the end"),
    pytest.param("[[:alnum:]_]", "[0-9A-Za-z_]", id="named set"),
    pytest.param("[[:^digit:]]", r"[\x00-/:-\x7f\x80-\xff]", id="negated named set"),
    pytest.param("[]a-]", r"[\]a\-]", id="bracket first, dash last"),
    pytest.param("[a&&b]", r"[a\&\&b]", id="no operators in sets"),
    pytest.param(r"\x41\x{42}\103", "ABC", id="code points"),
    pytest.param("é+", r"(?:\xc3\xa9)+", id="outside ASCII: the bytes"),
    pytest.param(r"[\w.-]{0,50}?key=(\w+)", r"key=(?P<secret>\w+)", id="idle beginning"),
    pytest.param(r"[\w.-]{0,50}?key", r"[\w.\-]{0,50}?key", id="which stays where all is the secret"),
]


@pytest.mark.parametrize(("source", "pattern"), CASES)
def test_translation(source: str, pattern: str) -> None:
    translation = translate(source)
    assert translation == Translation(pattern, ignore_case=False, unicode=False)
    regex.compile(pattern.encode())


@pytest.mark.parametrize(
    ("source", "pattern"),
    [
        pytest.param(r"\pL\p{Greek}\P{^Nd}", r"\p{L}\p{Greek}\p{Nd}", id="classes"),
        pytest.param("[à-ü]", r"[\xe0-\xfc]", id="range"),
        pytest.param(r"\d[\w-]é\pL", r"[0-9][0-9A-Za-z_\-]\xe9\p{L}", id="beside classes of ASCII"),
    ],
)
def test_characters_are_matched_where_bytes_can_not_be(source: str, pattern: str) -> None:
    assert translate(source) == Translation(pattern, ignore_case=False, unicode=True)


def test_boundaries_are_those_of_ascii() -> None:
    pattern = regex.compile(translate(r"\bé\pL\B.\b.").pattern)
    assert pattern.search("aéb1 ")
    assert not pattern.search("ééb1 ")


def test_flags_at_the_beginning_are_the_rules_own() -> None:
    assert translate("(?i)a(?-i)b") == Translation("a(?-i:b)", ignore_case=True, unicode=False)
    assert translate("(?i)é").unicode


def test_secret_group_is_chosen_by_number() -> None:
    assert translate("(a)(b)", secret_group=2).pattern == "(?:a)(?P<secret>b)"
    assert translate("(a)(b)", secret_group=None).pattern == "(?:a)(?:b)"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("(a", "the bracket at character 1 is not closed"),
        ("a)", "a closing bracket too many at character 2"),
        ("[a", "the set at character 1 is not closed"),
        ("a**", "a repeat of a repeat at character 3"),
        ("a{3}{4}", "a repeat of a repeat at character 5"),
        ("*a", "nothing to repeat at character 1"),
        ("a{2000}", "above 1000"),
        ("a{5,2}", "out of order"),
        ("(?=a)", "'(?=a' at character 1 is not RE2"),
        (r"(a)\1", r"'\\1' at character 4"),
        (r"\C", r"'\\C' at character 1"),
        ("\\", "at character 1 can't be carried over"),
        ("[z-a]", "range z-a is out of order"),
        ("[[:nope:]]", "there is no class [:nope:]"),
        (r"\x{110000}", "above the last character"),
    ],
)
def test_what_is_no_re2_is_refused(source: str, problem: str) -> None:
    with pytest.raises(UnsupportedSyntax, match=re.escape(problem)):
        translate(source)


def test_group_that_is_not_there() -> None:
    with pytest.raises(UnsupportedSyntax, match="it has 1 groups, so there is no group 2"):
        translate("(a)", secret_group=2)


# What RE2 and Python's `re` have in common, and mean alike.
ATOMS = st.sampled_from(["a", "b", "-", "[ab]", "[^a]", ".", r"\w", r"\d", r"\b", r"\.", "[a-c-]", "(?i:B)"])
QUANTIFIERS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "*?", "{0,2}?"])
PATTERNS = st.recursive(
    ATOMS.filter(lambda atom: atom != r"\b").flatmap(lambda atom: QUANTIFIERS.map(lambda q: atom + q))
    | ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
    ),
    max_leaves=6,
)


@given(PATTERNS, st.text("abcB-. 1\n", max_size=12))
@settings(max_examples=300, deadline=None)
def test_translation_matches_the_same(source: str, text: str) -> None:
    translation = translate(source, secret_group=None)
    wanted = re.compile(source.encode(), re.ASCII).search(text.encode())
    found = regex.compile(translation.pattern.encode()).search(text.encode())
    assert (found and found.span()) == (wanted and wanted.span())


@given(st.text(max_size=40) | st.text(r"()[]{}|\^$*+?:.,-azix0123", max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_text_is_translated_or_refused(source: str) -> None:
    try:
        translation = translate(source)
    except UnsupportedSyntax:
        return
    pattern = translation.pattern
    try:
        regex.compile(pattern if translation.unicode else pattern.encode("ascii"))
    except regex.error:
        # A property that `regex` has no name for: the rule's check says so.
        assert r"\p{" in pattern or r"\P{" in pattern
