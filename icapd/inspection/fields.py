"""The single values of a text: the strings of a JSON document, what stands in a form, a query or markup."""

import re
from collections.abc import Iterator

from icapd.inspection.escapes import CHARACTER_REFERENCES, FORM, JSON, NONE, Escapes
from icapd.inspection.formats import TextFormat
from icapd.inspection.markup import tokens
from icapd.inspection.views import View

# A string that breaks off reaches to the end; to pass over it would mean to try anew at each quote in it.
_JSON_STRING = re.compile(rb'"((?:[^"\\]++|\\.)*+)(?:"|\\?\Z)', re.DOTALL)
_JSON_CONTAINER = (b"{", b"[")
# The same in a form.
_FORM_CONTAINER = (*_JSON_CONTAINER, b"%7B", b"%7b", b"%5B", b"%5b")
#: Bytes of a plain text that may be a single value: what rules on values look at is about so long.
_MAX_PLAIN_VALUE = 1024
# RFC 8259 sections 4 and 5: a name or the end comes next in an object, a value or the end in an array.
_JSON_LEAD = re.compile(rb'(?:\xef\xbb\xbf)?+\s*+(?:\{\s*+(?:["}]|\Z)|\[\s*+(?:["{\[\]0-9tfn-]|\Z)|[^{\[])')
# RFC 3986 section 3.4: the query ends at the fragment.
_QUERY = re.compile(rb"[^?#]*+\?([^#]*+)")


class Field:
    """One value as it is spelled, and where that stands in the text, or in the value of a field around it."""

    __slots__ = ("_offset", "_outer", "_view", "escapes", "spelling")

    def __init__(self, spelling: bytes, offset: int, escapes: Escapes, outer: "Field | None" = None) -> None:
        self.spelling = spelling
        self.escapes = escapes
        self._offset = offset
        self._outer = outer
        self._view: View | None = None

    @property
    def value(self) -> bytes:
        """As its reader gets it."""
        if self._view is None:
            if not self.escapes.occur_in(self.spelling):
                return self.spelling
            self._view = View(self.escapes, self.spelling)
        return self._view.text

    def locate(self, start: int, end: int) -> tuple[int, int]:
        """The span of the text that a span of the value came from."""
        if self._view is not None:
            start, end = self._view.offsets.to_source(start, end)
        start, end = start + self._offset, end + self._offset
        return self._outer.locate(start, end) if self._outer else (start, end)


def fields_of(text: bytes, kind: TextFormat, outer: Field | None = None) -> Iterator[Field]:
    """The fields of a text in that format; of JSON and forms the names too, of HTML and XML the texts
    and the values of attributes. Other text has none.

    `outer`: the field that the text is the value of.
    """
    match kind:
        case "json":
            yield from _json_fields(text, outer)
        case "form":
            yield from _form_fields(text, 0, outer)
        case "url":
            query = _QUERY.match(text)
            if query is not None:
                yield from _form_fields(query[1], query.start(1), outer)
        case "html":
            yield from _markup_fields(text, outer)


def single_value(text: bytes, kind: TextFormat) -> Iterator[Field]:
    """A whole body as one value: a short plain text, also one that is taken for JSON by its first byte."""
    value = text.rstrip(b"\r\n")
    if (
        value
        and len(value) <= _MAX_PLAIN_VALUE
        and (kind == "text" or (kind == "json" and not _JSON_LEAD.match(text)))
    ):
        yield Field(value, 0, NONE)


def json_values(text: bytes) -> set[bytes]:
    """The distinct values of the fields of a JSON text."""
    values = {_json_value(spelling) for spelling in set(_JSON_STRING.findall(text))}
    inner = [value for value in values if value.startswith(_JSON_CONTAINER)]
    return values.union(*(map(_json_value, _JSON_STRING.findall(value)) for value in inner))


def _json_value(spelling: bytes) -> bytes:
    return View(JSON, spelling).text if b"\\" in spelling else spelling


def _json_fields(text: bytes, outer: Field | None, *, is_inner: bool = False) -> Iterator[Field]:
    for string in _JSON_STRING.finditer(text):
        field = Field(string[1], string.start(1), JSON, outer)
        yield field
        # A string that holds JSON itself has fields of its own; one level is what protocols do.
        if not is_inner and field.spelling.startswith(_JSON_CONTAINER):
            yield from _json_fields(field.value, field, is_inner=True)


def _form_fields(text: bytes, offset: int, outer: Field | None) -> Iterator[Field]:
    for part in text.split(b"&"):
        name, equals, value = part.partition(b"=")
        for spelling, begin in ((name, offset), (value, offset + len(name) + len(equals))):
            if spelling:
                field = Field(spelling, begin, FORM, outer)
                yield field
                if spelling.startswith(_FORM_CONTAINER):
                    yield from _json_fields(field.value, field, is_inner=True)
        offset += len(part) + 1


def _markup_fields(text: bytes, outer: Field | None) -> Iterator[Field]:
    for token in tokens(text):
        for start, end in token.areas:
            spelling = text[start:end]
            if spelling and not spelling.isspace():
                yield Field(spelling, start, CHARACTER_REFERENCES if token.has_references else NONE, outer)
