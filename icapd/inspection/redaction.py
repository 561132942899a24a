"""Taking things out of a text without breaking its format: first cut to size, then replaced."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple, Protocol

from icapd.http.transcoding import Edit
from icapd.inspection.budget import Budget
from icapd.inspection.utf8 import whole_characters
from icapd.policy import REDACTED, REPLACEMENT, Mask

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
        return self.replacement.rstrip(b" ").isdigit()


class Span(NamedTuple):
    """What is to go from a text, and what it is to become."""

    start: int
    end: int
    mask: Mask = REDACTED


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


def pieces_of(
    spans: Iterable[Span], passage: Passage, cutter: Cutter, budget: Budget | None = None
) -> Iterator[Piece]:
    """The pieces for some spans, each masked. Of spans that overlap nothing is shown.

    Raises ScanTimeout when the budget is spent.
    """
    ordered = sorted(set(spans))
    reach = -1
    for number, span in enumerate(ordered):
        if budget is not None:
            budget.check(_REDACTION)
        pieces = cutter.cut(passage, span.start, span.end)
        following = ordered[number + 1].start if number + 1 < len(ordered) else span.end
        if span.mask is REDACTED or span.start < reach or following < span.end:
            yield from pieces
        else:
            yield from (_masked(piece, span, passage) for piece in pieces)
        reach = max(reach, span.end)


def _masked(piece: Piece, span: Span, passage: Passage) -> Piece:
    spelling = passage.between(piece.start, piece.end)
    is_all = (piece.start, piece.end) == (span.start, span.end)
    if piece.replacement == NUMBER_REPLACEMENT:
        return piece._replace(replacement=span.mask.over_number(spelling))
    masked = span.mask.over(spelling, is_all=is_all)
    if piece.replacement == PERCENT_REPLACEMENT:
        return piece._replace(replacement=masked.replace(b"[", b"%5B").replace(b"]", b"%5D"))
    # What a cutter puts there for reasons of its format stays.
    return piece._replace(replacement=masked) if piece.replacement == REPLACEMENT else piece


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
    spans: Sequence[Span],
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
    redactor.replace([*cut, *pieces_of(spans, passage, cutter, budget)])
    return redactor.write(passage, len(text))
