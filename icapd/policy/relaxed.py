"""A pattern made simpler for Hyperscan: it matches wherever the pattern does, and more.

What only asserts is dropped, and so is what looks around, unless it does so at an end of the pattern;
references match anything, long and nested repetitions lose their upper bound. Hyperscan could take most of
that itself, but needs up to a second for one pattern then.
"""

import re
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as sre_parser  # type: ignore[import-not-found]
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from icapd.policy.parsed import FUZZY
from icapd.policy.width import longest_match

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
# Bytes of so many kinds tell something, and so many of those bytes are enough to look for.
_FEW_KINDS, _ENOUGH = 16, 4
_REPEATS = frozenset({sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT})
# Of what only asserts, this costs nothing to tell.
_BOUNDARIES = {sre.AT_BOUNDARY: r"\b", sre.AT_NON_BOUNDARY: r"\B"}
_AROUND = frozenset({sre.ASSERT, sre.ASSERT_NOT})
_ASSERTIONS = frozenset({sre.AT, *_AROUND})


class _Unknown(Exception):
    """The pattern has something whose meaning is not known here."""


def searchable(text: bytes) -> bytes:
    """The text as expressions look for it: without the separator."""
    return text.replace(b"\xff", b"\xfe")


def together(texts: Iterable[bytes]) -> bytes:
    """Several texts as one in which no expression matches across them."""
    return b"\xff".join(map(searchable, texts))


def relaxed(pattern: bytes, *, shortest: bool = False) -> bytes | None:
    """The pattern, which is one over bytes, for Hyperscan; None when there is no telling what it matches.

    `shortest`: it ends as soon as a match may end.
    What only the `regex` library understands Python's parser, which reads the pattern, refuses.
    """
    try:
        parsed = _parsed(pattern)
        is_dotall, is_caseless = (bool(parsed.state.flags & flag) for flag in (re.DOTALL, re.IGNORECASE))
        text = _whole(list(parsed), is_dotall, shortest)
    except (re.error, OverflowError, RecursionError, FutureWarning, _Unknown):
        return None
    return (f"(?i:{text})" if is_caseless else text).encode("ascii")


def shortest_length(pattern: bytes) -> int | None:
    """Bytes from where a match begins to the end of what `relaxed` makes of the pattern with `shortest`.

    So many at most; None where there is no bound. The pattern is one that `relaxed` understands.
    """
    return longest_match(_shortened(list(_parsed(pattern))))


def _parsed(pattern: bytes) -> Any:
    if FUZZY.search(pattern.decode("latin-1")):
        raise _Unknown
    with warnings.catch_warnings():
        # Sets that would nest in `regex`, such as [[:alpha:]].
        warnings.simplefilter("error", FutureWarning)
        return sre_parser.parse(pattern)


def _whole(items: list[tuple[Any, Any]], is_dotall: bool, shortest: bool) -> str:
    """A whole pattern: what must stand right in front of a match or behind it takes part."""
    after = ""
    while items and items[-1][0] in _AROUND:
        op, argument = items.pop()
        if op is sre.ASSERT and argument[0] > 0 and not shortest:
            after = after or _sequence(argument[1], is_dotall)
    items = _trimmed(_opened(items))
    return _sequence(_shortened(items) if shortest else items, is_dotall) + after


def _opened(items: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """A sequence with what it looks behind for at its beginning as a part of it."""
    for number, (op, argument) in enumerate(items):
        if op is sre.ASSERT and argument[0] < 0:
            return [*argument[1], *items[number + 1 :]]
        if op in _ASSERTIONS:
            continue
        inner = argument
        if op is sre.SUBPATTERN:
            inner = (*argument[:3], _opened(list(argument[3])))
        elif op is sre.BRANCH:
            branches = [_opened(list(branch)) for branch in argument[1]]
            # Where only some have something to tell, it is no more than what may be there.
            inner = (argument[0], branches) if all(map(_narrow_bytes, branches)) else argument
        return [*items[:number], (op, inner), *items[number + 1 :]]
    return items


def _trimmed(items: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """A sequence without what nearly every text has and a match may begin with, unless too little is left."""
    rest = items
    while rest and (rest[0][0] in _ASSERTIONS or _is_broad(*rest[0])):
        rest = rest[1:]
    if not rest:
        return items
    op, argument = rest[0]
    if op is sre.SUBPATTERN:
        rest = [(op, (*argument[:3], _trimmed(list(argument[3])))), *rest[1:]]
    elif op is sre.BRANCH:
        rest = [(op, (argument[0], [_trimmed(list(branch)) for branch in argument[1]])), *rest[1:]]
    return rest if _narrow_bytes(rest) >= _ENOUGH else items


def _is_broad(op: Any, argument: Any) -> bool:
    """Whether it may be left out, or is a byte, or a row of bytes, of many kinds."""
    if op in _REPEATS:
        least, _, inner = argument
        return least == 0 or (len(inner) == 1 and _is_broad(*inner[0]))
    return op in {sre.ANY, sre.NOT_LITERAL} or (op is sre.IN and len(byte_set(argument)) > _FEW_KINDS)


def _narrow_bytes(items: Iterable[tuple[Any, Any]]) -> int:
    """How many bytes of few kinds a match has at least."""
    count = 0
    for op, argument in items:
        if op is sre.SUBPATTERN:
            count += _narrow_bytes(argument[3])
        elif op is sre.ATOMIC_GROUP:
            count += _narrow_bytes(argument)
        elif op is sre.BRANCH:
            count += min(map(_narrow_bytes, argument[1]))
        elif op in _REPEATS:
            count += argument[0] * _narrow_bytes(argument[2])
        elif op in _SINGLES and not _is_broad(op, argument):
            count += 1
    return count


def _shortened(items: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """A sequence that ends as soon as it may: the last repetition is as short as it can be."""
    kept = list(items)
    while kept and kept[-1][0] in _ASSERTIONS:
        kept.pop()
    if not kept:
        return kept
    op, argument = kept.pop()
    if op in _REPEATS:
        least, _, inner = argument
        return [*kept, (op, (least, least, inner))] if least else _shortened(kept)
    if op is sre.SUBPATTERN:
        argument = (*argument[:3], _shortened(argument[3]))
    elif op is sre.ATOMIC_GROUP:
        argument = _shortened(argument)
    elif op is sre.BRANCH:
        argument = (argument[0], [_shortened(branch) for branch in argument[1]])
    return [*kept, (op, argument)]


def _sequence(items: Iterable[tuple[Any, Any]], is_dotall: bool) -> str:
    return "".join(_item(op, argument, is_dotall) for op, argument in items)


def _item(op: Any, argument: Any, is_dotall: bool) -> str:
    write = _WRITERS.get(op)
    if write is not None:
        return write(argument, is_dotall)
    if op in _REPEATS:
        return _repeat(argument, is_dotall)
    if op in _ASSERTIONS:
        return _BOUNDARIES.get(argument, "") if op is sre.AT else ""
    raise _Unknown


def _any(_: Any, is_dotall: bool) -> str:
    return _class(_BYTES if is_dotall else _BYTES - {ord("\n")})


def _branch(argument: Any, is_dotall: bool) -> str:
    return f"(?:{'|'.join(_sequence(branch, is_dotall) for branch in argument[1])})"


def _group(argument: Any, is_dotall: bool) -> str:
    _, added, removed, items = argument
    is_dotall = (is_dotall or bool(added & re.DOTALL)) and not removed & re.DOTALL
    flags = "i" if added & re.IGNORECASE else "-i" if removed & re.IGNORECASE else ""
    return f"(?{flags}:{_sequence(items, is_dotall)})"


def _repeat(argument: Any, is_dotall: bool) -> str:
    least, most, items = argument
    item = _sequence(items, is_dotall)
    if not item:
        return ""
    is_single = len(items) == 1 and items[0][0] in _SINGLES
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
            raise _Unknown
    return _BYTES - found if negated else frozenset(found)


def _class(members: frozenset[int]) -> str:
    """A set of bytes, in ranges."""
    if SEPARATOR in members:
        members = members - {SEPARATOR} | {NEIGHBOUR}
    if not members:
        raise _Unknown
    ranges: list[tuple[int, int]] = []
    for byte in sorted(members):
        if ranges and ranges[-1][1] == byte - 1:
            ranges[-1] = (ranges[-1][0], byte)
        else:
            ranges.append((byte, byte))
    return "[" + "".join(f"\\x{first:02x}-\\x{last:02x}" for first, last in ranges) + "]"


_SINGLES = frozenset({sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY})
_WRITERS: dict[Any, Callable[[Any, bool], str]] = {
    sre.LITERAL: lambda byte, _: f"\\x{min(byte, NEIGHBOUR):02x}",
    sre.NOT_LITERAL: lambda byte, _: _class(_BYTES - {byte}),
    sre.IN: lambda members, _: _class(byte_set(members)),
    sre.ANY: _any,
    sre.BRANCH: _branch,
    sre.SUBPATTERN: _group,
    sre.ATOMIC_GROUP: lambda items, is_dotall: f"(?:{_sequence(items, is_dotall)})",
    sre.GROUPREF: lambda _, __: _ANYTHING,
}
