"""One text under scan, as bytes and as characters, with the way from each character back to its bytes."""

from bisect import bisect_left

import regex

_NO_WORD = regex.compile(rb"[^0-9A-Za-z_\x80-\xFF]")


class Text:
    """The bytes of a text; what else a rule may ask for is made once, when the first one does."""

    __slots__ = ("_characters", "_lowered", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._characters: Characters | None = None
        self._lowered: bytes | None = None

    @property
    def lowered(self) -> bytes:
        """In lower case, as keywords are compared."""
        if self._lowered is None:
            self._lowered = self.raw.lower()
        return self._lowered

    @property
    def characters(self) -> "Characters":
        if self._characters is None:
            self._characters = Characters(self.raw)
        return self._characters


class Characters:
    """A text decoded so that every byte sequence has characters, and these encode to the same bytes again.

    UTF-8, in which a lone surrogate is a character too (a JSON string or a Python `str` may hold one). Bytes
    that are no such UTF-8 stand for themselves, each as one lone surrogate.
    """

    __slots__ = ("_errors", "_index", "_offset", "string")

    def __init__(self, raw: bytes) -> None:
        #: How to encode again; None for ASCII, where characters are bytes.
        self._errors: str | None = None if raw.isascii() else "surrogatepass"
        try:
            self.string = raw.decode("utf-8", self._errors or "strict")
        except UnicodeDecodeError:
            self._errors = "surrogateescape"
            self.string = raw.decode("utf-8", self._errors)
        # The last answer of `offset`: matches come in order, so the next one counts on from there.
        self._index = self._offset = 0

    def offset(self, index: int) -> int:
        """Where the character at `index` begins, in bytes."""
        if self._errors is None:
            return index
        if index < self._index:
            self._index = self._offset = 0
        self._offset += len(self.string[self._index : index].encode("utf-8", self._errors))
        self._index = index
        return self._offset

    def index(self, offset: int) -> int:
        """The first character that begins at or behind the byte at `offset`."""
        if self._errors is None or offset == 0:
            return offset
        return bisect_left(range(len(self.string) + 1), offset, key=self.offset)


def next_word(text: bytes, start: int, end: int) -> int:
    """Where in a match the next word begins behind its first byte; its end when none does.

    Any byte in front of which no letter or digit stands counts: within a word, the rest of what was refused
    would be taken for something else.
    """
    before = _NO_WORD.search(text, start, end)
    return before.end() if before is not None else end
