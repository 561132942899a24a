"""A pattern made simpler for Hyperscan: it matches wherever the pattern does, and more.

What only asserts is dropped, and so is what looks around, unless it does so at an end of the pattern;
`hyperscan_syntax` makes repetitions and references simpler. Hyperscan could take most of that itself, but
needs up to a second for one pattern then.
"""

import re
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as sre_parser  # type: ignore[import-not-found]
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from icapd.policy.hyperscan_syntax import SINGLES, UnknownMeaning, byte_set, written
from icapd.policy.parsed import ASSERTIONS, FUZZY, REPEATS
from icapd.policy.width import longest_match

# Bytes of so many kinds tell something, and so many of those bytes are enough to look for.
_FEW_KINDS, _ENOUGH = 16, 4
_AROUND = frozenset({sre.ASSERT, sre.ASSERT_NOT})


def searchable(text: bytes) -> bytes:
    """The text as expressions look for it: without the separator."""
    return text.replace(b"\xff", b"\xfe")


def together(texts: Sequence[bytes]) -> bytes:
    """Several texts as one in which no expression matches across them."""
    joined = b"\xff".join(texts)
    return joined if joined.count(b"\xff") < len(texts) else b"\xff".join(map(searchable, texts))


def relaxed(pattern: bytes, *, most: int | None = None, shortest: bool = False) -> bytes | None:
    """The pattern, which is one over bytes, for Hyperscan; None when there is no telling what it matches.

    `most`: bytes that it matches of the text of a match; of a pattern that takes more it has the beginning.
    `shortest`: it ends as soon as a match may end.
    What only the `regex` library understands Python's parser, which reads the pattern, refuses.
    """
    try:
        parsed = _parsed(pattern)
        is_dotall, is_caseless = (bool(parsed.state.flags & flag) for flag in (re.DOTALL, re.IGNORECASE))
        text = _whole(list(parsed), is_dotall, most, shortest)
    except (re.error, OverflowError, RecursionError, FutureWarning, UnknownMeaning):
        return None
    return (f"(?i:{text})" if is_caseless else text).encode("ascii")


def shortest_length(pattern: bytes) -> int | None:
    """Bytes from where a match begins to the end of what `relaxed` makes of the pattern with `shortest`.

    So many at most; None where there is no bound. The pattern is one that `relaxed` understands.
    """
    return longest_match(_shortened(list(_parsed(pattern))))


def _parsed(pattern: bytes) -> Any:
    if FUZZY.search(pattern.decode("latin-1")):
        raise UnknownMeaning
    with warnings.catch_warnings():
        # Sets that would nest in `regex`, such as [[:alpha:]].
        warnings.simplefilter("error", FutureWarning)
        return sre_parser.parse(pattern)


def _whole(items: list[tuple[Any, Any]], is_dotall: bool, most: int | None, shortest: bool) -> str:
    """A whole pattern: what must stand right in front of a match or behind it takes part."""
    if shortest:
        while items and items[-1][0] in _AROUND:
            items.pop()
        return written(_shortened(_trimmed(_opened(items))), is_dotall)
    longest = None if most is None else longest_match(items)
    if most is not None and (longest is None or longest > most):
        written(items, is_dotall)  # What is cut off must be understood too.
        return written(_trimmed(_beginning(items, most)), is_dotall)
    after = ""
    while items and items[-1][0] in _AROUND:
        op, argument = items.pop()
        if op is sre.ASSERT and argument[0] > 0:
            after = after or written(argument[1], is_dotall)
    return written(_trimmed(_opened(items)), is_dotall) + after


def _beginning(items: Iterable[tuple[Any, Any]], left: int) -> list[tuple[Any, Any]]:
    """As much of a sequence as surely takes no more than so many bytes; what it looks at aside."""
    kept: list[tuple[Any, Any]] = []
    for op, argument in items:
        longest = longest_match([(op, argument)])
        if longest is not None and longest <= left:
            kept.append((op, argument))
            left -= longest
            continue
        if op is sre.SUBPATTERN:
            kept.append((op, (*argument[:3], _beginning(argument[3], left))))
        elif op is sre.ATOMIC_GROUP:
            kept.append((op, _beginning(argument, left)))
        elif op is sre.BRANCH:
            kept.append((op, (argument[0], [_beginning(branch, left) for branch in argument[1]])))
        elif op in REPEATS:
            least, _, inner = argument
            one = longest_match(inner)
            times = min(least, left // one) if one else 0
            kept += [(op, (times, times, inner))] if times else _beginning(inner, left) if least else []
        break
    return kept


def _opened(items: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """A sequence with what it looks behind for at its beginning as a part of it."""
    for number, (op, argument) in enumerate(items):
        if op is sre.ASSERT and argument[0] < 0:
            return [*argument[1], *items[number + 1 :]]
        if op in ASSERTIONS:
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
    while rest and (rest[0][0] in ASSERTIONS or _is_broad(*rest[0])):
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
    if op in REPEATS:
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
        elif op in REPEATS:
            count += argument[0] * _narrow_bytes(argument[2])
        elif op in SINGLES and not _is_broad(op, argument):
            count += 1
    return count


def _shortened(items: Sequence[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """A sequence that ends as soon as it may: the last repetition is as short as it can be."""
    kept = list(items)
    while kept and kept[-1][0] in ASSERTIONS:
        kept.pop()
    if not kept:
        return kept
    op, argument = kept.pop()
    if op in REPEATS:
        least, _, inner = argument
        return [*kept, (op, (least, least, inner))] if least else _shortened(kept)
    if op is sre.SUBPATTERN:
        argument = (*argument[:3], _shortened(argument[3]))
    elif op is sre.ATOMIC_GROUP:
        argument = _shortened(argument)
    elif op is sre.BRANCH:
        argument = (argument[0], [_shortened(branch) for branch in argument[1]])
    return [*kept, (op, argument)]
