"""JSON (RFC 8259) as a sequence of strings, numbers and words, told apart without parsing it.

Every sequence of bytes can be read this way. In JSON it finds the tokens; in what only calls itself JSON, or
breaks off, or stands in the lines of an event stream, it still finds all there is to find.
"""

import re
from collections.abc import Iterator

from icapd.inspection.redaction import NUMBER_REPLACEMENT, Passage, Piece
from icapd.policy import REPLACEMENT

_QUOTE = b'"'
# The inside of a string, up to its quote; an escape that is not all there is left for later.
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_SEPARATORS = re.compile(rb"[\s{}\[\],:]*+")
_WORD = re.compile(rb'(?:[^\s{}\[\],:"\\]++|\\.)*+', re.DOTALL)
_END_OF_NAME = re.compile(rb'"?+\s*+:')
# The rest of a string that is one.
_REST_OF_NAME = re.compile(rb'(?:[^"\\]++|\\.)*+"\s*+:', re.DOTALL)
#: Bytes. A longer one is taken for a value.
MAX_NAME = 256
_NUMBER = re.compile(rb"[0-9+\-.eE]++")
_LITERALS = b"true false null"


class JsonCutter:
    """Cuts spans so that JSON stays JSON of the same shape.

    Quotes and punctuation stay. A string, or the part of it that a span covers, is replaced; of a number, all
    from the first digit that a span covers, so that a number remains. Names in objects go only when a span
    covers nothing else.
    """

    __slots__ = ("_in_string", "_position")

    def __init__(self, begin: int = 0) -> None:
        """`begin`: where the JSON begins in a longer text."""
        # All before it is read. Never between a backslash and what that escapes.
        self._position = begin
        self._in_string = False

    def advance(self, passage: Passage, to: int) -> None:
        read = passage.between(self._position, to)
        if (len(read) - len(read.rstrip(b"\\"))) % 2:
            read = read[:-1]
        self._position += len(read)
        if b"\\" in read:
            read = read.replace(b"\\\\", b"").replace(b'\\"', b"")
        self._in_string ^= read.count(_QUOTE) % 2 == 1

    def cut(self, passage: Passage, start: int, end: int) -> list[Piece]:
        self.advance(passage, start)
        names: list[Piece] = []
        values: list[Piece] = []
        for is_string, first, last in self._tokens(passage, start, end):
            piece = _string_piece(passage, first, last) if is_string else _word_piece(passage, first, last)
            if piece is not None:
                is_name = _END_OF_NAME.match(passage.between(last, end)) is not None
                (names if is_name else values).append(piece)
        if len(values) > 1 and _goes_on_as_name(passage, values[-1].end):
            del values[-1]
        return values or names

    def _tokens(self, passage: Passage, position: int, end: int) -> Iterator[tuple[bool, int, int]]:
        """What a span covers of each string (True) and each other word (False), without quotes."""
        in_string = self._in_string
        while position < end:
            if not in_string:
                position = passage.run(_SEPARATORS, position, end)
            stop = passage.run(_INSIDE if in_string else _WORD, position, end)
            if stop > position:
                yield in_string, position, stop
            position = stop
            if stop < end and passage.has_at(stop, _QUOTE):
                in_string = not in_string
                position += 1
            elif in_string or passage.has_at(stop, b"\\"):
                # The span ends here, or between a backslash and what that escapes.
                return


def _string_piece(passage: Passage, start: int, end: int) -> Piece | None:
    start, end = passage.whole_characters(start, end)
    return Piece(start, end, REPLACEMENT) if start < end else None


def _goes_on_as_name(passage: Passage, position: int) -> bool:
    start = position - passage.base
    return _REST_OF_NAME.match(passage.text, start, start + MAX_NAME) is not None


def _word_piece(passage: Passage, start: int, end: int) -> Piece | None:
    word = passage.between(start, end)
    if word in _LITERALS:
        return None
    if not _NUMBER.fullmatch(word):
        # No JSON: nothing here can break it.
        return _string_piece(passage, start, end)
    # A sign, a point or an exponent before the first digit stays: `-` and `1.` make numbers with a 0 as well.
    digits = word.lstrip(b"+-.eE")
    return Piece(end - len(digits), end, NUMBER_REPLACEMENT) if digits else None
