"""A text with what was found in it, and in the texts that it encloses; from there, the text without it."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from icapd.http.transcoding import Edit
from icapd.inspection.budget import Budget
from icapd.inspection.findings import Hit
from icapd.inspection.occurrences import MIN_REPEATED_SECRET, occurrences
from icapd.inspection.redaction import Cutter, Piece, redact
from icapd.inspection.scanning import distinct
from icapd.inspection.views import Views


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A text that another one holds from `start` to `end`, in a coding or as it is."""

    start: int
    end: int
    scanned: "Scanned"
    #: From the text, redacted, to how it is held.
    encode: Callable[[bytes], bytes]
    #: Whether offsets within it are lost, so that what is found in it stands for the whole.
    is_coded: bool

    def locate(self, hit: Hit) -> Hit:
        """What was found in it, with a span of the text around."""
        if self.is_coded:
            return replace(hit, start=self.start, end=self.end)
        return replace(hit, start=self.start + hit.start, end=self.start + hit.end)


@dataclass(frozen=True, slots=True)
class Scanned:
    """One text. `own` was found in itself, in any of its views; `views` may be of its beginning only."""

    text: bytes = field(repr=False)
    views: Views
    cutter: Cutter
    own: Sequence[Hit] = ()
    enclosed: Sequence[Enclosed] = ()
    #: Whether rules have seen it as it stands; what has parts they see part by part.
    is_read_whole: bool = True

    @property
    def hits(self) -> list[Hit]:
        """All that was found, each span that a rule found once, in the order of the text."""
        if not self.enclosed:
            return distinct(self.own)
        within = [each.locate(hit) for each in self.enclosed for hit in each.scanned.hits]
        return distinct([*self.own, *within])

    def redacted(
        self, secrets: Mapping[bytes, str], budget: Budget, edits: list[Edit] | None = None
    ) -> bytes:
        """The text without what is to go, and without any of the secrets; the same object when all stands.

        Redactions of packs that go in order are left out. `edits` gets what was done.
        """
        spans = [(hit.start, hit.end) for hit in self.own if is_merged(hit)]
        spans += self._repeated(secrets, budget)
        pieces: list[Piece] = []
        changed = [
            (each, text)
            for each in self.enclosed
            if (text := each.scanned.redacted(secrets, budget)) is not each.scanned.text
        ]
        if changed:
            overlaps = _Overlaps(spans)
            for each, text in changed:
                if overlaps.touch(each.start, each.end):
                    spans.append((each.start, each.end))
                else:
                    pieces.append(Piece(each.start, each.end, each.encode(text)))
        return redact(self.text, spans, self.cutter, pieces, budget, edits)

    def _repeated(self, secrets: Mapping[bytes, str], budget: Budget) -> Iterator[tuple[int, int]]:
        """Where else, in any reading, the secrets stand: a rule may know one by its surroundings only."""
        if secrets:
            for reading, text in enumerate(self.views):
                for start, end in occurrences(secrets, text, budget):
                    yield self.views.locate(reading, start, end)


def is_merged(hit: Hit) -> bool:
    """Whether the hit is redacted in one go with all others."""
    return hit.redacts and not (hit.rule.in_order and hit.target == "body")


def secrets_of(hits: Iterable[Hit]) -> dict[bytes, str]:
    """The secrets that go wherever they stand, each with the id of its rule."""
    return {
        hit.secret: hit.rule.id for hit in hits if is_merged(hit) and len(hit.secret) >= MIN_REPEATED_SECRET
    }


class _Overlaps:
    """Spans, to be asked whether one of them touches a stretch of the text."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        ordered = sorted(spans)
        self._starts = [start for start, _ in ordered]
        # How far any of the spans up to this one reaches.
        self._ends: list[int] = []
        for _, end in ordered:
            self._ends.append(max(end, self._ends[-1]) if self._ends else end)

    def touch(self, start: int, end: int) -> bool:
        before = bisect_left(self._starts, end)
        return before > 0 and self._ends[before - 1] > start
