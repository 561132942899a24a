"""Multipart bodies (RFC 2046 section 5.1, RFC 7578) taken apart, in whatever state they come."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from icapd.http.media_types import MediaType
from icapd.http.target import file_names_of

#: Parts of one body that are told apart; what stands behind them is read with the last of them.
MAX_PARTS = 1000
#: Bytes of a part's header fields; what has more in front of its first empty line has none.
MAX_FIELDS_SIZE = 16 * 1024

_END_OF_DELIMITER = re.compile(rb"(--)?+[ \t]*+(?:\r?\n|\Z)")
# Where the head names no boundary, or one that does not occur: the body's first line shows it.
_FIRST_LINE = re.compile(rb"(?:\r?\n)*+--([^\r\n]{1,70}?)[ \t]*(?:\r?\n)")
_EMPTY_LINE = re.compile(rb"\r?\n(\r?\n)")
_LINE_END = re.compile(rb"\r?\n")
_FIELD = re.compile(
    rb"^content-(disposition|type|transfer-encoding|length)[ \t]*+:((?:[^\r\n]++|\r?\n[ \t])*+)",
    re.IGNORECASE | re.MULTILINE,
)
# RFC 7578 section 4.2; browsers write quotes and line ends in a name percent-encoded.
_NAME = re.compile(
    rb';[ \t\r\n]*+(?:file)?name\*?[ \t]*+=[ \t]*+(?:"((?:[^"\\\r\n]++|\\.)*+)|([^\s;"]++))', re.IGNORECASE
)
_NUMBER = re.compile(rb"[ \t]*+([0-9]{1,19})[ \t]*+")


class Segment(NamedTuple):
    """What stands between two delimiter lines; or before the first, or behind the last."""

    start: int
    end: int
    is_part: bool


def boundary_of(media_type: MediaType, text: bytes) -> bytes:
    """The boundary that the parts stand between; b"" when there is none to be seen."""
    named = media_type.boundary.encode("latin-1")
    if named and b"--" + named in text:
        return named
    first = _FIRST_LINE.match(text)
    return first[1] if first else b""


def split(text: bytes, boundary: bytes) -> list[Segment]:
    """The segments of the text in their order; a last part that does not end reaches to the end."""
    delimiter = b"--" + boundary
    segments: list[Segment] = []
    start, is_part = 0, False
    at = 0 if text.startswith(delimiter) else _next_line(text, delimiter, 0)
    while at >= 0 and len(segments) <= MAX_PARTS:
        line = _END_OF_DELIMITER.match(text, at + len(delimiter))
        if line is not None:
            segments.append(Segment(start, max(start, _before_line_end(text, at)), is_part))
            start = line.end()
            # Behind the last delimiter, nothing is a part any more.
            is_part = line[1] is None
            if not is_part:
                break
        # The line end of one delimiter line may be that before the next.
        at = _next_line(text, delimiter, max(at, start - 1))
    segments.append(Segment(start, len(text), is_part))
    return segments


def _next_line(text: bytes, beginning: bytes, position: int) -> int:
    """Where the next line begins that begins so; -1 when none does."""
    at = text.find(b"\n" + beginning, position)
    return at + 1 if at >= 0 else -1


def _before_line_end(text: bytes, end: int) -> int:
    """The line end before a delimiter belongs to that."""
    return end - 2 if text[max(0, end - 2) : end] == b"\r\n" else end - 1


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its header fields, an empty line, its body."""

    text: bytes = field(repr=False)
    #: Where the body begins.
    body: int
    #: Without an essence where it names no type.
    media_type: MediaType
    #: Content-Transfer-Encoding in lower case; forms no longer have it (RFC 7578 section 4.7), mail does.
    encoding: bytes
    #: Where the name, and the names of the file, stand in the text.
    names: tuple[tuple[int, int], ...]
    file_names: tuple[bytes, ...] = field(repr=False)

    @property
    def content(self) -> bytes:
        return self.text[self.body :]

    @classmethod
    def parse(cls, text: bytes) -> "Part":
        body = _end_of_fields(text)
        media_type, encoding = MediaType(), b""
        names: tuple[tuple[int, int], ...] = ()
        file_names: tuple[bytes, ...] = ()
        for name, start, end in _fields(text, body):
            value = text[start:end]
            if name == b"type":
                media_type = MediaType.parse(value.strip())
            elif name == b"transfer-encoding":
                encoding = value.strip().lower()
            elif name == b"disposition":
                names += tuple(match.span(match.lastindex or 0) for match in _NAME.finditer(text, start, end))
                file_names += file_names_of(value, None)
        return cls(text, body, media_type, encoding, names, file_names)


def _end_of_fields(text: bytes) -> int:
    at_once = _LINE_END.match(text)
    if at_once is not None:
        return at_once.end()
    empty_line = _EMPTY_LINE.search(text, 0, MAX_FIELDS_SIZE)
    return empty_line.end() if empty_line is not None else 0


def _fields(text: bytes, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, without its `content-`, and span of the value."""
    for match in _FIELD.finditer(text, 0, end):
        yield match[1].lower(), match.start(2), match.end(2)


def with_length(before: bytes, after: bytes) -> bytes:
    """The part `after` its body changed, with the Content-Length that it had right before."""
    old, body = len(before) - _end_of_fields(before), _end_of_fields(after)
    for name, start, end in _fields(after, body):
        number = _NUMBER.fullmatch(after, start, end) if name == b"length" else None
        if number is not None and int(number[1]) == old:
            length = b"%d" % (len(after) - body)
            return after[: number.start(1)] + length + after[number.end(1) :]
    return after
