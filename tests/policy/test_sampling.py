"""Texts drawn from a pattern's tree are texts that it matches."""

import pytest
import regex

from icapd.policy.parsed import parse
from icapd.policy.sampling import Sampler

CASES = [
    pytest.param(r"abc", id="literals"),
    pytest.param(r"[a-f0-9]{32}", id="set"),
    pytest.param(r"[^a-z\s]{8}", id="negated set"),
    pytest.param(r"\d{3}-\w+\s\S\D\W", id="classes"),
    pytest.param(r"(?:one|two|three){2,5}", id="branches"),
    pytest.param(r"(?P<quote>['\"])x{0,9}(?P=quote)", id="back-reference"),
    pytest.param(r"(a)?b(?(1)c|d)", id="condition"),
    pytest.param(r"(?>a+)b++c*?", id="atomic, possessive, lazy"),
    pytest.param(r"\bkey=\w{20,}\b", id="boundaries"),
    pytest.param(r"[^\x00-\x1f]{4}[\x80-\xff]", id="bytes above ASCII"),
    pytest.param(r"(?s)a.{5}b", id="anything"),
]


@pytest.mark.parametrize("pattern", CASES)
def test_what_is_drawn_matches(pattern: str) -> None:
    sampler, tree = Sampler("seed"), parse(pattern)
    for _ in range(20):
        assert regex.search(pattern, sampler.text(tree))


def test_equal_seeds_draw_equal_texts() -> None:
    tree = parse(r"[a-z]{40}")
    assert Sampler("a").text(tree) == Sampler("a").text(tree) != Sampler("b").text(tree)


@pytest.mark.parametrize("pattern", [r"\p{L}", "a(?i)b", "(?:a){e<=1}", "(", "[[:alpha:]](?R)"])
def test_what_only_regex_understands_has_no_tree(pattern: str) -> None:
    assert parse(pattern) is None
