"""Patterns compiled, and as trees: Python's own parser reads what it knows of the language of `regex`."""

import re
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as sre_parser  # type: ignore[import-not-found]
import warnings
from typing import Any

import regex

from icapd.policy.faults import RuleFault

#: Items that are repeated, and how: `(least, most, inner)` is the argument of each.
REPEATS = frozenset({sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT})
#: What stands for no byte.
ASSERTIONS = frozenset({sre.AT, sre.ASSERT, sre.ASSERT_NOT})
#: `most` of a repeat without a bound.
MAXREPEAT: int = sre.MAXREPEAT

#: Fuzzy matching of `regex` (`{e<=1}`, `{i}`), which Python's parser takes for literal braces.
FUZZY = re.compile(r"(?<!\\)(?:\\\\)*\{[^{}]*[ides][^{}]*\}")
# Characters that a match has at least: `regex` writes them all out, which takes memory.
_MAX_SHORTEST = 100_000
_NAMED_CLASS = re.compile(r"\\[pP]\{\^?\w+\}")


def compiled(key: str, source: str | bytes, flags: int = 0) -> "regex.Pattern[Any]":
    """The pattern that stands under a key of a rule; RuleFault when it is none."""
    tree = parse(source)
    if tree is not None and (shortest := tree.getwidth()[0]) > _MAX_SHORTEST:
        raise RuleFault(key, f"matches nothing shorter than {shortest} characters; repeat less often")
    try:
        return regex.compile(source, regex.VERSION0 | flags)
    # Of flags that don't go together, or with bytes, `regex` tells by a ValueError.
    except (regex.error, ValueError, RecursionError, MemoryError) as error:
        raise RuleFault(key, f"no regular expression: {error or type(error).__name__}") from None


def parse(pattern: str | bytes) -> Any | None:
    """The items of the pattern, each `(operation, argument)`; None for what only `regex` understands.

    That is named classes, fuzzy matching, recursion, flags in the middle.
    """
    if FUZZY.search(pattern if isinstance(pattern, str) else pattern.decode("latin-1")):
        return None
    try:
        with warnings.catch_warnings():
            # Sets that would nest in version 1 of `regex`: they are taken as in version 0.
            warnings.simplefilter("ignore", FutureWarning)
            return sre_parser.parse(pattern)
    except (re.error, OverflowError, RecursionError):
        return None


def parse_loosely(pattern: str) -> Any | None:
    """The items of a pattern much like this one, to draw texts from.

    Classes such as `\\p{L}` become `\\w`; groups named `secret`, which may be several, lose the name.
    """
    pattern = _NAMED_CLASS.sub(r"\\w", pattern).replace("(?P<secret>", "(")
    return parse(pattern)
