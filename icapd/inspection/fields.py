"""The single values of a text: the strings of a JSON document, names and values of a form or a query."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from icapd.inspection.formats import ESCAPES, TextFormat
from icapd.inspection.views import Views

_JSON_STRING = re.compile(rb'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
# RFC 3986 section 3.4: the query ends at the fragment.
_QUERY = re.compile(rb"[^?#]*+\?([^#]*+)")


@dataclass(frozen=True, slots=True)
class Field:
    """One value: its spelling with its views, and where that stands in the text, or in a field around it."""

    spelling: Views
    offset: int
    outer: "Field | None" = None

    @property
    def value(self) -> bytes:
        """As its reader gets it."""
        return self.spelling.innermost

    def locate(self, start: int, end: int) -> tuple[int, int]:
        """The span of the text that a span of the value came from."""
        start, end = self.spelling.locate(self.spelling.depth, start, end)
        start, end = start + self.offset, end + self.offset
        return self.outer.locate(start, end) if self.outer else (start, end)


def fields_of(text: bytes, kind: TextFormat) -> Iterator[Field]:
    """The fields of a text in that format; names are fields too. Other text than JSON and forms has none."""
    match kind:
        case "json":
            yield from _json_fields(text)
        case "form":
            yield from _form_fields(text)
        case "url":
            query = _QUERY.match(text)
            if query is not None:
                yield from _form_fields(query[1], query.start(1))


def _json_fields(text: bytes, outer: Field | None = None) -> Iterator[Field]:
    for string in _JSON_STRING.finditer(text):
        field = Field(Views(string[1], ESCAPES["json"][:1]), string.start(1), outer)
        yield field
        # A string that holds JSON itself has fields of its own; one level is what protocols do.
        if outer is None and field.value.startswith((b"{", b"[")):
            yield from _json_fields(field.value, field)


def _form_fields(text: bytes, offset: int = 0) -> Iterator[Field]:
    for part in text.split(b"&"):
        name, equals, value = part.partition(b"=")
        for spelling, begin in ((name, offset), (value, offset + len(name) + len(equals))):
            if spelling:
                yield Field(Views(spelling, ESCAPES["form"]), begin)
        offset += len(part) + 1
