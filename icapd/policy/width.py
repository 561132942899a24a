"""How far a pattern can reach: the most bytes or characters that one match and its lookaround touch.

A stream holds back that much, so an answer that is too large costs memory and delay, and one that is too
small would miss matches: everything counts its longest form, lookaround and boundaries add to it.
"""

import math
import re._constants as sre  # type: ignore[import-not-found]
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from icapd.policy.parsed import ASSERTIONS, MAXREPEAT, REPEATS, parse

#: Patterns whose parsing is remembered: each is asked about several times, and again by the next reload.
REMEMBERED_PATTERNS = 4096
# `$` sees the end, or a line break and the end behind it; every other anchor one neighbour.
_ANCHOR_WIDTHS = {sre.AT_END: 2}
_ONE = frozenset({sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY, sre.RANGE, sre.CATEGORY})


@lru_cache(maxsize=REMEMBERED_PATTERNS)
def longest_reach(pattern: str) -> int | None:
    """The longest reach in units of the pattern (bytes or characters); None when unbounded or unknown.

    What only the `regex` library understands can't be told, and the rule then has to say its `max_length`.
    """
    parsed = parse(pattern)
    if parsed is None:
        return None
    reach = _sequence(parsed, {})
    return None if math.isinf(reach) else int(reach)


def longest_match(items: Iterable[tuple[Any, Any]]) -> int | None:
    """The longest match of parsed items, without what it looks at around it; None when there is no bound."""
    length = _sequence(items, {}, around=False)
    return None if math.isinf(length) else int(length)


def _sequence(items: Iterable[tuple[Any, Any]], groups: dict[int, float], *, around: bool = True) -> float:
    return sum(_item(op, argument, groups, around) for op, argument in items)


def _item(op: Any, argument: Any, groups: dict[int, float], around: bool) -> float:
    """The reach of one parsed item; `groups` collects the reach of each group for back-references to it."""
    if op in _ONE:
        return 1
    if op in ASSERTIONS and not around:
        return 0
    if op in REPEATS:
        _, most, item = argument
        reach = _sequence(item, groups, around=around)
        return reach and reach * (math.inf if most == MAXREPEAT else most)
    if op is sre.SUBPATTERN:
        number, *_, item = argument
        groups[number] = _sequence(item, groups, around=around)
        return groups[number]
    if op is sre.BRANCH:
        return max(_sequence(branch, groups, around=around) for branch in argument[1])
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return _sequence(argument[1], groups, around=around)
    if op is sre.ATOMIC_GROUP:
        return _sequence(argument, groups, around=around)
    if op is sre.AT:
        return _ANCHOR_WIDTHS.get(argument, 1)
    if op is sre.GROUPREF:
        return groups.get(argument, math.inf)
    return math.inf
