"""Many expressions in one pass: the words that one look-up after another finds, the patterns that match."""

import re
import threading

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy import load_policy, one_pass
from icapd.policy.databases import Databases
from icapd.policy.one_pass import Expression, OnePass

# Few letters, so that words contain, begin and overlap one another.
WORDS = st.text("abc", min_size=1, max_size=4).map(str.encode)


def made(expressions: list[Expression]) -> OnePass:
    return Databases().one_pass(expressions)


def present(words: list[bytes], text: bytes) -> set[bytes]:
    numbers = made([one_pass.word(word) for word in words]).occurring(text)
    return {words[number] for number in numbers}


@given(st.lists(WORDS, unique=True, max_size=8), st.text("abcABC ", max_size=40).map(str.encode))
def test_words_as_one_look_up_after_another(words: list[bytes], text: bytes) -> None:
    assert present(words, text) == {word for word in words if word in text.lower()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"", set(), id="nothing"),
        pytest.param(b"x sk_LIVE_1", {b"sk_live_"}, id="any case"),
        pytest.param(b"-----BEGIN", {b"-----begin"}, id="signs"),
        pytest.param(b"a.*b", {b".*"}, id="signs of patterns"),
        pytest.param(b"api_key", {b"api_key", b"key", b"api"}, id="words within a word"),
        pytest.param(b"secretokens", {b"secret", b"token"}, id="words that overlap"),
    ],
)
def test_words_of_rules(text: bytes, expected: set[bytes]) -> None:
    words = [b"sk_live_", b"-----begin", b"api_key", b"api", b"key", b"secret", b"token", b".*"]
    assert present(words, text) == expected


PIECES = st.sampled_from(
    rb"""a b+ b++ (?>ab?) (?:ab|c) [a-c]{2,3} \bab (?<!a)b (?=c) \d \. c$ ^a c\Z (?P<x>a\w) \s? [^a] (?:a|$)
    (a|b)\1 (?i:aB) (?s:.) . (?:ab){2,9} [^\W\d] \S \x41 a{0,40} (?:){3} [\n-a] (?#c) b?? (?-i:A)""".split()
)
TEXT = st.text("abcABC.1 \n", max_size=12).map(str.encode)


@given(st.lists(PIECES, min_size=1, max_size=4).map(b"".join), TEXT, st.booleans())
def test_pattern_occurs_wherever_it_matches(pattern: bytes, text: bytes, ignore_case: bool) -> None:
    try:
        matches = regex.search(pattern, text, regex.IGNORECASE if ignore_case else 0) is not None
    except regex.error:
        return
    expression = one_pass.as_expression(pattern, ignore_case)
    if expression is None:
        with pytest.raises(re.error):
            re.compile(pattern)
    elif matches:
        assert made([expression]).occurring(text) == {0}


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(rb"(?:foo){e<=1}", id="fuzzy matching"),
        pytest.param(rb"\mfoo", id="an escape of regex alone"),
        pytest.param(rb"\p{L}", id="a property"),
        pytest.param(rb"\Kfoo", id="a match that begins later"),
        pytest.param(rb"[[:alpha:]]", id="a named class"),
        pytest.param(rb"a(?R)?b", id="recursion"),
        pytest.param(rb"(a)?(?(1)b|c)", id="a condition"),
        pytest.param(rb"[^\x00-\xff]", id="an empty set"),
        pytest.param(b"(" * 5000 + b"a" + b")" * 5000, id="nested without end"),
    ],
)
def test_pattern_that_may_mean_something_else_is_left_alone(pattern: bytes) -> None:
    assert one_pass.as_expression(pattern, False) is None


def test_the_shipped_patterns_can_all_be_looked_for() -> None:
    policy = load_policy("rules")
    patterns = [rule for rule in policy.rules if rule.pattern is not None and not rule.unicode]
    assert patterns
    for rule in patterns:
        assert one_pass.as_expression(rule.pattern.pattern, rule.rule.ignore_case), rule.id


def test_threads_do_not_disturb_one_another() -> None:
    passes = made([one_pass.word(b"key"), one_pass.word(b"token")])
    wrong = []

    def scan(text: bytes, expected: set[int]) -> None:
        wrong.extend(1 for _ in range(300) if passes.occurring(text) != expected)

    texts = [(b"x" * 50_000 + b"key", {0}), (b"token" + b"x" * 50_000, {1}), (b"x" * 50_000, set())]
    threads = [threading.Thread(target=scan, args=each) for each in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@given(st.lists(PIECES, min_size=1, max_size=4).map(b"".join), TEXT, st.booleans())
def test_locator_ends_within_each_match(pattern: bytes, text: bytes, ignore_case: bool) -> None:
    try:
        found = regex.search(pattern, text, regex.IGNORECASE if ignore_case else 0)
    except regex.error:
        return
    locator = one_pass.as_locator(pattern, ignore_case)
    if found is not None and locator is not None:
        ends = made([locator]).ends(text, 1000)
        assert ends is not None
        # What looks behind may make it begin earlier; it never ends later than the match.
        assert any(found.start() <= end <= found.end() for end, _ in ends)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b"card 1", True, id="alone"),
        pytest.param(b"the CARD_no", True, id="any case, as a part of a name"),
        pytest.param(b"creditCard", True, id="behind a small letter"),
        pytest.param(b"4card", True, id="behind a digit"),
        pytest.param(b"discard", False, id="within a word"),
        pytest.param(b"DISCARD", False, id="within a word of capitals"),
    ],
)
def test_word_that_must_stand_near(text: bytes, expected: bool) -> None:
    assert bool(made(list(one_pass.near_word(b"card"))).occurring(text)) is expected
