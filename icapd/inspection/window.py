"""A body of any length, inspected as it flows, with a bounded part of it held back."""

from collections.abc import Sequence
from dataclasses import replace

from icapd.http.media_types import MediaType
from icapd.inspection.findings import Finding, FindingLog, Place
from icapd.inspection.formats import BLANKS, CUTTERS, ESCAPES, LEAD, text_format
from icapd.inspection.limits import InspectionLimits
from icapd.inspection.live_views import LiveViews, StreamHit
from icapd.inspection.redaction import Redactor
from icapd.policy import RuleSet


class WindowStage:
    """Decides a stream block by block: each once all is there that a match beginning in it may touch.

    Finds and redacts what `Inspector.inspect_body` would, for every rule whose matches, with what they look
    at around them, span at most its `max_length`. Some things need the whole body and are not done here:
    rules on fields; taking out further copies of a secret that only its surroundings gave away; escapes that
    only `WHOLE_ESCAPES` has, and the parts of a multipart body; and the redactions of packs that go in order,
    which are merged like all others.
    """

    def __init__(
        self,
        media_type: MediaType,
        rules: RuleSet,
        log: FindingLog,
        limits: InspectionLimits,
        offset: int = 0,
        *,
        keeps_length: bool = False,
    ) -> None:
        """`offset`: where the stream begins in the one that the spans of findings count from.

        `keeps_length`: as many bytes leave as come, unless the stream is cut.
        """
        #: Whether a rule in force has blocked the stream.
        self.cut = False
        self._media_type = media_type
        self._rules = rules
        self._log = log
        self._limits = limits
        self._offset = offset
        self._redactor = Redactor(keeps_length=keeps_length)
        # Spans that are to go, behind what is written.
        self._spans: list[tuple[int, int]] = []
        # Logged, but not behind what is decided: another reading may find it again.
        self._logged: set[Place] = set()
        self._lead = b""
        self._begin(b"")

    def _begin(self, first: bytes) -> None:
        """Choose how to read the stream by its first bytes."""
        kind = text_format(self._media_type, first)
        self._views = LiveViews(self._rules, ESCAPES[kind], self._limits.block_size)
        self._cutter = CUTTERS[kind]()

    @property
    def findings(self) -> list[Finding]:
        return self._log.findings

    def feed(self, data: bytes) -> bytes:
        if not self._rules.body_rules:
            return data
        if self._views.is_empty:
            data = self._lead + data
            # Blanks don't tell the format yet.
            if len(data) < LEAD and not data.lstrip(BLANKS):
                self._lead = data
                return b""
            self._begin(data)
        size = self._limits.block_size
        if len(data) <= size:
            return self._advance(data)
        # Piece by piece, so that no more is held back than one block needs.
        return b"".join([self._advance(data[at : at + size]) for at in range(0, len(data), size)])

    def finish(self) -> bytes:
        # A stream of nothing but blanks is still where it began.
        return self._advance(self._lead if self._views.is_empty else b"", is_last=True)

    def _advance(self, data: bytes, *, is_last: bool = False) -> bytes:
        """What can leave now that the data is there too."""
        if self.cut:
            return b""
        out: list[bytes] = []
        self._views.extend(data, is_last=is_last)
        while not self.cut and (stops := self._views.next_block()):
            out.append(self._decide(stops))
        return b"".join(out)

    def _decide(self, stops: Sequence[int]) -> bytes:
        """The block, redacted, as far as it may leave."""
        end = stops[0]
        found = {item.hit.place: item for item in self._views.scan(stops, self._limits.scan_timeout)}
        if found or self._logged:
            # The same span once, in whatever readings a rule found it.
            hits = sorted(found.values(), key=_position)
            self._log_new(hits, end)
            self._spans += [(hit.start, hit.end) for _, hit in hits if hit.redacts]
            blocked_at = min((begin for begin, hit in hits if hit.blocks), default=None)
            if blocked_at is not None:
                self.cut, end = True, blocked_at
        written = self._write(end)
        self._views.move_to(stops)
        return written

    def _log_new(self, hits: Sequence[StreamHit], decided: int) -> None:
        for _, hit in hits:
            if hit.place not in self._logged:
                self._logged.add(hit.place)
                self._log.add(replace(hit, start=hit.start + self._offset, end=hit.end + self._offset))
        # What later blocks find begins behind this one.
        self._logged = {place for place in self._logged if place.start >= decided}

    def _write(self, until: int) -> bytes:
        passage = self._views.passage
        if self._spans:
            due = sorted(span for span in self._spans if span[0] < until)
            self._spans = [span for span in self._spans if span[0] >= until]
            self._redactor.replace(
                piece for start, end in due for piece in self._cutter.cut(passage, start, end)
            )
        self._cutter.advance(passage, until)
        return self._redactor.write(passage, until)


def _position(found: StreamHit) -> tuple[int, int, int]:
    return found.begin, found.hit.start, found.hit.end
