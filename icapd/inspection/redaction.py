"""Taking things out of a text without breaking its format: first cut to size, then replaced."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple, Protocol

from icapd.http.transcoding import Edit
from icapd.inspection.budget import Budget
from icapd.inspection.utf8 import whole_characters
from icapd.policy import REPLACEMENT

#: The replacement where brackets have to be escaped (RFC 3986 section 2.2).
PERCENT_REPLACEMENT = REPLACEMENT.replace(b"[", b"%5B").replace(b"]", b"%5D")
#: The replacement for a number in JSON, which has to remain one.
NUMBER_REPLACEMENT = b"0"

_REST_OF_NUMBER = re.compile(rb"[0-9+\-.eE]*+")
_FORM_FIELD = re.compile(rb"[^&]++")


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a longer text; every offset is one of the longer text."""

    text: bytes = field(repr=False)
    base: int = 0

    def between(self, start: int, end: int) -> bytes:
        return self.text[start - self.base : end - self.base]

    def has_at(self, offset: int, byte: bytes) -> bool:
        return self.text.startswith(byte, offset - self.base)

    def whole_characters(self, start: int, end: int) -> tuple[int, int]:
        """As `utf8.whole_characters`."""
        start, end = whole_characters(self.text, start - self.base, end - self.base)
        return start + self.base, end + self.base

    def run(self, pattern: re.Pattern[bytes], start: int, end: int) -> int:
        """How far a pattern that matches anywhere, be it nothing, reaches from `start` towards `end`."""
        match = pattern.match(self.text, start - self.base, end - self.base)
        assert match is not None
        return match.end() + self.base


class Piece(NamedTuple):
    """A part of a text that something else is to stand for."""

    start: int
    end: int
    replacement: bytes

    @property
    def is_number(self) -> bool:
        return self.replacement == NUMBER_REPLACEMENT


class Cutter(Protocol):
    """Cuts the spans that are to go from a text of one format into pieces whose loss leaves the format whole.

    Spans come in the order of their starts.
    """

    def cut(self, passage: Passage, start: int, end: int) -> list[Piece]:
        """The pieces for one span, in order."""

    def advance(self, passage: Passage, to: int) -> None:
        """Read on up to `to`: what lies before it will not be shown again."""


class PlainCutter:
    """Any text without a format that a replacement could break."""

    def __init__(self, begin: int = 0) -> None:
        """`begin`: where the text begins in a longer one; it makes no difference here."""

    def cut(self, passage: Passage, start: int, end: int) -> list[Piece]:
        start, end = passage.whole_characters(start, end)
        return [Piece(start, end, REPLACEMENT)] if start < end else []

    def advance(self, passage: Passage, to: int) -> None:
        pass


class FormCutter(PlainCutter):
    """application/x-www-form-urlencoded, and the query of a URL: `&` stays, and so do names before values."""

    def __init__(self, begin: int = 0) -> None:
        """`begin`: where the text begins in a longer one."""
        self._begin = begin

    def cut(self, passage: Passage, start: int, end: int) -> list[Piece]:
        pieces = []
        start, end = passage.whole_characters(start, end)
        for part in _FORM_FIELD.finditer(passage.text, start - passage.base, end - passage.base):
            begin, stop = part.span()
            equals = passage.text.find(b"=", begin, stop)
            if equals > begin and (begin + passage.base == self._begin or passage.text[begin - 1] in b"?&"):
                # A whole name stands in the span: it goes only where there is no value to take.
                begin, stop = (begin, equals) if equals + 1 == stop else (equals + 1, stop)
            pieces.append(Piece(begin + passage.base, stop + passage.base, PERCENT_REPLACEMENT))
        return pieces


_START = attrgetter("start")
#: In the place of a rule's name where a budget is spent.
_REDACTION = "(redaction)"


class Redactor:
    """Writes a text with pieces of it replaced, front to back, in as many steps as the text comes in.

    With `keeps_length` as many bytes go out as come in, where the length was announced before anything was
    found: replacements are filled up, or a row of asterisks where there is no room for them.
    """

    __slots__ = ("_edits", "_in_number", "_keeps_length", "_pieces", "_position")

    def __init__(self, *, keeps_length: bool = False, edits: list[Edit] | None = None) -> None:
        """`edits`: gets all that is not copied, for who has the text in other bytes."""
        self._keeps_length = keeps_length
        self._edits = edits
        self._pieces: list[Piece] = []
        # Everything before it is written or gone; it may be ahead of the text that is there.
        self._position = 0
        # Whether a number was replaced whose rest may still stand behind `_position`.
        self._in_number = False

    def replace(self, pieces: Iterable[Piece]) -> None:
        """Note pieces, which begin behind all that is written; overlapping ones become one replacement."""
        self._pieces += pieces
        self._pieces.sort()

    def write(self, passage: Passage, until: int) -> bytes:
        """The text from where the last step ended up to `until`, less the pieces that begin there."""
        out: list[bytes] = []
        due = bisect_left(self._pieces, until, key=_START) if self._pieces else 0
        for piece in self._pieces[:due]:
            self._copy(passage, piece.start, out)
            replacement = piece.replacement if piece.start == self._position and not self._in_number else b""
            # Of a piece that overlaps the one before, the rest.
            length = max(0, piece.end - self._position)
            if self._edits is not None:
                self._edits.append(Edit(self._position, self._position + length, replacement))
            out.append(_filled(replacement, length, piece.is_number) if self._keeps_length else replacement)
            if length:
                self._position, self._in_number = piece.end, piece.is_number
        del self._pieces[:due]
        self._copy(passage, until, out)
        return b"".join(out)

    def _copy(self, passage: Passage, until: int, out: list[bytes]) -> None:
        if self._position >= until:
            return
        if self._in_number:
            end_of_number = passage.run(_REST_OF_NUMBER, self._position, until)
            if self._keeps_length:
                out.append(b" " * (end_of_number - self._position))
            if self._edits is not None:
                self._edits.append(Edit(self._position, end_of_number, b""))
            self._position, self._in_number = end_of_number, end_of_number == until
        out.append(passage.between(self._position, until))
        self._position = until


def _filled(replacement: bytes, length: int, is_number: bool) -> bytes:
    """The replacement in so many bytes; behind a number, JSON may have blanks."""
    if len(replacement) > length:
        return b"*" * length
    return replacement.ljust(length, b" " if is_number else b"*")


def redact(
    text: bytes,
    spans: Sequence[tuple[int, int]],
    cutter: Cutter,
    pieces: Iterable[Piece] = (),
    budget: Budget | None = None,
    edits: list[Edit] | None = None,
) -> bytes:
    """A whole text without the spans; the same object when there is nothing to take out.

    `pieces` are cut already, and touch none of the spans. `edits` gets what was done.
    Raises ScanTimeout when the budget is spent.
    """
    cut = [*pieces]
    if not spans and not cut:
        return text
    passage, redactor = Passage(text), Redactor(edits=edits)
    for start, end in sorted(set(spans)):
        if budget is not None:
            budget.check(_REDACTION)
        cut += cutter.cut(passage, start, end)
    redactor.replace(cut)
    return redactor.write(passage, len(text))
