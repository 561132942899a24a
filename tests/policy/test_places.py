"""The places of a rule: no match begins elsewhere, whatever is known of its pattern by then."""

import os
import threading
import time

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy import places
from icapd.policy.places import Places, Regions

REACH = 64
TEXT = b"." * 700 + b" key = 1234; api_key: 99 " + b"." * 700 + b"the key is 5678 " + b"." * 700


def made(pattern: bytes, *, keywords: tuple[bytes, ...] = (), is_word_list: bool = False) -> Places:
    """The places of a rule, with all that finds them ready."""
    made = Places(pattern, False, keywords, REACH, is_word_list=is_word_list)
    for expressions in (made._beginnings, made._locator, made._keywords):
        if expressions:
            places._prepared.prepare(expressions)
    return made


def regions_of(pattern: bytes, text: bytes = TEXT, **known: tuple[bytes, ...]) -> Regions:
    return made(pattern, **known).regions(text, 0, len(text))


KEYS = [TEXT.index(b"key ="), TEXT.index(b"key:"), TEXT.index(b"key is")]


def test_where_a_word_stands_that_matches_begin_with() -> None:
    assert regions_of(rb"key\b.{0,9}\d{2}") == [(at, at + 1) for at in KEYS]


def test_where_a_word_with_a_zero_byte_stands() -> None:
    text = b"ke" + b"." * 700 + b"ke\x00y1" + b"." * 700
    assert regions_of(rb"ke\x00y\d", text) == [(702, 703)]


def test_around_what_a_match_has_to_hold() -> None:
    (first, last) = regions_of(rb"[a-z]{3} is \d{4}")[0]
    at = TEXT.index(b"key is")
    assert first <= at < last
    assert last - first < 2 * len(b"key is 5678")


def test_where_words_are_many_around_what_else_a_match_has_to_hold() -> None:
    text = b"key " * 300 + b"key=1 " + b"key " * 300
    assert regions_of(rb"key=\d", text) == [(1200, 1201)]


def test_around_keywords_where_nothing_is_known_of_the_pattern() -> None:
    text = b"." * 900 + b"token" + b"." * 900
    unknown = Places(None, False, (b"token",), REACH, is_word_list=False)
    places._prepared.prepare(unknown._keywords)
    assert unknown.regions(text, 0, len(text)) == [(905 - REACH, 905 + REACH + 1)]


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        pytest.param(rb"[a-z]", b"a" * 5000, id="places without number"),
        pytest.param(rb"ke", b"ke" * 5000, id="words without number"),
        pytest.param(rb"\mkey", TEXT, id="a pattern that only regex understands"),
        pytest.param(rb"key", b"key" * 9, id="a short text"),
    ],
)
def test_everywhere(pattern: bytes, text: bytes) -> None:
    assert regions_of(pattern, text) == [(0, len(text))]


def test_everywhere_until_it_is_known_where() -> None:
    asked = Places(rb"once[0-9]{3}", False, (), REACH, is_word_list=False)
    answers = [asked.regions(TEXT, 0, len(TEXT))]
    deadline = time.monotonic() + 60
    while answers[-1] and time.monotonic() < deadline:
        answers.append(asked.regions(TEXT, 0, len(TEXT)))
    assert answers[0] == [(0, len(TEXT))]
    assert answers[-1] == []


EXPRESSION = ((b"once[0-9]{3}", 0),)


def is_made(prepared: places._Prepared) -> bool:
    """Whether a pass that is asked for is there in the end."""
    deadline = time.monotonic() + 60
    while prepared.get(EXPRESSION) is None and time.monotonic() < deadline:
        pass
    return prepared.get(EXPRESSION) is not None


def test_forked_process_makes_what_was_not_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places._prepared, "_passes", {EXPRESSION: None})
    # As if a thread were at work.
    monkeypatch.setattr(places._prepared, "_is_working", True)
    with places._prepared._lock:
        child = os.fork()
        if not child:
            os._exit(0 if is_made(places._prepared) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_where_no_thread_can_be_had_the_next_who_asks_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared, other = places._Prepared(), ((b"other", 0),)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        assert prepared.get(EXPRESSION) is None
    assert prepared.get(other) is None
    assert is_made(prepared)


def _refuse(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_no_more_passes_are_kept_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_REMEMBERED", 3)
    prepared = places._Prepared()
    for number in range(20):
        prepared.get(((b"word%d" % number, 0),))
        assert len(prepared._passes) <= 3
        assert len(prepared._waiting) <= 3


PIECES = st.sampled_from(
    rb"""a ab (?:ab|c) b? b{2} (?:ab){1,2} (?<=a)b (?<!a)b (?=c) \b [ab] [^a] . (?>ab) a{2,20} [abc]{0,3}
    (?:(?<=c)a|bc) (?:a|b(?:c|a)) (?<=ab) b?? (?i:aB)""".split()
)


@given(
    st.lists(PIECES, min_size=1, max_size=4).map(b"".join),
    st.lists(st.sampled_from([b"a", b"b", b"c", b"A", b".", b"." * 99]), max_size=20).map(b"".join),
    st.integers(0, 40),
    st.booleans(),
)
def test_no_match_begins_elsewhere(pattern: bytes, text: bytes, start: int, is_word_list: bool) -> None:
    text += b"." * 600 + text
    stop = len(text) - start
    try:
        matches = regex.finditer(pattern, text, overlapped=True)
        begins = [match.start() for match in matches if start <= match.start() < stop]
    except regex.error:
        return
    regions = made(pattern, is_word_list=is_word_list).regions(text, start, stop)
    assert regions == sorted(regions)
    for begin in begins:
        assert any(first <= begin < last for first, last in regions), (pattern, text, regions)
