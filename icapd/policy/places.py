"""Where in a text a rule is worth being run: where its pattern may match, else around its keywords.

`regex` takes 10 to 100 ns for each byte that it is run on; to find these places takes less than one.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import hyperscan

from icapd.policy.one_pass import Expression, OnePass, as_locator, compile_database
from icapd.policy.relaxed import searchable

#: Places that are told apart; a text with more of them is looked at everywhere.
MAX_PLACES = 2000
# Bytes. In a shorter text there is nothing to be saved.
_SHORT = 2048
# Databases of single rules that are kept, also for the rules of the next reload.
_REMEMBERED = 4096

Regions = list[tuple[int, int]]


class Places:
    """The places of one rule. Databases are made when they are first asked."""

    __slots__ = ("_keywords", "_locator", "_reach")

    def __init__(
        self, pattern: bytes | None, ignore_case: bool, keywords: Iterable[bytes], reach: int | None
    ) -> None:
        """`reach`: bytes that a match and all it depends on may span; None where that is not known.

        `pattern`: None where its keywords are what to look for.
        """
        self._keywords = tuple((re.escape(word), hyperscan.HS_FLAG_CASELESS) for word in sorted(keywords))
        self._reach = reach
        self._locator: tuple[Expression, ...] = ()
        if pattern is not None:
            locator = as_locator(pattern, ignore_case)
            self._locator = (locator,) if locator else ()

    def regions(self, text: bytes, start: int, stop: int) -> Regions:
        """Stretches of the text in which all matches begin that count and begin from `start` up to `stop`."""
        reach = self._reach
        if reach is None or stop - start < _SHORT:
            return [(start, stop)]
        first = max(0, start - reach)
        seen = searchable(text[first : stop + reach])
        ends = None
        if self._locator:
            # All of a match up to the end that was found lies within its reach.
            behind, ends = 0, _ends(self._locator, seen)
        if ends is None and self._keywords:
            behind, ends = reach, _ends(self._keywords, seen)
        if ends is None:
            return [(start, stop)]
        return _merged(ends, first, reach, behind, start, stop)


def _merged(ends: Sequence[int], first: int, reach: int, behind: int, start: int, stop: int) -> Regions:
    regions: Regions = []
    for end in ends:
        place = first + end
        # A match of no length begins where it ends.
        begin, until = max(place - reach, start), min(place + behind + 1, stop)
        if regions and begin <= regions[-1][1]:
            regions[-1] = (regions[-1][0], max(until, regions[-1][1]))
        elif begin < until:
            regions.append((begin, until))
    return regions


def _ends(expressions: tuple[Expression, ...], text: bytes) -> list[int] | None:
    """Where the expressions end; None where Hyperscan can't take them, or they are everywhere."""
    found = _pass(expressions)
    return None if found is None else found.ends(text, MAX_PLACES)


@lru_cache(_REMEMBERED)
def _pass(expressions: tuple[Expression, ...]) -> OnePass | None:
    try:
        return OnePass(compile_database(expressions))
    except hyperscan.error:
        return None
