"""Keywords written out in a pattern."""

import regex
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy.words import PLACEHOLDER, expanded


def test_a_pattern_without_the_placeholder_stays() -> None:
    assert expanded(r"a\L<others>", ["b"]) == r"a\L<others>"


def test_what_words_have_in_common_is_written_once() -> None:
    assert expanded(PLACEHOLDER, ["slack", "stripe", "slackbot"]) == "(?:s(?:lack(?:bot|)|tripe))"


WORDS = st.lists(st.text("ab.-", min_size=1, max_size=5), min_size=1, max_size=8)


@given(WORDS, st.text("ab.-", max_size=7))
def test_exactly_the_words_match(words: list[str], text: str) -> None:
    assert bool(regex.fullmatch(expanded(PLACEHOLDER, words), text)) == (text in words)


@given(WORDS, st.text("ab.-", max_size=12))
def test_the_longest_word_is_taken(words: list[str], text: str) -> None:
    match = regex.match(expanded(PLACEHOLDER, words), text)
    longest = max((word for word in words if text.startswith(word)), key=len, default=None)
    assert (match and match[0]) == longest
