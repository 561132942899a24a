"""Finds which of many fixed words a text holds, in one pass.

Python's own `re` runs the pass, not `regex`: over a tree of literals it is five times as fast, and on short
texts forty times as fast as one `in` after the other (93 words, 50 bytes: 0.9 µs against 14).
"""

import re
from collections.abc import Iterable
from typing import Any


class Keywords:
    """A set of lower-case words, searched for in lower-cased texts."""

    __slots__ = ("_contained", "_overlapping", "_search", "words")

    def __init__(self, words: Iterable[bytes]) -> None:
        self.words = frozenset(words)
        self._search = re.compile(_pattern(_tree(sorted(self.words))) or b"(?!)").findall
        # The pass finds the longest word at a place and goes on behind it. What it steps over stands within
        # that word, and is then surely there, or begins in it and reaches further, which takes another look.
        self._contained = {word: _parts(word) & self.words for word in self.words}
        self._overlapping = _overlaps(self.words)

    def present(self, text: bytes) -> set[bytes]:
        """The words that occur in the text, whatever its case."""
        lowered = text.lower()
        found = set(self._search(lowered))
        for word in tuple(found):
            found |= self._contained[word]
            found |= {other for other in self._overlapping[word] - found if other in lowered}
        return found


def _parts(word: bytes) -> set[bytes]:
    return {word[start:end] for start in range(len(word)) for end in range(start + 1, len(word) + 1)}


def _overlaps(words: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    """For each word those that can begin inside it and end behind it."""
    by_beginning: dict[bytes, set[bytes]] = {}
    for word in words:
        for end in range(1, len(word)):
            by_beginning.setdefault(word[:end], set()).add(word)
    return {
        word: set().union(*(by_beginning.get(word[start:], ()) for start in range(1, len(word))))
        for word in words
    }


def _tree(words: Iterable[bytes]) -> dict[int, Any]:
    """Words by their first byte, then by their second, and so on; the key -1 marks the end of a word."""
    root: dict[int, Any] = {}
    for word in words:
        node = root
        for byte in word:
            node = node.setdefault(byte, {})
        node[-1] = {}
    return root


def _pattern(node: dict[int, Any]) -> bytes:
    """The tree as a regular expression that takes the longest word at a place."""
    branches = [re.escape(bytes([byte])) + _pattern(below) for byte, below in node.items() if byte >= 0]
    if not branches:
        return b""
    if len(branches) == 1 and -1 not in node:
        return branches[0]
    return b"(?:" + b"|".join(branches) + b")" + (b"?" if -1 in node else b"")
