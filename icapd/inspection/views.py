"""A whole text as its reader will see it: as it stands, and with its escapes decoded in place."""

from collections.abc import Iterator, Sequence
from functools import cached_property

from icapd.inspection.escapes import Escapes
from icapd.inspection.offsets import OffsetMap


class View:
    """A text with one kind of escapes decoded."""

    def __init__(self, escapes: Escapes, source: bytes) -> None:
        self._source_parts = escapes.split(source)
        self._parts = escapes.decode_parts(self._source_parts)
        self.text = b"".join(self._parts)

    @property
    def has_escapes(self) -> bool:
        return len(self._parts) > 1

    @cached_property
    def offsets(self) -> OffsetMap:
        """Made when something is found; most texts are clean."""
        offsets = OffsetMap()
        offsets.extend(self._source_parts, self._parts)
        return offsets


class Views:
    """A text in each of its readings: number 0 as it stands, in each further one more is decoded."""

    __slots__ = ("_decoded", "_text")

    def __init__(self, text: bytes, escapes: Sequence[Escapes]) -> None:
        self._text = text
        self._decoded: list[View] = []
        for kind in escapes:
            source = self.innermost
            if kind.occur_in(source):
                view = View(kind, source)
                # One that stands for itself, such as an unknown name in HTML, is still not cut.
                if view.has_escapes:
                    self._decoded.append(view)

    @property
    def innermost(self) -> bytes:
        """The text with everything decoded."""
        return self._decoded[-1].text if self._decoded else self._text

    def __iter__(self) -> Iterator[bytes]:
        yield self._text
        for view in self._decoded:
            yield view.text

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
