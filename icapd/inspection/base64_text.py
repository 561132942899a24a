"""Texts in base64 (RFC 4648 sections 4 and 5) within another text, told from all else that has its letters.

Hashes, keys, images and long words are everywhere; what is looked into is only what surely holds text. A run
is passed over unless its first fifteen bytes are printable: the four letters that stand for three such bytes
are of a kind that one in eleven random ones is of, and so is the beginning of one random run in 180,000.
"""

import re
import string
from base64 import b64encode
from binascii import Error, a2b_base64
from collections.abc import Iterator
from dataclasses import dataclass, field

from icapd.inspection.one_of import EndsOf

#: Bytes of one run, and of all runs of a text, that are decoded at most; and how many runs.
MAX_RUN, MAX_TOTAL, MAX_RUNS = 64 * 1024, 256 * 1024, 5000
#: Of a hundred bytes of a text, so many are printable at least.
MIN_PRINTABLE = 95

# Few texts have many such words, and this shows in a fifth of the time that all beginnings take.
_LONG_WORDS, _FEW_ENDS = EndsOf(rb"[A-Za-z0-9]{20}"), 48
# Letters for three bytes of printable ASCII, line ends or tabs.
_THREE_BYTES = rb"[CDI-Za-f][AC-HQS-Xgi-nwy-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_\-]"
_CHECKED = 20
_BEGINNING = re.compile(rb"(?:%b){5}" % _THREE_BYTES)
_BEGINNINGS = EndsOf(rb"(?:^|[^A-Za-z0-9+/_.\-])" + _BEGINNING.pattern)
_ALPHABET = (string.ascii_letters + string.digits + "+/_-").encode()
_NOT_BEFORE = frozenset(bytes([byte]) for byte in _ALPHABET + b".")
# Bytes before a long word in which its run begins.
_FAR = 256
# A run in one line, or in lines of equal length (RFC 2045 section 6.8) that may be indented.
_LINE = re.compile(rb"([A-Za-z0-9+/_\-]++)(={0,2}+)")
_LINE_END = re.compile(rb"\r?\n[ \t]{0,64}+(?=[A-Za-z0-9+/])")
_MIN_LINE = 60
_NOT_PRINTABLE = bytes([*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True)
class Run:
    """A text in base64, and how that is written."""

    start: int
    end: int
    text: bytes = field(repr=False)
    is_url_safe: bool
    is_padded: bool
    #: Letters of a line; 0 where there is one line only.
    line_length: int
    #: What stands between two lines.
    line_end: bytes

    def encode(self, text: bytes) -> bytes:
        """Another text written in the same way."""
        letters = b64encode(text, b"-_" if self.is_url_safe else None)
        if not self.is_padded:
            letters = letters.rstrip(b"=")
        if not self.line_length:
            return letters
        starts = range(0, len(letters), self.line_length)
        return self.line_end.join(letters[at : at + self.line_length] for at in starts)


def runs_in(text: bytes) -> Iterator[Run]:
    """The runs of a text that hold text themselves, in order."""
    left, position, count = MAX_TOTAL, 0, 0
    for start in _beginnings_in(text):
        if start < position:
            continue
        run = _run_at(text, start)
        if run is not None:
            left -= len(run.text)
            count += 1
            if left < 0 or count > MAX_RUNS:
                return
            position = run.end
            yield run


def may_begin_in(text: bytes) -> bool:
    """Whether a run that holds text seems to begin somewhere in the text."""
    return bool(_beginnings_in(text))


def _beginnings_in(text: bytes) -> list[int]:
    """Where runs seem to begin that hold text, in order."""
    ends = _LONG_WORDS.within(text, _FEW_ENDS)
    if ends is None:
        return [end - _CHECKED for end in _BEGINNINGS.within(text) or ()]
    starts: dict[int, bool] = {}
    for end in ends:
        first = max(0, end - _FAR)
        start = first + len(text[first:end].rstrip(_ALPHABET))
        if start not in starts:
            before = text[start - 1 : start] if start else b""
            starts[start] = before not in _NOT_BEFORE and _BEGINNING.match(text, start) is not None
    return [start for start, is_beginning in starts.items() if is_beginning]


def _run_at(text: bytes, start: int) -> Run | None:
    line = _LINE.match(text, start)
    assert line is not None, "begins with twenty letters"
    letters, padding = line[1], line[2]
    ending = _LINE_END.match(text, line.end())
    if ending is not None and not padding and len(letters) >= _MIN_LINE and len(letters) % 4 == 0:
        run = _decoded(start, *_in_lines(text, start, len(letters), ending[0]), len(letters), ending[0])
        if run is not None:
            return run
    return _decoded(start, letters, padding, line.end(), 0, b"")


def _decoded(
    start: int, letters: bytes, padding: bytes, end: int, line_length: int, line_end: bytes
) -> Run | None:
    """The run of these letters; None when they hold no text."""
    if len(letters) > MAX_RUN:
        return None
    is_url_safe = b"-" in letters or b"_" in letters
    try:
        text = a2b_base64(letters.translate(_URL_SAFE) + b"=" * (-len(letters) % 4))
    except Error:
        return None
    if not _is_text(text):
        return None
    is_padded = bool(padding) or (len(letters) % 4 == 0 and not is_url_safe)
    return Run(start, end, text, is_url_safe, is_padded, line_length, line_end)


def _in_lines(text: bytes, start: int, length: int, line_end: bytes) -> tuple[bytes, bytes, int]:
    """Letters, padding and end of a run that goes on as long as its lines are full."""
    lines, position = [], start
    while position - start <= MAX_RUN and (line := _LINE.match(text, position)):
        if len(line[1]) > length:
            break
        lines.append(line[1])
        end, padding = line.end(), line[2]
        if len(line[1]) < length or not text.startswith(line_end, end):
            break
        position = end + len(line_end)
    return b"".join(lines), padding, end


def _is_text(decoded: bytes) -> bool:
    """Whether it is UTF-8, nearly all of it printable."""
    printable = len(decoded.translate(None, _NOT_PRINTABLE))
    if printable * 100 < len(decoded) * MIN_PRINTABLE:
        return False
    try:
        decoded.decode()
    except UnicodeDecodeError:
        return False
    return True
