"""What rules find in the parts of a multipart body, each read as its own header fields say."""

import re
from base64 import b64encode
from binascii import Error, a2b_base64, a2b_qp, b2a_qp
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from icapd.http.charsets import SAMPLE, charset_of, shows_ascii
from icapd.http.media_types import MediaType, is_textual, looks_like_text
from icapd.http.transcoding import Transcoding, difference
from icapd.inspection.budget import Budget
from icapd.inspection.escapes import NONE, PERCENT, QUOTED_PRINTABLE, Escapes
from icapd.inspection.fields import Field, fields_of
from icapd.inspection.findings import Hit
from icapd.inspection.formats import CUTTERS, WHOLE_ESCAPES, TextFormat
from icapd.inspection.multipart import Part
from icapd.inspection.redaction import Cutter, Passage, Piece
from icapd.inspection.views import Views
from icapd.policy import MAGIC_SIZE, REPLACEMENT, RuleSet

_BASE64_LINE = 76
_QUOTED = re.compile(rb'[^"\r\n]++')


class Coded(NamedTuple):
    """A part's content in no coding, and the way back."""

    text: bytes
    encode: Callable[[bytes], bytes]


def type_to_read(media_type: MediaType, content: bytes) -> MediaType | None:
    """The type by which a part's content is read; None for what is no text.

    What is text by itself is read whatever its type says, for a type is easily made up.
    """
    if media_type.essence and is_textual(media_type.essence):
        return media_type
    return MediaType(charset=media_type.charset) if looks_like_text(content[:SAMPLE]) else None


def decoded(part: Part) -> Coded | None:
    """The content of a part that holds it in a coding whose offsets are lost; None for any other."""
    coded = _transfer_decoded(part)
    content = part.content if coded is None else coded.text
    charset = charset_of(part.media_type, content[:SAMPLE])
    if charset is None or shows_ascii(charset, part.media_type, content[:SAMPLE]):
        # Quoted-printable alone is a matter of escapes.
        return None if part.encoding == b"quoted-printable" else coded
    transcoding = Transcoding(charset)
    text = transcoding.feed(content, is_last=True)
    encode = bytes if coded is None else coded.encode
    return Coded(text, lambda changed: encode(transcoding.respell([difference(text, changed)])))


def _transfer_decoded(part: Part) -> Coded | None:
    """What the part's Content-Transfer-Encoding makes of its content; None where that stands as it is."""
    if part.encoding == b"base64":
        try:
            return Coded(a2b_base64(part.content), _base64_in_lines)
        except Error:
            return None
    if part.encoding == b"quoted-printable":
        return Coded(a2b_qp(part.content), _quoted_in_lines)
    return None


def _quoted_in_lines(content: bytes) -> bytes:
    """RFC 2045 section 6.7: lines of 76 characters, the line ends of the content among what is escaped."""
    return b2a_qp(content, istext=False).replace(b"=\n", b"=\r\n")


def _base64_in_lines(content: bytes) -> bytes:
    """RFC 2045 section 6.8: lines of 76 characters."""
    line = b64encode(content)
    return b"\r\n".join(line[at : at + _BASE64_LINE] for at in range(0, len(line), _BASE64_LINE))


def escapes_of(part: Part, kind: TextFormat) -> tuple[Escapes, ...]:
    escapes = WHOLE_ESCAPES[kind]
    return (QUOTED_PRINTABLE, *escapes) if part.encoding == b"quoted-printable" else escapes


def fields_of_head(part: Part) -> Iterator[Field]:
    """The part's name, and the names of its file."""
    for start, end in part.names:
        if start < end:
            yield Field(part.text[start:end], start, PERCENT)


def fields_of_content(part: Part, kind: TextFormat, container: MediaType) -> Iterator[Field]:
    """The single values of a part that is read as it stands. In a form a part is a value, unless a file."""
    escapes = QUOTED_PRINTABLE if part.encoding == b"quoted-printable" else NONE
    whole = Field(part.content, part.body, escapes)
    if whole.spelling and container.essence == "multipart/form-data" and not part.file_names:
        yield whole
    yield from fields_of(whole.value, kind, whole)


def views_of_names(part: Part) -> Views:
    """The header fields as the fields made of them are read."""
    return Views(part.text[: part.body], WHOLE_ESCAPES["url"])


def essence_for_rules(part: Part, read_as: MediaType | None, container: MediaType) -> str:
    """The media type by which rules are chosen: header fields, and the values of a form, have the form's."""
    if read_as is None or (read_as.essence in {"", "text/plain"} and not part.file_names):
        return container.essence
    return read_as.essence


def name_to_show(part: Part, hits: Iterable[Hit]) -> bytes:
    """The name of the file; b"" where a secret was found in the header fields that give it."""
    if not part.file_names or any(hit.start < part.body and hit.target != "name" for hit in hits):
        return b""
    return part.file_names[0]


def scan_file_names(part: Part, rules: RuleSet, budget: Budget) -> list[Hit]:
    """What rules on file names find; it stands for the header fields of the part."""
    if not part.file_names or not rules.looks_at("name"):
        return []
    return [
        Hit(match.rule, match.rule.action, "name", 0, part.body, name[match.start : match.end])
        for name in part.file_names
        for match in rules.scan("name", name, timeout=budget.left())
    ]


def scan_start(part: Part, content: bytes, every: RuleSet, budget: Budget) -> list[Hit]:
    """What rules find in the first bytes of a part's content, by its own type; it stands for all of it."""
    if not every.looks_at("magic"):
        return []
    rules, start = every.for_media_type(part.media_type.essence), content[:MAGIC_SIZE]
    return [
        Hit(match.rule, match.rule.action, "magic", part.body, len(part.text), start[match.start : match.end])
        for match in rules.scan("magic", start, timeout=budget.left())
    ]


class PartCutter:
    """A part: its header fields keep their names, their quotes and their lines, its content its format."""

    def __init__(self, body: int, kind: TextFormat) -> None:
        self._body = body
        self._content: Cutter = CUTTERS[kind](body)

    def cut(self, passage: Passage, start: int, end: int) -> list[Piece]:
        if end > self._body:
            content = self._content.cut(passage, max(start, self._body), end)
            # What stands in front of a value names it.
            if content or start >= self._body:
                return content
        return _cut_fields(passage, start, min(end, self._body))

    def advance(self, passage: Passage, to: int) -> None:
        if to > self._body:
            self._content.advance(passage, to)


def _cut_fields(passage: Passage, start: int, end: int) -> list[Piece]:
    """What a span covers of quoted values; of a line where it covers none, all but the field's name."""
    quoted: list[Piece] = []
    others: list[Piece] = []
    for match in _QUOTED.finditer(passage.text, start - passage.base, end - passage.base):
        first, last = match.span()
        line = passage.text[passage.text.rfind(b"\n", 0, first) + 1 : first]
        if line.count(b'"') % 2:
            pieces = quoted
        else:
            pieces = others
            colon = passage.text.find(b":", first, last) if b":" not in line else -1
            first = colon + 1 if colon >= 0 else first
        first, last = passage.whole_characters(first + passage.base, last + passage.base)
        if first < last:
            pieces.append(Piece(first, last, REPLACEMENT))
    return quoted or others
