"""One server-sent event (WHATWG HTML section 9.2.6): its lines, and the data they carry together."""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

# A line: field name, colon with one blank at most, value, line end. CRLF is one end.
_LINE = re.compile(rb"([^:\r\n]*+)((?::\x20?)?+)([^\r\n]*+)(\r\n|\r|\n|\Z)")

# Names with a meaning, that of a comment among them.
_FIELDS = frozenset({b"", b"data", b"event", b"id", b"retry"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an event, taken apart."""

    #: Where its value begins, from the beginning of the event.
    offset: int
    name: bytes
    colon: bytes
    value: bytes = field(repr=False)
    ending: bytes

    @property
    def is_data(self) -> bool:
        return self.name == b"data"

    def locate(self, offset: int) -> int:
        """Where in the event a byte of the value stands."""
        return self.offset + offset

    def encode(self, value: bytes) -> bytes:
        """The line with that value in place of its own."""
        return self.name + self.colon + value + self.ending


def parse_event(raw: bytes, begin: int = 0) -> list[Line]:
    """The lines of an event from `begin` on; encoded one after the other, they are the same bytes again."""
    return [_line(match) for match in _LINE.finditer(raw, begin) if match.end() > match.start()]


def _line(match: re.Match[bytes]) -> Line:
    name, colon, value, ending = match.groups()
    if name in _FIELDS:
        return Line(match.start(3), name, colon, value, ending)
    # No field that an event has: whoever reads the line reads all of it.
    return Line(match.start(), b"", b"", name + colon + value, ending)


class EventData:
    """What the data lines of an event carry: their values, with line feeds between them."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = [line for line in lines if line.is_data]
        self.text = b"\n".join(line.value for line in self._lines)
        # Where each line's value begins in the text.
        lengths = (len(line.value) + 1 for line in self._lines)
        self._starts = list(accumulate(lengths, initial=0))[:-1]

    def locate(self, offset: int) -> int:
        """Where in the event a byte of the text stands."""
        number = bisect_right(self._starts, offset) - 1
        return self._lines[number].offset + offset - self._starts[number]
