"""A whole text as its reader will see it: as it stands, and with its escapes decoded in place."""

from collections.abc import Iterator, Sequence

from icapd.inspection.escapes import Escapes
from icapd.inspection.offsets import OffsetMap


class View:
    """A text with one kind of escapes decoded."""

    __slots__ = ("_escapes", "_offsets", "_parts", "_source", "text")

    def __init__(self, escapes: Escapes, source: bytes) -> None:
        self._escapes, self._source = escapes, source
        # The text in parts, as it is and decoded.
        self._parts: tuple[list[bytes], list[bytes]] | None = None
        self._offsets: OffsetMap | None = None
        whole = escapes.decode_whole(source)
        self.text = b"".join(self._taken_apart()[1]) if whole is None else whole

    def _taken_apart(self) -> tuple[list[bytes], list[bytes]]:
        if self._parts is None:
            parts = self._escapes.split(self._source)
            self._parts = parts, self._escapes.decode_parts(parts)
        return self._parts

    @property
    def has_escapes(self) -> bool:
        return self.text != self._source or len(self._taken_apart()[0]) > 1

    @property
    def offsets(self) -> OffsetMap:
        """Made when something is found; most texts are clean."""
        if self._offsets is None:
            self._offsets = OffsetMap()
            self._offsets.extend(*self._taken_apart())
        return self._offsets


class Views:
    """A text in each of its readings: number 0 as it stands, in each further one more is decoded."""

    __slots__ = ("_decoded", "_text")

    def __init__(self, text: bytes, escapes: Sequence[Escapes]) -> None:
        self._text = text
        self._decoded: list[View] = []
        absent: Escapes | None = None
        for kind in escapes:
            if kind is absent:
                continue
            source = self.innermost
            if (kind.matter_in or kind.occur_in)(source):
                view = View(kind, source)
                # One that stands for itself, such as an unknown name in HTML, is still not cut.
                if view.has_escapes:
                    self._decoded.append(view)
                    continue
            absent = kind

    @property
    def innermost(self) -> bytes:
        """The text with everything decoded."""
        return self._decoded[-1].text if self._decoded else self._text

    def __iter__(self) -> Iterator[bytes]:
        yield self._text
        for view in self._decoded:
            yield view.text

    @property
    def innermost_reading(self) -> int:
        """The number of the reading with everything decoded."""
        return len(self._decoded)

    def __repr__(self) -> str:
        return f"<Views of {len(self._text)} bytes>"

    def locate(self, reading: int, start: int, end: int) -> tuple[int, int]:
        """The span of the text that a span of one of its readings came from; it cuts no escape."""
        if reading < len(self._decoded):
            start, end = self._decoded[reading].offsets.narrow(start, end)
        for view in reversed(self._decoded[:reading]):
            start, end = view.offsets.to_source(start, end)
        return start, end

    def decoded(self, start: int, end: int) -> bytes:
        """What a span of the text says with everything decoded."""
        for view in self._decoded:
            start, end = view.offsets.from_source(start), view.offsets.from_source(end)
        return self.innermost[start:end]
