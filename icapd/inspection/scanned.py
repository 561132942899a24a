"""A text with what was found in it, and in the texts that it encloses; from there, the text without it."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from icapd.http.transcoding import Edit
from icapd.inspection.budget import Budget
from icapd.inspection.findings import Fingerprinter, Hit
from icapd.inspection.masking import mask_for, span_of
from icapd.inspection.occurrences import MIN_REPEATED_SECRET, occurrences, spellings_of
from icapd.inspection.redaction import Cutter, Piece, Span, redact
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
    #: What the text is called, as a file.
    file_name: bytes = b""

    def locate(self, hit: Hit) -> Hit:
        """What was found in it, with a span of the text around."""
        start, end = self.start, self.end
        if not self.is_coded:
            start, end = start + hit.start, start + hit.end
        return replace(hit, start=start, end=end, file_name=hit.file_name or self.file_name)


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
        self,
        secrets: Mapping[bytes, Hit],
        fingerprinter: Fingerprinter,
        budget: Budget,
        edits: list[Edit] | None = None,
    ) -> bytes:
        """The text without what is to go, and without any of the secrets; the same object when all stands.

        Redactions of packs that go in order are left out. `edits` gets what was done.
        """
        spans = [span_of(hit, fingerprinter) for hit in self.own if is_merged(hit)]
        rule_ids = {secret: hit.rule.id for secret, hit in secrets.items()}
        repeated = list(self._repeated(rule_ids, secrets, fingerprinter, budget))
        pieces: list[Piece] = []
        found = _Spans(spans)
        for each in self.enclosed:
            text = each.scanned.redacted(secrets, fingerprinter, budget)
            if text is each.scanned.text:
                continue
            piece = Piece(each.start, each.end, each.encode(text))
            if found.touch(each.start, each.end) or any(occurrences(rule_ids, piece.replacement, budget)):
                spans.append(Span(each.start, each.end))
            else:
                pieces.append(piece)
        if pieces and repeated:
            # A secret may show in a coded text, too, as it is coded; there it is gone already.
            written = _Spans(Span(piece.start, piece.end) for piece in pieces)
            repeated = [span for span in repeated if not written.contain(span.start, span.end)]
        return redact(self.text, spans + repeated, self.cutter, pieces, budget, edits)

    def _repeated(
        self,
        rule_ids: Mapping[bytes, str],
        secrets: Mapping[bytes, Hit],
        fingerprinter: Fingerprinter,
        budget: Budget,
    ) -> Iterator[Span]:
        """Where else, in any reading, the secrets stand: a rule may know one by its surroundings only."""
        if rule_ids:
            for reading, text in enumerate(self.views):
                for start, end in occurrences(rule_ids, text, budget):
                    mask = mask_for(secrets[text[start:end]], fingerprinter)
                    yield Span(*self.views.locate(reading, start, end), mask)


def is_merged(hit: Hit) -> bool:
    """Whether the hit is redacted in one go with all others."""
    return hit.redacts and not (hit.rule.in_order and hit.target == "body")


def secrets_of(hits: Iterable[Hit]) -> dict[bytes, Hit]:
    """The secrets that go wherever they stand, in every spelling, each with a hit on it."""
    long = {hit.secret: hit for hit in hits if is_merged(hit) and len(hit.secret) >= MIN_REPEATED_SECRET}
    return {spelling: hit for secret, hit in long.items() for spelling in spellings_of(secret)}


class _Spans:
    """Spans, to be asked about another one."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, spans: Iterable[Span]) -> None:
        ordered = sorted((span.start, span.end) for span in spans)
        self._starts = [start for start, _ in ordered]
        # How far any of the spans up to this one reaches.
        self._ends = list(accumulate((end for _, end in ordered), max))

    def touch(self, start: int, end: int) -> bool:
        before = bisect_left(self._starts, end)
        return before > 0 and self._ends[before - 1] > start

    def contain(self, start: int, end: int) -> bool:
        """Whether one of them does, where they don't overlap."""
        before = bisect_right(self._starts, start)
        return before > 0 and self._ends[before - 1] >= end
