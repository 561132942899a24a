"""Word lists in patterns: `\\L<keywords>` stands for any of the rule's keywords."""

from collections.abc import Iterable, Sequence
from itertools import takewhile

import regex

#: As the `regex` library spells its own lists of words.
PLACEHOLDER = r"\L<keywords>"


def expanded(pattern: str, keywords: Sequence[str]) -> str:
    """The pattern with the keywords written out, so that what they have in common is compared once."""
    return pattern.replace(PLACEHOLDER, f"(?:{_choice(sorted(set(keywords)))})")


def _choice(words: Sequence[str]) -> str:
    """Any of the words, which are sorted; of words that begin alike the longest that is there."""
    branches: dict[str, list[str]] = {}
    for word in words:
        branches.setdefault(word[:1], []).append(word)
    # The empty word comes first in order, and last in the choice.
    return "|".join(_branch(members) for members in _longest_first(branches.values()))


def _branch(words: list[str]) -> str:
    # Of sorted words the first and the last have the least in common.
    shared = "".join(a for a, _ in takewhile(_alike, zip(words[0], words[-1], strict=False)))
    rest = [word[len(shared) :] for word in words]
    return regex.escape(shared, literal_spaces=True) + (f"(?:{_choice(rest)})" if any(rest) else "")


def _longest_first(branches: Iterable[list[str]]) -> list[list[str]]:
    return sorted(branches, key=lambda members: members == [""])


def _alike(pair: tuple[str, str]) -> bool:
    return pair[0] == pair[1]
