"""The words that every match begins with."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy import load_policy
from icapd.policy.beginnings import beginnings

TABLE = [
    pytest.param(rb"sk_[a-z]{9}", {(b"sk_", 0)}, id="up to the first set"),
    pytest.param(rb"(?i)KEY", {(b"key", 0)}, id="in any case"),
    pytest.param(rb"(?<![a-z])\b(?:ghp|gho)_x", {(b"ghp_x", 0), (b"gho_x", 0)}, id="alternatives"),
    pytest.param(rb"colou?r", {(b"color", 0), (b"colour", 0)}, id="what may be left out"),
    pytest.param(rb"(?:x-)?api.", {(b"api", 0), (b"x-api", 0)}, id="also at the beginning"),
    pytest.param(rb"-{5}BEGIN", {(b"-----begin", 0)}, id="repeated"),
    pytest.param(rb"(?:ab){2,3}c", {(b"abab", 0)}, id="repeated more than so often"),
    pytest.param(rb"g[lh]_", {(b"gl_", 0), (b"gh_", 0)}, id="a small set"),
    pytest.param(rb"(?<=token=)[0-9a-f]{32}", {(b"token=", 6)}, id="what is looked behind for"),
    pytest.param(rb"(?:(?<=id:)\d|sk)", {(b"id:", 3), (b"sk", 0)}, id="in a branch"),
    pytest.param(rb"(?:(?<!x)|(?<=\\n))key", {(b"key", 0), (b"\\nkey", 2)}, id="or not there"),
    pytest.param(rb"(?:key|keys)=", {(b"key=", 0), (b"keys=", 0)}, id="each to its end"),
    pytest.param(rb"(?:key|keyring)[0-9]", {(b"key", 0)}, id="a word in a longer one tells enough"),
    pytest.param(rb"[0-9]{4}-key", None, id="a set"),
    pytest.param(rb"a?[bcdef]key", None, id="perhaps a set"),
    pytest.param(rb"(?:key|)[0-9]", None, id="nothing"),
    pytest.param(rb"a[0-9]", None, id="a letter is no word"),
    pytest.param(rb"\mkey", None, id="what only regex understands"),
    pytest.param(rb"\u0100key", None, id="a character that is no byte"),
    pytest.param(rb"key\\{e<=1}", None, id="fuzzy behind a backslash"),
]


@pytest.mark.parametrize(("pattern", "expected"), TABLE)
def test_beginnings(pattern: bytes, expected: set[tuple[bytes, int]] | None) -> None:
    assert beginnings(pattern) == expected


def test_too_many_words_are_as_long_as_can_be_told() -> None:
    words = beginnings(b"(?:ab|cd|ef|gh|ij|kl|mn){9}")
    assert words is not None
    assert {len(word.text) for word in words} == {6}


PIECES = st.sampled_from(
    rb"""a ab (?:ab|c) (?:a|) b? b{2} (?:ab){1,2} (?<=a)b (?<=ab) (?<!a)b (?=c) \b [ab] [^a] . (?:(?<=c)a|bc)
    (?>ab) (?P<x>ab) (?i:aB) (?:(?<=ab)|(?<!b)) (?:a|b(?:c|a)) (?:aab|ab)c""".split()
)


@given(st.lists(PIECES, min_size=1, max_size=4).map(b"".join), st.text("abcAB ", max_size=12).map(str.encode))
def test_one_of_the_words_stands_where_a_match_begins(pattern: bytes, text: bytes) -> None:
    try:
        found = regex.finditer(pattern, text, overlapped=True)
        starts = [match.start() for match in found]
    except regex.error:
        return
    words = beginnings(pattern)
    for start in starts if words is not None else ():
        lowered = text.lower()
        assert any(
            start >= word.begin and lowered.startswith(word.text, start - word.begin) for word in words or ()
        )


def test_most_shipped_credentials_have_such_words() -> None:
    rules = [rule for rule in load_policy("rules").response.rules if rule.id.startswith("credentials.")]
    patterns = [rule.pattern.pattern for rule in rules if rule.pattern is not None and not rule.unicode]
    assert len(patterns) > 100
    assert sum(beginnings(pattern) is not None for pattern in patterns) > 0.9 * len(patterns)
