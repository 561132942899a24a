"""The formats of texts: how each one is told, which escapes it can hold, how it is cut."""

from collections.abc import Callable, Mapping
from typing import Literal

from icapd.http.media_types import MediaType
from icapd.inspection.escapes import ANY, CHARACTER_REFERENCES, FORM, JSON, PERCENT, SCRIPT, Escapes
from icapd.inspection.folding import FOLD
from icapd.inspection.json_text import MAX_NAME, JsonCutter
from icapd.inspection.markup import MarkupCutter
from icapd.inspection.redaction import Cutter, FormCutter, PlainCutter

#: How a text is read, and how something is taken out of it without breaking it.
TextFormat = Literal["json", "form", "url", "html", "script", "text"]

_SNIFFED = frozenset({"", "text/plain"})
#: What may stand before JSON: blanks (RFC 8259 section 2), and a byte order mark that should not.
BLANKS = b" \t\r\n\xef\xbb\xbf"
#: Bytes of a text by which its format shows; who has more blanks in front is taken for plain text.
LEAD = 1024

#: The escapes of each format, outermost first. JSON is looked through twice, for a JSON text often stands in
#: a string of another (MCP results do it); so are URLs, for double encoding is an old way around filters.
ESCAPES: Mapping[TextFormat, tuple[Escapes, ...]] = {
    "json": (JSON, JSON),
    "form": (FORM, PERCENT),
    "url": (PERCENT, PERCENT),
    "html": (CHARACTER_REFERENCES,),
    "script": (),
    "text": (),
}

# JavaScript's types (RFC 9239), and those it had before.
_SCRIPTS = frozenset(
    "text/javascript application/javascript application/x-javascript application/ecmascript".split()
)
#: The same where the whole text is there, with what takes a look ahead, or is too rare for every stream.
WHOLE_ESCAPES: Mapping[TextFormat, tuple[Escapes, ...]] = {
    "json": (JSON, JSON, FOLD),
    "form": (FORM, PERCENT, JSON, FOLD),
    "url": (PERCENT, PERCENT, FOLD),
    "html": (CHARACTER_REFERENCES, SCRIPT, FOLD),
    "script": (SCRIPT, FOLD),
    "text": (FOLD,),
}
#: What a single value is looked through for, once its format is undone: three layers of any escapes.
LAYERS = (ANY, ANY, ANY, FOLD)

#: What takes something out of a text of each format without breaking it.
#: They take where the text begins in a longer one; by default it stands alone.
CUTTERS: Mapping[TextFormat, Callable[..., Cutter]] = {
    "json": JsonCutter,
    "form": FormCutter,
    "url": FormCutter,
    "html": MarkupCutter,
    "script": PlainCutter,
    "text": PlainCutter,
}
#: Bytes behind a span that its cutter looks at; most look at none.
AHEAD: Mapping[TextFormat, int] = {"json": MAX_NAME}


def text_format(media_type: MediaType, text: bytes) -> TextFormat:
    """How to read a text of that type. What has no type may show it, and so may JSON as plain text."""
    essence, kind = media_type.essence, media_type.format
    if kind == "multipart":
        # What can't be taken apart, or flows.
        return "text"
    if kind == "event-stream":
        # Its lines are field names, colons and mostly JSON: all of it words to the reader of JSON.
        return "json"
    if kind != "text":
        return kind
    if essence == "text/html" or essence.endswith(("/xml", "+xml")):
        return "html"
    if essence in _SCRIPTS:
        return "script"
    first = text[:LEAD].lstrip(BLANKS)[:1] if essence in _SNIFFED else b""
    if first in {b"{", b"["}:
        return "json"
    return "html" if first == b"<" and not essence else "text"
