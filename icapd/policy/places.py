"""Where in a text a rule is worth being run: where its matches begin, around what one of them has to hold.

`regex` takes 10 to 100 ns for each byte that it is run on; to find these places takes less than one.
"""

import os
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

import hyperscan

from icapd.policy.beginnings import beginnings
from icapd.policy.one_pass import Expression, OnePass, as_locator, compile_database, escaped
from icapd.policy.relaxed import searchable, shortest_length

#: Places that are told apart; a text with more of them is looked at everywhere.
MAX_PLACES = 2000
# So many are tried, rather than to look for what else a match has to hold.
_FEW = 12
# Bytes. In a shorter text there is nothing to be saved.
_SHORT = 512
# Databases of single rules that are kept, also for the rules of the next reload.
_REMEMBERED = 4096

Regions = list[tuple[int, int]]


class Places:
    """The places of one rule. Databases are made when they are first asked."""

    __slots__ = ("_beginnings", "_behind", "_keywords", "_length", "_locator", "_longest", "_reach")

    def __init__(
        self,
        pattern: bytes | None,
        ignore_case: bool,
        keywords: Iterable[bytes],
        reach: int | None,
        *,
        is_word_list: bool,
    ) -> None:
        """`reach`: bytes that a match and all it depends on may span; None where that is not known.

        `pattern`: None where nothing is known of it. `is_word_list`: it is best found by the words it holds.
        """
        words = sorted(beginnings(pattern) or ()) if pattern is not None else []
        self._beginnings = tuple((escaped(word.text), hyperscan.HS_FLAG_CASELESS) for word in words)
        # How far in front of the end of each word a match begins.
        self._behind = tuple(len(word.text) - word.begin for word in words)
        self._longest = max((len(word.text) for word in words), default=0)
        locator = None if pattern is None or is_word_list else as_locator(pattern, ignore_case)
        self._locator: tuple[Expression, ...] = (locator,) if locator is not None else ()
        # How far in front of what is located a match begins at most.
        self._length = reach
        if pattern is not None and locator is not None and reach is not None:
            self._length = min(reach, shortest_length(pattern) or reach)
        if is_word_list and words:
            keywords = ()
        self._keywords = tuple((escaped(word), hyperscan.HS_FLAG_CASELESS) for word in sorted(keywords))
        self._reach = reach

    def regions(self, text: bytes, start: int, stop: int) -> Regions:
        """Stretches of the text in which all matches begin that count and begin from `start` up to `stop`.

        A stretch of one byte is a place where one may begin.
        """
        if stop - start < _SHORT:
            return [(start, stop)]
        begins = self._begins_in(text, start, stop) if self._beginnings else None
        if begins is None:
            return self._around(text, start, stop)
        if len(begins) > _FEW and self._locator:
            begins = [
                begin
                for first, last in self._around(text, start, stop)
                for begin in begins[bisect_left(begins, first) : bisect_left(begins, last)]
            ]
        return [(begin, begin + 1) for begin in begins]

    def _begins_in(self, text: bytes, start: int, stop: int) -> list[int] | None:
        """The places at which a word stands that matches begin with; None where they are not known."""
        first = max(0, start - self._longest)
        ends = _ends(self._beginnings, text[first : stop + self._longest])
        if ends is None:
            return None
        begins = {first + end - self._behind[number] for end, number in ends}
        return sorted(begin for begin in begins if start <= begin < stop)

    def _around(self, text: bytes, start: int, stop: int) -> Regions:
        """The stretches around what the rule is seen by."""
        reach = self._reach
        if reach is None:
            return [(start, stop)]
        first = max(0, start - reach)
        seen = searchable(text[first : stop + reach])
        ends = None
        if self._locator:
            before, behind, ends = self._length or reach, 0, _ends(self._locator, seen)
        if ends is None and self._keywords:
            before, behind, ends = reach, reach, _ends(self._keywords, seen)
        if ends is None:
            return [(start, stop)]
        return _merged((first + end for end, _ in ends), before, behind, start, stop)


def _merged(places: Iterable[int], before: int, behind: int, start: int, stop: int) -> Regions:
    """Stretches from so many bytes before to so many behind each of the places."""
    regions: Regions = []
    for place in places:
        # A match of no length begins where it ends.
        begin, until = max(place - before, start), min(place + behind + 1, stop)
        if regions and begin <= regions[-1][1]:
            regions[-1] = (regions[-1][0], max(until, regions[-1][1]))
        elif begin < until:
            regions.append((begin, until))
    return regions


def _ends(expressions: tuple[Expression, ...], text: bytes) -> list[tuple[int, int]] | None:
    """Where the expressions end; None where Hyperscan can't take them (yet), or they are everywhere."""
    one_pass = _prepared.get(expressions)
    return None if one_pass is None else one_pass.ends(text, MAX_PLACES)


class _Prepared:
    """Passes over few expressions. To make one can take 100 ms: a thread does it, while others are served."""

    def __init__(self) -> None:
        self._passes: dict[tuple[Expression, ...], OnePass | None] = {}
        self._waiting: deque[tuple[Expression, ...]] = deque()
        self.forget_unfinished()

    def forget_unfinished(self) -> None:
        """A process that was forked has no thread that works, and perhaps a lock that one held."""
        self._passes = {key: one_pass for key, one_pass in self._passes.items() if one_pass is not None}
        self._waiting.clear()
        self._lock = threading.Lock()
        self._is_working = False

    def get(self, expressions: tuple[Expression, ...]) -> OnePass | None:
        """None as long as there is none."""
        try:
            return self._passes[expressions]
        except KeyError:
            self._ask_for(expressions)
            return None

    def _ask_for(self, expressions: tuple[Expression, ...]) -> None:
        with self._lock:
            if len(self._waiting) >= _REMEMBERED:
                return
            while len(self._passes) >= _REMEMBERED:
                del self._passes[next(iter(self._passes))]
            self._passes[expressions] = None
            self._waiting.append(expressions)
            if not self._is_working:
                # Where no thread can be had, the next who asks tries again.
                with suppress(RuntimeError):
                    threading.Thread(target=self._work, daemon=True).start()
                    self._is_working = True

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_working = False
                    return
                expressions = self._waiting.popleft()
            self.prepare(expressions)

    def prepare(self, expressions: tuple[Expression, ...]) -> None:
        """Make the pass now. There is none over what Hyperscan can't take."""
        with suppress(hyperscan.error):
            one_pass = OnePass(compile_database(expressions))
            with self._lock:
                self._passes[expressions] = one_pass


_prepared = _Prepared()
os.register_at_fork(after_in_child=_prepared.forget_unfinished)
