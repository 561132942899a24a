"""The reach of a pattern: no match and no look around it may ever go further."""

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from icapd.policy.width import longest_reach

CASES = [
    pytest.param("abc", 3, id="literal"),
    pytest.param("[a-z]{2,5}x?", 6, id="repeats"),
    pytest.param("a{3,4000}?", 4000, id="lazy repeat"),
    pytest.param("(?>ab|c)d{2}+", 4, id="atomic group and possessive repeat"),
    pytest.param("(?:one|three|)", 5, id="branches"),
    pytest.param(r"(a{3})\1", 6, id="back-reference"),
    pytest.param(r"\bab\b", 4, id="a boundary sees its neighbour"),
    pytest.param("a$", 3, id="the end is seen behind a line break"),
    pytest.param("(?<=abc)d(?=ef)", 6, id="lookaround"),
    pytest.param("(?!abc)d(?<!ef)", 6, id="negative lookaround"),
    pytest.param("(?:){5}", 0, id="nothing, repeated"),
    pytest.param("(?:)*", 0, id="nothing, repeated for ever"),
    pytest.param("[[:alpha:]]", 2, id="a set that would nest, at its widest"),
    pytest.param("(a)(?(1)b|cd)", None, id="conditions are not worked out"),
    pytest.param("a+", None, id="unbounded"),
    pytest.param("(?:a{1,9}){2,}", None, id="unbounded outside"),
    pytest.param("(?:a*){3}", None, id="unbounded inside"),
    pytest.param("(?=.*a)b", None, id="unbounded lookaround"),
    pytest.param(r"\p{Lu}", None, id="only regex understands it"),
    pytest.param("(?:abc){i<=9}", None, id="fuzzy"),
    pytest.param("a(?i)b", None, id="flags in the middle"),
]


@pytest.mark.parametrize(("pattern", "expected"), CASES)
def test_reach(pattern: str, expected: int | None) -> None:
    assert longest_reach(pattern) == expected


ATOMS = st.sampled_from(["a", "b", "[ab]", ".", r"\b", "(?=a)", "(?<=b)", "(?!ab)", "(?<!a)", "$"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.integers(0, 2), st.integers(0, 2)).map(
            lambda parts: f"(?:{parts[0]}){{{parts[1]},{parts[1] + parts[2]}}}"
        ),
    ),
    max_leaves=8,
)


@given(PATTERNS, st.text("ab \n", max_size=24), st.text("ab \n", max_size=9), st.text("ab \n", max_size=9))
@settings(max_examples=300, deadline=None)
def test_what_is_further_away_than_the_reach_changes_nothing(
    pattern: str, text: str, before: str, behind: str
) -> None:
    reach = longest_reach(pattern)
    assert reach is not None
    compiled = regex.compile(pattern)
    for start in range(len(text) + 1):
        found = compiled.match(text, start)
        if found is None or start < reach or found.end() + reach > len(text):
            continue
        assert found.end() - start <= reach
        elsewhere = compiled.match(before + text[start - reach : start + reach] + behind, len(before) + reach)
        assert elsewhere is not None
        assert elsewhere[0] == found[0]
