"""The worst texts that can be thought of for a pattern: what it repeats, over and over."""

import re._constants as sre  # type: ignore[import-not-found]
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from icapd.policy.parsed import REPEATS, parse_loosely
from icapd.policy.sampling import Sampler, characters

#: Rounds of a repeat from which on it is worth being driven.
_MIN_ROUNDS = 4
#: Rounds of one driven repeat where several of them go in turn.
_ROUNDS_IN_TURN = 40
#: Texts of a rule that are tried: its first repeats, and its most contested characters.
_MAX_REPEATS, _MAX_CHARACTERS, _MAX_EXAMPLES = 16, 6, 4
#: Characters of the literals that stand in front of a text.
_MAX_LITERALS = 100
#: What hardly any pattern goes on with; a line feed, because many negated sets stop there.
_BREAK = "\0\n"
_SINGLE = frozenset({sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN})
#: Characters of a piece that a description shows.
_SHOWN = 24


@dataclass(frozen=True, slots=True)
class AttackText:
    """A text of any size: `head`, then `unit` over and over, then `tail`."""

    description: str
    head: str = field(repr=False)
    unit: str = field(repr=False)
    tail: str = field(repr=False)

    def of_size(self, size: int) -> str:
        """About so many characters."""
        rounds = max(1, (size - len(self.head) - len(self.tail)) // len(self.unit))
        return self.head + self.unit * rounds + self.tail


def attack_texts(pattern: str, examples: Sequence[str], keywords: Sequence[str]) -> Iterator[AttackText]:
    """Texts for a pattern, each of them once; `examples` are texts that it matches."""
    seen: set[tuple[str, str]] = set()
    tree = parse_loosely(pattern)
    pieces = [*_of_examples(examples, keywords), *(_of_tree(tree, pattern) if tree is not None else ())]
    frames = _frames(tree, pattern) if tree is not None else [("", _BREAK)]
    for description, head, unit in pieces:
        if unit and (head, unit) not in seen:
            seen.add((head, unit))
            for lead, tail in frames:
                yield AttackText(description, lead + head, unit, tail)


def _frames(tree: Any, seed: str) -> list[tuple[str, str]]:
    """What stands before and behind a text.

    `regex` gives up at once on a text without a literal that a match needs. So a match stands behind, whole
    or all but its end, or the literals stand in front, backwards, where they are of no use.
    """
    whole = Sampler(seed).text(tree)
    literals = _BREAK.join(reversed(list(_literals(tree))))[:_MAX_LITERALS] + _BREAK
    frames = [("", whole), ("", _BREAK + whole), ("", _BREAK), ("", whole[:-1]), (literals, _BREAK)]
    return list(dict.fromkeys(frames))


def _literals(items: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    """Runs of literal characters that no repeat is around."""
    run = ""
    for op, argument in items:
        if op is sre.LITERAL:
            run += chr(argument)
            continue
        if run:
            yield run
        run = ""
        if op is sre.SUBPATTERN:
            yield from _literals(argument[-1])
        elif op is sre.BRANCH:
            for branch in argument[1]:
                yield from _literals(branch)
    if run:
        yield run


def _of_examples(examples: Sequence[str], keywords: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for number, text in enumerate(examples[:_MAX_EXAMPLES], 1):
        yield f"its match example {number} over and over", "", text
        yield f"its match example {number} without its last character over and over", "", text[:-1]
    for keyword in keywords[:_MAX_EXAMPLES]:
        yield f"{_shown(keyword)} over and over", "", keyword
        yield f"{_shown(keyword + ' ')} over and over", "", keyword + " "


def _of_tree(tree: Any, seed: str) -> Iterator[tuple[str, str, str]]:
    repeats = list(islice(_repeats(tree, "", Sampler(seed)), _MAX_REPEATS))
    for head, unit, most in repeats:
        yield from _driven(head, unit, most)
    for contested in _contested(tree):
        yield from _driven("", contested, _ROUNDS_IN_TURN)
        for head, _, most in repeats[:_MAX_CHARACTERS]:
            yield from _driven(head, contested, most)


def _driven(head: str, unit: str, most: int) -> Iterator[tuple[str, str, str]]:
    yield f"{_shown(unit)} over and over", "", unit
    if head:
        yield f"{_shown(head)}, then {_shown(unit)} over and over", head, unit
        yield f"{_shown(head + unit)} over and over", "", head + unit
        in_turn = head + unit * min(most, _ROUNDS_IN_TURN)
        yield f"{_shown(head)} and {_shown(unit)} in turn", "", in_turn


def _repeats(items: Iterable[tuple[Any, Any]], head: str, sampler: Sampler) -> Iterator[tuple[str, str, int]]:
    """Each repeat worth driving: a way to it, one round of it, its most rounds."""
    for op, argument in items:
        if op in REPEATS:
            _, most, inner = argument
            if most >= _MIN_ROUNDS:
                yield head, sampler.part(inner), most
            yield from _repeats(inner, head, sampler)
        elif op is sre.SUBPATTERN:
            yield from _repeats(argument[-1], head, sampler)
        elif op is sre.BRANCH:
            for branch in argument[1]:
                yield from _repeats(branch, head, sampler)
        elif op is sre.ATOMIC_GROUP:
            yield from _repeats(argument, head, sampler)
        elif op in (sre.ASSERT, sre.ASSERT_NOT):
            yield from _repeats(argument[1], head, sampler)
        head += sampler.part([(op, argument)])


def _contested(tree: Any) -> list[str]:
    """Characters that several repeated items match: with them the pattern has to try who takes which."""
    claims: dict[str, set[int]] = {}
    for number, claimed in enumerate(_repeated_sets(tree)):
        for character in claimed:
            claims.setdefault(character, set()).add(number)
    by_claimants: dict[frozenset[int], str] = {}
    for character in sorted(claims, key=lambda item: (-len(claims[item]), not item.isalnum(), item)):
        by_claimants.setdefault(frozenset(claims[character]), character)
    return list(by_claimants.values())[:_MAX_CHARACTERS]


def _repeated_sets(items: Iterable[tuple[Any, Any]], *, repeated: bool = False) -> Iterator[str]:
    for op, argument in items:
        if op in _SINGLE:
            if repeated:
                yield characters(op, argument)
        elif op in REPEATS:
            yield from _repeated_sets(argument[2], repeated=True)
        elif op is sre.SUBPATTERN:
            yield from _repeated_sets(argument[-1], repeated=repeated)
        elif op is sre.BRANCH:
            for branch in argument[1]:
                yield from _repeated_sets(branch, repeated=repeated)
        elif op is sre.ATOMIC_GROUP:
            yield from _repeated_sets(argument, repeated=repeated)


def _shown(piece: str) -> str:
    return repr(piece) if len(piece) <= _SHOWN else f"{piece[:_SHOWN]!r}..."
