"""Whether something stands close to a match: the key `near`, made ready to run."""

import itertools
import operator
from collections.abc import Iterable, Iterator

import regex

from icapd.policy.faults import RuleFault
from icapd.policy.parsed import compiled
from icapd.policy.rule import Near

#: Bytes on either side. Further away, words no longer say what a number is.
MAX_DISTANCE = 1024

# A word begins where no letter stands in front of it, or where a capital follows a small letter, as in
# `creditCard`; it ends likewise. So `pan` is found in `PAN:`, `card_pan` and `panNumber`, not in `company`.
_BEGIN = rb"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
_END = rb"(?:(?![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
_SEPARATORS = " ._-"
_SEPARATOR = rb"[ ._\-]?"


class Nearness:
    """Looks around a match. Answers from `span` bytes around it alone, so that streams stay exact."""

    __slots__ = ("_after", "_before", "_words", "literals", "span")

    def __init__(self, near: Near) -> None:
        """RuleFault when the pattern is none."""
        self._words = _compile(near)
        self._before, self._after = near.before, near.after
        #: Bytes that are looked at beyond the match, on either side: one more in front, to see a word begin.
        self.span = max(near.before + 1, near.after)
        #: Lower-case texts one of which stands wherever this holds; none when there is no telling.
        self.literals = () if near.pattern is not None else tuple(_spellings(near.words))

    def holds(self, text: bytes, start: int, end: int) -> bool:
        """Whether one of the words stands in front of the match from `start` to `end`, or behind it."""
        return bool(
            (self._before and self._words.search(text, max(0, start - self._before), start))
            or (self._after and self._words.search(text, end, end + self._after))
        )


def _spellings(words: Iterable[str]) -> Iterator[str]:
    """The words with each separator, or none, in the place of their blanks."""
    for word in words:
        first, *others = word.split(" ")
        for separators in itertools.product(("", *_SEPARATORS), repeat=len(others)):
            yield first + "".join(map(operator.add, separators, others))


def _compile(near: Near) -> "regex.Pattern[bytes]":
    words = b"|".join(_SEPARATOR.join(map(regex.escape, word.encode().split(b" "))) for word in near.words)
    choices = [_BEGIN + b"(?i:" + words + b")" + _END] if words else []
    if near.pattern is not None:
        choices.append(b"(?:" + _checked(near.pattern) + b")")
    return regex.compile(b"|".join(choices), regex.VERSION0)


def _checked(pattern: str) -> bytes:
    if not pattern.isascii():
        raise RuleFault("near.pattern", r"holds characters outside ASCII; write their UTF-8 bytes as \xNN")
    source = pattern.encode("ascii")
    compiled("near.pattern", source)
    return source
