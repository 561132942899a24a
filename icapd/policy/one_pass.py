"""Looks for many expressions in a text at once, and says which of them occur.

Hyperscan runs the pass. What it can't do, such as looking around, is taken for granted: it finds too much,
never too little. Over the patterns of 140 credentials and 100 KB it takes 50 µs, no more than over their
keywords; but keywords such as `token` stand everywhere, and `regex` then took 10 to 100 times that to refuse.
"""

import contextlib
import re
import threading
from collections.abc import Sequence
from functools import lru_cache

import hyperscan

from icapd.policy.hyperscan_syntax import SEPARATOR
from icapd.policy.relaxed import relaxed
from icapd.policy.width import REMEMBERED_PATTERNS

#: A pattern in Hyperscan's syntax, and its flags.
Expression = tuple[bytes, int]

#: Of a pattern that begins with any of so many words, Hyperscan makes an automaton that is slower than all
#: the rest of a database; the words themselves it finds in no time.
MANY_KEYWORDS = 16

# Among some others, Hyperscan 5.4 misses a short word at the very end of a text of 17 to 34 bytes: texts
# up to so many get one byte more.
_SHORT, _END = 1024, bytes([SEPARATOR])

# An expression is reported once, however often it occurs.
_WORD = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH
_LOCATOR = hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_ALLOWEMPTY
_PATTERN = hyperscan.HS_FLAG_PREFILTER | hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_ALLOWEMPTY


@lru_cache(maxsize=REMEMBERED_PATTERNS)
def as_expression(pattern: bytes, ignore_case: bool, most: int | None = None) -> Expression | None:
    """The pattern as an expression that occurs wherever it matches; None when there is no telling.

    `most`: bytes of a match that take part, from its beginning on.
    Whether Hyperscan takes it, `compile_database` tells.
    """
    expression = relaxed(pattern, most=most)
    if expression is None:
        return None
    return expression, _PATTERN | (hyperscan.HS_FLAG_CASELESS if ignore_case else 0)


def as_locator(pattern: bytes, ignore_case: bool) -> Expression | None:
    """The pattern as an expression that is reported at each place where it may match.

    It ends as soon as a match may end, so that there are few such places.
    """
    expression = relaxed(pattern, shortest=True)
    if expression is None:
        return None
    return expression, _LOCATOR | (hyperscan.HS_FLAG_CASELESS if ignore_case else 0)


def escaped(text: bytes) -> bytes:
    """A text as a pattern that matches just it."""
    # To Hyperscan's binding, a pattern ends at a zero byte.
    return re.escape(text).replace(b"\x00", rb"\x00")


def word(text: bytes) -> Expression:
    """A word, in any case, as an expression."""
    return escaped(text), _WORD


def near_word(text: bytes) -> tuple[Expression, ...]:
    """A word in lower case where `nearness` has it begin: behind no letter, or as in `creditCard`."""
    if not text.isascii():
        return (word(text),)
    behind_no_letter = b"(?:^|[^A-Za-z])" + escaped(text), _WORD
    if not text[:1].isalpha():
        return (behind_no_letter,)
    in_camel_case = b"[a-z]" + text[:1].upper() + b"(?i:" + escaped(text[1:]) + b")"
    return behind_no_letter, (in_camel_case, hyperscan.HS_FLAG_SINGLEMATCH)


def compile_database(expressions: Sequence[Expression]) -> hyperscan.Database:
    """A database of them, numbered in their order; hyperscan.error when there is one that it can't take."""
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    patterns, flags = zip(*expressions, strict=True)
    database.compile(expressions=patterns, ids=list(range(len(patterns))), flags=flags)
    return database


class OnePass:
    """The expressions of one database."""

    __slots__ = ("_database", "_of_thread")

    def __init__(self, database: hyperscan.Database | None) -> None:
        """None: there is no expression, and none occurs."""
        self._database = database
        # A scratch is what a scan works with; two threads must not share one.
        self._of_thread = threading.local()

    def occurring(self, text: bytes) -> set[int]:
        """The numbers of the expressions that occur in the text."""
        found: set[int] = set()
        if self._database is not None:
            add = found.add
            self._database.scan(
                _ended(text), match_event_handler=lambda number, *_: add(number), scratch=self._scratch()
            )
        return found

    def ends(self, text: bytes, most: int) -> list[tuple[int, int]] | None:
        """Where in the text an expression ends, in order, each with its number.

        None when there are more than `most`.
        """
        assert self._database is not None, "there are expressions to look for"
        found: list[tuple[int, int]] = []

        def add(number: int, _start: int, end: int, *_: object) -> bool:
            found.append((end, number))
            return len(found) > most

        with contextlib.suppress(hyperscan.ScanTerminated):
            self._database.scan(_ended(text), match_event_handler=add, scratch=self._scratch())
        found.sort()
        return found if len(found) <= most else None

    def _scratch(self) -> hyperscan.Scratch:
        try:
            scratch: hyperscan.Scratch = self._of_thread.scratch
        except AttributeError:
            scratch = self._of_thread.scratch = hyperscan.Scratch(self._database)
        return scratch


def _ended(text: bytes) -> bytes:
    return text + _END if len(text) <= _SHORT else text
