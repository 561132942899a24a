"""Patterns that hold no word, such as those of numbers: whatever they match has one of a few shapes.

Each of them costs Hyperscan about as much as a thousand words do. The shapes cost as much as one pattern, and
the patterns are then looked for around them only.
"""

import re
import re._constants as sre  # type: ignore[import-not-found]
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

from icapd.policy.hyperscan_syntax import SEPARATOR, byte_set
from icapd.policy.one_pass import Expression, OnePass
from icapd.policy.parsed import ASSERTIONS, REPEATS, parse

#: Nine digits with one sign at most between two of them, which is more than a date has: where a row of digits
#: begins, and each place of a long one; two capital letters and two digits, or one and seven. For a capital
#: letter `<` may stand, which fills the lines of travel documents.
SHAPES: tuple[Expression, ...] = (
    (rb"(?:^|[^0-9])[0-9](?:[ ./-]?[0-9]){8}", 0),
    (rb"[0-9]{32}", 0),
    (rb"[A-Z<]{2}[0-9]{2}", 0),
    (rb"[A-Z<][0-9]{7}", 0),
)
#: Bytes that a pattern may reach: around the shapes of most texts there is little then.
MAX_REACH = 128
# So far behind the place that is told the shape within a match may end: in a row of digits that is not long.
_BEHIND = 64
# Where they are more, the whole text is looked through.
_MAX_PLACES = 300
# Bytes. In a shorter text there is nothing to be saved.
_SHORT = 1024

# The bytes of a pattern by their kinds, each a letter.
_HAS_SHAPE = re.compile(r"(?:D[Ss]?){8}D|UUDD|UD{7}")
_KINDS = (
    ("D", frozenset(b"0123456789")),
    ("U", frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ<")),
    ("S", frozenset(b" ./-")),
)
_OTHER = "-"
_SINGLES = frozenset({sre.LITERAL, sre.IN})
# Ways through a pattern, and bytes of one, that are looked at.
_MAX_WAYS, _MAX_COUNT = 64, 32


class ShapedPass:
    """A pass over patterns each of whose matches has a shape."""

    __slots__ = ("_patterns", "_shapes")

    def __init__(self, shapes: OnePass, patterns: OnePass) -> None:
        self._shapes = shapes
        self._patterns = patterns

    def occurring(self, text: bytes) -> set[int]:
        """The numbers of the patterns that occur in the text."""
        places = None if len(text) < _SHORT else self._shapes.ends(text, _MAX_PLACES)
        if places is None:
            return self._patterns.occurring(text)
        return self._patterns.occurring(_around(text, (end for end, _ in places))) if places else set()


def _around(text: bytes, places: Iterable[int]) -> bytes:
    """The stretches of the text around the places, told apart."""
    stretches: list[bytes] = []
    begin = until = 0
    for place in places:
        if place - MAX_REACH > until:
            stretches.append(text[begin:until])
            begin = place - MAX_REACH
        until = place + _BEHIND + MAX_REACH
    return bytes([SEPARATOR]).join([*stretches, text[begin:until]])


def has_shape(pattern: bytes) -> bool:
    """Whether each match of the pattern has one of the shapes. It is one that `relaxed` understands."""
    parsed = parse(pattern)
    if parsed is None or parsed.state.flags & re.IGNORECASE:
        return False
    return all(map(_HAS_SHAPE.search, _ways(list(parsed))))


def _ways(items: Sequence[tuple[Any, Any]]) -> list[str]:
    """The ways through a sequence, each in letters; where they are too many, one that says nothing."""
    ways = [""]
    for op, argument in items:
        if op in ASSERTIONS:
            continue
        following = _ways_of(op, argument)
        if len(ways) * len(following) > _MAX_WAYS:
            following = [_OTHER]
        ways = [way + then for way, then in product(ways, following)]
    return ways


def _ways_of(op: Any, argument: Any) -> list[str]:
    if op in _SINGLES:
        members = frozenset({argument}) if op is sre.LITERAL else byte_set(argument)
        return [next((letter for letter, kind in _KINDS if members <= kind), _OTHER)]
    if op is sre.SUBPATTERN:
        _, added, _, inner = argument
        return [_OTHER] if added & re.IGNORECASE else _ways(inner)
    if op is sre.ATOMIC_GROUP:
        return _ways(argument)
    if op is sre.BRANCH:
        return [way for branch in argument[1] for way in _ways(branch)]
    if op in REPEATS:
        return _ways_of_repeat(*argument)
    return [_OTHER]


def _ways_of_repeat(least: int, most: int, items: Sequence[tuple[Any, Any]]) -> list[str]:
    once = _ways(items)
    if (least, most) == (0, 1):
        return ["s"] if once == ["S"] else ["", *once]
    if len(once) > 1 and least > 1:
        return [_OTHER]
    ways = [way * min(least, _MAX_COUNT) for way in once]
    return ways if least == most <= _MAX_COUNT else [way + _OTHER for way in ways]
