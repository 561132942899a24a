"""Texts that a pattern matches, drawn from its tree."""

import re._constants as sre  # type: ignore[import-not-found]
import string
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from icapd.policy.parsed import MAXREPEAT, REPEATS

#: What stands for "any character": what such sets are written for, tokens, draws most from these.
_COMMON = string.ascii_letters + string.digits
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_EVERY_BYTE = "".join(map(chr, range(0x100)))
_WORD = _COMMON + "_"
_CLASSES = {
    sre.CATEGORY_DIGIT: string.digits,
    sre.CATEGORY_WORD: _WORD,
    sre.CATEGORY_SPACE: " \t\n\r\f\v",
    sre.CATEGORY_NOT_DIGIT: _EVERY_BYTE.translate({ord(digit): None for digit in string.digits}),
    sre.CATEGORY_NOT_WORD: _EVERY_BYTE.translate({ord(letter): None for letter in _WORD}),
    sre.CATEGORY_NOT_SPACE: _EVERY_BYTE.translate(dict.fromkeys(map(ord, " \t\n\r\f\v"))),
}
#: Characters of a large range that are looked at.
_MAX_RANGE = 256
#: Rounds that a repeat makes beyond its least number, at most.
_EXTRA_ROUNDS = 3


class Sampler:
    """Draws texts for parts of a tree. Looking around is not seen to: whoever asks tries the text."""

    def __init__(self, seed: str) -> None:
        """Equal seeds draw equal texts."""
        self._random = Random(seed)  # noqa: S311 (examples, not secrets)
        self._groups: dict[int, str] = {}

    def text(self, items: Iterable[tuple[Any, Any]]) -> str:
        """A text for a whole pattern."""
        self._groups.clear()
        return self.part(items)

    def part(self, items: Iterable[tuple[Any, Any]]) -> str:
        """A text for some items of a pattern; back-references take up what was drawn before."""
        return "".join(self._item(op, argument) for op, argument in items)

    def _item(self, op: Any, argument: Any) -> str:
        if op is sre.LITERAL:
            return chr(argument)
        if op in (sre.NOT_LITERAL, sre.ANY, sre.IN):
            return self._one(characters(op, argument))
        if op in REPEATS:
            least, most, inner = argument
            extra = 0 if most == MAXREPEAT or most > least + _EXTRA_ROUNDS else most - least
            rounds = least + self._random.randint(0, extra or _EXTRA_ROUNDS) if most > least else least
            return "".join(self.part(inner) for _ in range(rounds))
        if op is sre.SUBPATTERN:
            number, *_, inner = argument
            text = self.part(inner)
            if number is not None:
                self._groups[number] = text
            return text
        if op is sre.BRANCH:
            return self.part(self._random.choice(argument[1]))
        if op is sre.ATOMIC_GROUP:
            return self.part(argument)
        if op is sre.GROUPREF:
            return self._groups.get(argument, "")
        if op is sre.GROUPREF_EXISTS:
            number, present, absent = argument
            return self.part(present if number in self._groups else absent or ())
        return ""  # anchors and lookaround take no room

    def _one(self, among: str) -> str:
        usual = [character for character in among if character in _COMMON]
        usual = usual or [character for character in among if character in _PRINTABLE]
        return self._random.choice(usual or among or "\0")


def characters(op: Any, argument: Any) -> str:
    """Those that a single item matches, as far as they are looked at: large ranges show their beginning."""
    if op is sre.LITERAL:
        return chr(argument)
    if op is sre.NOT_LITERAL:
        return _EVERY_BYTE.translate({argument: None})
    if op is sre.ANY:
        return _EVERY_BYTE.translate({ord("\n"): None})
    negated = argument[0][0] is sre.NEGATE
    members = "".join(_members(argument))
    return _EVERY_BYTE.translate(dict.fromkeys(map(ord, members))) if negated else members


def _members(items: Iterable[tuple[Any, Any]]) -> Iterator[str]:
    for op, argument in items:
        if op is sre.LITERAL:
            yield chr(argument)
        elif op is sre.RANGE:
            first, last = argument
            yield "".join(map(chr, range(first, min(last, first + _MAX_RANGE) + 1)))
        elif op is sre.CATEGORY:
            yield _CLASSES[argument]
