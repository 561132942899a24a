"""A pattern's parse tree written in Hyperscan's syntax, so that it matches no less.

What only asserts is left out, a reference matches anything, and long and nested repetitions lose their upper
bound.
"""

import re
import re._constants as sre  # type: ignore[import-not-found]
from collections.abc import Callable, Iterable
from typing import Any

from icapd.policy.parsed import ASSERTIONS, REPEATS

# Repetitions of one byte that are counted; beyond, and of what is longer, any number will do. Chosen by what
# the shipped rules take to compile and to look for.
_MAX_COUNT = 16
# The same of a group that takes no more than so many characters to write, such as a digit with a blank.
_MAX_SMALL_COUNT, _SMALL = 12, 48

#: A byte that no expression matches: it can stand between texts that are looked through together. A text has
#: its neighbour in its place. UTF-8 has neither of them.
SEPARATOR, NEIGHBOUR = 0xFF, 0xFE
_ANYTHING = r"[\x00-\xfe]*"
_BYTES = frozenset(range(256))
_DIGITS = frozenset(b"0123456789")
_BLANKS = frozenset(b" \t\n\r\f\v")
_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_CATEGORIES = {
    sre.CATEGORY_DIGIT: _DIGITS,
    sre.CATEGORY_NOT_DIGIT: _BYTES - _DIGITS,
    sre.CATEGORY_SPACE: _BLANKS,
    sre.CATEGORY_NOT_SPACE: _BYTES - _BLANKS,
    sre.CATEGORY_WORD: _WORD,
    sre.CATEGORY_NOT_WORD: _BYTES - _WORD,
}
#: What matches one byte.
SINGLES = frozenset({sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY})
# Of what only asserts, this costs nothing to tell.
_BOUNDARIES = {sre.AT_BOUNDARY: r"\b", sre.AT_NON_BOUNDARY: r"\B"}


class UnknownMeaning(Exception):
    """The pattern has something whose meaning is not known here."""


def written(items: Iterable[tuple[Any, Any]], is_dotall: bool) -> str:
    """The items of a parse tree; UnknownMeaning where one is not understood.

    `is_dotall`: a dot may be a line feed, too.
    """
    return "".join(_item(op, argument, is_dotall) for op, argument in items)


def _item(op: Any, argument: Any, is_dotall: bool) -> str:
    write = _WRITERS.get(op)
    if write is not None:
        return write(argument, is_dotall)
    if op in REPEATS:
        return _repeat(argument, is_dotall)
    if op in ASSERTIONS:
        return _BOUNDARIES.get(argument, "") if op is sre.AT else ""
    raise UnknownMeaning


def _any(_: Any, is_dotall: bool) -> str:
    return _class(_BYTES if is_dotall else _BYTES - {ord("\n")})


def _branch(argument: Any, is_dotall: bool) -> str:
    return f"(?:{'|'.join(written(branch, is_dotall) for branch in argument[1])})"


def _group(argument: Any, is_dotall: bool) -> str:
    _, added, removed, items = argument
    is_dotall = (is_dotall or bool(added & re.DOTALL)) and not removed & re.DOTALL
    flags = "i" if added & re.IGNORECASE else "-i" if removed & re.IGNORECASE else ""
    return f"(?{flags}:{written(items, is_dotall)})"


def _repeat(argument: Any, is_dotall: bool) -> str:
    least, most, items = argument
    item = written(items, is_dotall)
    if not item:
        return ""
    is_single = len(items) == 1 and items[0][0] in SINGLES
    limit = _MAX_COUNT if is_single else _MAX_SMALL_COUNT if len(item) <= _SMALL else 1
    least = min(least, limit)
    return f"(?:{item}){{{least},{'' if most > limit else most}}}"


def byte_set(members: Iterable[tuple[Any, Any]]) -> frozenset[int]:
    """The bytes that a set stands for."""
    found: set[int] = set()
    negated = False
    for op, argument in members:
        if op is sre.NEGATE:
            negated = True
        elif op is sre.LITERAL:
            found.add(argument)
        elif op is sre.RANGE:
            found.update(range(argument[0], argument[1] + 1))
        elif op is sre.CATEGORY:
            found |= _CATEGORIES[argument]
        else:
            raise UnknownMeaning
    return _BYTES - found if negated else frozenset(found)


def _class(members: frozenset[int]) -> str:
    """A set of bytes, in ranges."""
    if SEPARATOR in members:
        members = members - {SEPARATOR} | {NEIGHBOUR}
    if not members:
        raise UnknownMeaning
    ranges: list[tuple[int, int]] = []
    for byte in sorted(members):
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1] = (ranges[-1][0], byte)
        else:
            ranges.append((byte, byte))
    return "[" + "".join(f"\\x{first:02x}-\\x{last:02x}" for first, last in ranges) + "]"


_WRITERS: dict[Any, Callable[[Any, bool], str]] = {
    sre.LITERAL: lambda byte, _: f"\\x{min(byte, NEIGHBOUR):02x}",
    sre.NOT_LITERAL: lambda byte, _: _class(_BYTES - {byte}),
    sre.IN: lambda members, _: _class(byte_set(members)),
    sre.ANY: _any,
    sre.BRANCH: _branch,
    sre.SUBPATTERN: _group,
    sre.ATOMIC_GROUP: lambda items, is_dotall: f"(?:{written(items, is_dotall)})",
    sre.GROUPREF: lambda _, __: _ANYTHING,
}
