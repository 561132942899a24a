"""HTML (WHATWG) and XML as a sequence of tags, texts, comments and the like, told apart without parsing them.

Every sequence of bytes can be read this way, in one pass over it: what does not end reaches to the end.
"""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from operator import itemgetter
from typing import NamedTuple

from icapd.inspection.redaction import Passage, Piece
from icapd.policy import REPLACEMENT

#: What takes the place of a name: of an element, of an attribute.
NAME_REPLACEMENT = REPLACEMENT.strip(b"[]")

#: Bytes of a tag that is known to go on when a stream is read; what is longer is read as text.
MAX_TAG = 64 * 1024

_START = itemgetter(0)
_TEXT = re.compile(rb"(?:[^<]++|<(?![A-Za-z/!?]))++")
_COMMENT, _CDATA = b"<!--", b"<![CDATA["
_END_OF_COMMENT = re.compile(rb"--!?>")
# Quotes mean something behind an equals sign only.
_TAG = re.compile(rb"""<(?:[^>=]++|=\s*+(?:"[^"]*+"?+|'[^']*+'?+)?+)*+>?+""")
_ATTRIBUTE_VALUE = re.compile(rb"""=\s*+(?:"([^"]*+)|'([^']*+)|([^\s>"'][^\s>]*+))""")
# Declarations have quoted values without an equals sign: <!ENTITY name "value">.
_QUOTED = re.compile(rb""""([^"]*+)|'([^']*+)""")
_NAME = re.compile(rb"[^\s<>/=\"'!?\[\]&;]++")
# A tag whose end is there, and one that breaks off within a value; what ends a value or a text.
_INSIDE = rb"""<[A-Za-z/](?:[^<>="']++|=\s*+(?:"[^"<>]*+"|'[^'<>]*+'|(?=[^\s"'<>])[^\s"'<>]++(?=[\s>])))*+"""
_WHOLE_TAG = re.compile(_INSIDE + b">")
_IN_VALUE = re.compile(_INSIDE + rb"""=\s*+(?:"[^"<>]*+|'[^'<>]*+|[^\s"'<>]*+)""")
_MEANINGFUL = re.compile(rb"""[<>"'=\s]""")
# Bytes before a span that are looked at.
_NEAR = 1024
# Any number of texts and whole tags, as far as nothing stands in them that takes a closer look.
_PLAIN = re.compile(
    rb"""(?:[^<]++|<(?=[^A-Za-z/!?])|<(?!(?:script|style)[\s/>])/?"""
    rb"""[A-Za-z](?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+'|(?!["'])))*+>)*+""",
    re.IGNORECASE,
)
# Elements whose content is no markup (WHATWG HTML section 13.1.2), up to their end tag.
_RAW_ELEMENT = re.compile(rb"<(script|style)(?=[\s/>])(?:[^>]*[^>/])?>\Z", re.IGNORECASE)
_END_OF_RAW = {
    b"script": re.compile(rb"</script", re.IGNORECASE),
    b"style": re.compile(rb"</style", re.IGNORECASE),
}


class Token(NamedTuple):
    """A tag, or what stands between two of them. `areas`: what of it is a value, in order."""

    start: int
    end: int
    areas: tuple[tuple[int, int], ...]
    #: Whether character references mean something in the areas.
    has_references: bool = True


def tokens(text: bytes) -> Iterator[Token]:
    """The tokens of a text; each begins where the one before ends."""
    position = 0
    while position < len(text):
        for token in _tokens_at(text, position):
            yield token
            position = token.end


def _tokens_at(text: bytes, position: int) -> list[Token]:
    """The token from a position on that is in no tag, and the content of the element that has no markup."""
    token = _token(text, position)
    raw = _RAW_ELEMENT.match(text, position, token.end) if text.startswith(b"<", position) else None
    if raw is None:
        return [token]
    end = _END_OF_RAW[raw[1].lower()].search(text, token.end)
    stop = end.start() if end is not None else len(text)
    content = Token(token.end, stop, ((token.end, stop),), has_references=False)
    return [token, content] if stop > token.end else [token]


def _token(text: bytes, start: int) -> Token:
    plain = _TEXT.match(text, start)
    if plain is not None:
        return Token(start, plain.end(), (plain.span(),))
    if text.startswith(_COMMENT, start):
        inside = start + len(_COMMENT)
        closing = _END_OF_COMMENT.search(text, inside)
        end, stop = closing.span() if closing is not None else (len(text), len(text))
        return Token(start, stop, ((inside, end),), has_references=False)
    if text.startswith(_CDATA, start):
        inside = start + len(_CDATA)
        at = text.find(b"]]>", inside)
        end, stop = (at, at + 3) if at >= 0 else (len(text), len(text))
        return Token(start, stop, ((inside, end),), has_references=False)
    tag = _TAG.match(text, start)
    assert tag is not None, "whatever begins with <"
    pattern = _QUOTED if text.startswith(b"<!", start) else _ATTRIBUTE_VALUE
    values = pattern.finditer(text, start, tag.end())
    return Token(start, tag.end(), tuple(value.span(value.lastindex or 0) for value in values))


class MarkupCutter:
    """Cuts spans so that the same tags, with the same attributes, stand where they stood.

    Texts, comments and the values of attributes are replaced, or the parts of them that a span covers. Names
    of an element and of its attributes go only when a span covers nothing else.
    """

    __slots__ = ("_ahead", "_base", "_next", "_position", "_source", "_tail", "_text")

    def __init__(self, begin: int = 0) -> None:
        """`begin`: where the markup begins in a longer text."""
        # All before it is read; the tail is what of that may belong to a tag that goes on.
        self._position = begin
        self._tail = b""
        # The text whose tokens are taken, from the tail on; those from the last span's first one on, and
        # where the next one begins. Offsets count from the base.
        self._source: bytes | None = None
        self._text, self._base, self._next = b"", begin, 0
        self._ahead: deque[Token] = deque()

    def cut(self, passage: Passage, start: int, end: int) -> list[Piece]:
        if _is_plain(passage.text, start - passage.base, end - passage.base):
            return _piece(passage, start, end)
        if self._source is not passage.text:
            self._source = passage.text
            self._text = self._tail + passage.text[self._position - passage.base :]
            self._base, self._next = self._position - len(self._tail), 0
            self._ahead.clear()
        pieces: list[Piece] = []
        covered: list[Token] = []
        for token in self._tokens_within(start - self._base, end - self._base):
            covered.append(token)
            areas = token.areas
            if len(areas) > 1:
                areas = areas[max(0, bisect_right(areas, start - self._base, key=_START) - 1) :]
            for first, last in areas:
                if first + self._base >= end:
                    break
                pieces += _piece(passage, max(start, first + self._base), min(end, last + self._base))
        return pieces if pieces or len(covered) != 1 else _names(passage, start, end)

    def _tokens_within(self, start: int, end: int) -> list[Token]:
        ahead = self._ahead
        while ahead and ahead[0].end <= start:
            ahead.popleft()
        while self._next < len(self._text) and (not ahead or ahead[-1].end < end):
            if self._next < start:
                plain = _PLAIN.match(self._text, self._next, start)
                assert plain is not None, "matches nothing at least"
                self._next = plain.end()
            for token in _tokens_at(self._text, self._next):
                self._next = token.end
                if token.end > start:
                    ahead.append(token)
        return list(takewhile(lambda token: token.start < end, ahead))

    def advance(self, passage: Passage, to: int) -> None:
        """In a stream, texts between tags are passed over: any `<` may be the beginning of a tag."""
        read = passage.between(self._position, to)
        last = read.rfind(b"<")
        if last >= 0:
            self._tail = read[last:]
        elif self._tail:
            self._tail += read
        if len(self._tail) > MAX_TAG or (self._tail and _token(self._tail, 0).end < len(self._tail)):
            self._tail = b""
        self._position, self._source = to, None


def _is_plain(text: bytes, start: int, end: int) -> bool:
    """Whether a span surely lies within a text or a value, as most do: it shows without all tags before it.

    It stands behind a tag that is closed, or in a value of one; no value is taken to hold a `<`.
    """
    opening = text.rfind(b"<", max(0, start - _NEAR), start)
    if opening < 0 or _MEANINGFUL.search(text, start, end):
        return False
    return bool(_WHOLE_TAG.match(text, opening, start) or _IN_VALUE.fullmatch(text, opening, start))


def _piece(passage: Passage, start: int, end: int, replacement: bytes = REPLACEMENT) -> list[Piece]:
    if start < end:
        start, end = passage.whole_characters(start, end)
    return [Piece(start, end, replacement)] if start < end else []


def _names(passage: Passage, start: int, end: int) -> list[Piece]:
    """The names that a span within a single tag covers."""
    names = _NAME.finditer(passage.text, start - passage.base, end - passage.base)
    spans = ((name.start() + passage.base, name.end() + passage.base) for name in names)
    return [piece for first, last in spans for piece in _piece(passage, first, last, NAME_REPLACEMENT)]
