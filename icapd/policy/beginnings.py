"""The words that every match of a pattern begins with: `regex` need be asked at those places alone."""

import re._constants as sre  # type: ignore[import-not-found]
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from icapd.policy.parsed import ASSERTIONS, REPEATS, parse

# Words of one pattern, and bytes of one that are enough to find it by.
_MAX_WORDS, _LONG = 2000, 24
# A shorter word is nearly everywhere.
_MIN_LENGTH = 2
# A set of more bytes is no part of a word.
_MAX_SET = 3


class Word(NamedTuple):
    """A word, in any case, and how far into it a match begins: what is looked behind for is in it."""

    text: bytes
    begin: int


_NOTHING = frozenset({Word(b"", 0)})


def beginnings(pattern: bytes) -> frozenset[Word] | None:
    """The words; None where a match may begin with something else, or there is no telling."""
    parsed = parse(pattern)
    if parsed is None:
        return None
    words, _ = _of_sequence(list(parsed))
    if any(len(word.text) < _MIN_LENGTH for word in words):
        return None
    texts = {word: word.text for word in words}
    return frozenset(word for word in words if not _is_redundant(word, texts))


def _is_redundant(word: Word, texts: Iterable[Word]) -> bool:
    """Whether another word tells of the same places."""
    return any(Word(word.text[:length], word.begin) in texts for length in range(_MIN_LENGTH, len(word.text)))


def _of_sequence(items: Sequence[tuple[Any, Any]]) -> tuple[frozenset[Word], bool]:
    """The words that a sequence begins with, and whether each of them is all of a match."""
    words = _NOTHING
    for number, (op, argument) in enumerate(items):
        if op in ASSERTIONS:
            if number == 0 and op is sre.ASSERT and argument[0] < 0:
                words = _looked_behind(argument[1])
            continue
        following, is_whole = _of_item(op, argument)
        joined = _joined(words, following)
        if joined is None:
            return words, False
        words = joined
        if not is_whole or all(len(word.text) >= _LONG for word in words):
            return words, False
    return words, True


def _looked_behind(items: Sequence[tuple[Any, Any]]) -> frozenset[Word]:
    words, is_whole = _of_sequence(items)
    return frozenset(Word(word.text, len(word.text)) for word in words) if is_whole else _NOTHING


def _joined(words: frozenset[Word], following: frozenset[Word]) -> frozenset[Word] | None:
    """Each word with each of those that follow; None when these are too many."""
    if len(words) * len(following) > _MAX_WORDS:
        return None
    return frozenset(
        Word(word.text + then.text[then.begin :], word.begin) if word.text else then
        for word in words
        for then in following
    )


def _of_item(op: Any, argument: Any) -> tuple[frozenset[Word], bool]:
    if op is sre.LITERAL:
        return _byte(argument), True
    if op is sre.SUBPATTERN:
        return _of_sequence(argument[3])
    if op is sre.ATOMIC_GROUP:
        return _of_sequence(argument)
    if op is sre.BRANCH:
        branches = [_of_sequence(branch) for branch in argument[1]]
        return frozenset().union(*(words for words, _ in branches)), all(whole for _, whole in branches)
    if op is sre.IN and len(argument) <= _MAX_SET and all(kind is sre.LITERAL for kind, _ in argument):
        return frozenset().union(*(_byte(byte) for _, byte in argument)), True
    if op in REPEATS:
        return _of_repeat(*argument)
    return _NOTHING, False


def _of_repeat(least: int, most: int, items: Sequence[tuple[Any, Any]]) -> tuple[frozenset[Word], bool]:
    words, is_whole = _of_sequence(items)
    if least == 0:
        return words | _NOTHING, is_whole and most == 1
    every = words
    for _ in range(min(least, _LONG) - 1 if is_whole else 0):
        longer = _joined(every, words)
        if longer is None:
            return every, False
        every = longer
    return every, is_whole and least == most <= _LONG


def _byte(byte: int) -> frozenset[Word]:
    return frozenset({Word(bytes([byte]).lower(), 0)})
