"""How far a pattern can reach: the most bytes or characters that one match and its lookaround touch.

A stream holds back that much, so an answer that is too large costs memory and delay, and one that is too
small would miss matches: everything counts its longest form, lookaround and boundaries add to it.
"""

import math
import re
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as sre_parser  # type: ignore[import-not-found]
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

#: Patterns whose parsing is remembered: each is asked about several times, and again by the next reload.
REMEMBERED_PATTERNS = 4096
# `$` sees the end, or a line break and the end behind it; every other anchor one neighbour.
_ANCHOR_WIDTHS = {sre.AT_END: 2}
#: Fuzzy matching of `regex` (`{e<=1}`, `{i}`), which Python's parser takes for literal braces.
FUZZY = re.compile(r"(?<!\\)\{[^{}]*[ides][^{}]*\}")
_ONE = frozenset({sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY, sre.RANGE, sre.CATEGORY})
_REPEATS = frozenset({sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT})


@lru_cache(maxsize=REMEMBERED_PATTERNS)
def longest_reach(pattern: str) -> int | None:
    """The longest reach in units of the pattern (bytes or characters); None when unbounded or unknown.

    Python's own parser reads the pattern. What only the `regex` library understands (named classes, fuzzy
    matching, recursion, flags in the middle) it refuses, and the rule then has to say its `max_length`.
    """
    if FUZZY.search(pattern):
        return None
    try:
        with warnings.catch_warnings():
            # Sets that would nest in version 1 of `regex`: the width of a set is one either way.
            warnings.simplefilter("ignore", FutureWarning)
            parsed = sre_parser.parse(pattern)
    except (re.error, OverflowError, RecursionError):
        return None
    reach = _sequence(parsed, {})
    return None if math.isinf(reach) else int(reach)


def _sequence(items: Iterable[tuple[Any, Any]], groups: dict[int, float]) -> float:
    return sum(_item(op, argument, groups) for op, argument in items)


def _item(op: Any, argument: Any, groups: dict[int, float]) -> float:
    """The reach of one parsed item; `groups` collects the reach of each group for back-references to it."""
    if op in _ONE:
        return 1
    if op in _REPEATS:
        _, most, item = argument
        reach = _sequence(item, groups)
        return reach and reach * (math.inf if most == sre.MAXREPEAT else most)
    if op is sre.SUBPATTERN:
        number, *_, item = argument
        groups[number] = _sequence(item, groups)
        return groups[number]
    if op is sre.BRANCH:
        return max(_sequence(branch, groups) for branch in argument[1])
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return _sequence(argument[1], groups)
    if op is sre.ATOMIC_GROUP:
        return _sequence(argument, groups)
    if op is sre.AT:
        return _ANCHOR_WIDTHS.get(argument, 1)
    if op is sre.GROUPREF:
        return groups.get(argument, math.inf)
    return math.inf
