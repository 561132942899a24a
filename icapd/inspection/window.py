"""A body of any length, inspected as it flows, with a bounded part of it held back."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from time import monotonic, thread_time

from icapd.errors import OutOfPatience, ScanTimeout
from icapd.http.codings import MiB
from icapd.http.media_types import MediaType
from icapd.inspection.budget import Budget
from icapd.inspection.findings import Finding, FindingLog, Hit, Place
from icapd.inspection.formats import AHEAD, BLANKS, CUTTERS, ESCAPES, LEAD, text_format
from icapd.inspection.limits import InspectionLimits
from icapd.inspection.live_views import LiveViews, StreamHit
from icapd.inspection.masking import mask_for, span_of
from icapd.inspection.occurrences import MIN_REPEATED_SECRET
from icapd.inspection.redaction import Redactor, Span, pieces_of
from icapd.inspection.scanned import is_merged
from icapd.inspection.unread import AROUND, Unread
from icapd.policy import RuleSet

#: Secrets of one stream that are looked for in the rest of it: so many take about as long as the rules.
MAX_REPEATED = 16


class WindowStage:
    """Decides a stream block by block: each once all is there that a match beginning in it may touch.

    Finds and redacts what `Inspector.inspect_body` would, for every rule whose matches, with what they look
    at around them, span at most its `max_length`. Some things need the whole body and are not done here:
    rules on fields; taking out copies of a secret that only its surroundings gave away, where they are gone
    before it comes, or are spelled as no reading reads; escapes that only `WHOLE_ESCAPES` has, and the parts
    of a multipart body; and the redactions of packs that go in order, which are merged like all others.

    All of a stream may take `scan_timeout`, and as much again for each MiB of it.
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
        self.patient = True
        self._media_type = media_type
        self._rules = rules
        self._log = log
        self._limits = limits
        self._offset = offset
        self._redactor = Redactor(keeps_length=keeps_length)
        # Spans that are to go, behind what is written.
        self._spans: list[Span] = []
        # Logged, but not behind what is decided: another reading may find it again.
        self._logged: set[Place] = set()
        # What was found and is to go wherever else it stands from here on.
        self._secrets: dict[bytes, Hit] = {}
        self._lead = b""
        # What has come and is not read yet, and what may leave and has not.
        self._coming: deque[bytes] = deque()
        self._out: list[bytes] = []
        # Seconds of work on the blocks that are decided.
        self._spent = 0.0
        self._begin(b"")

    def _begin(self, first: bytes) -> None:
        """Choose how to read the stream by its first bytes."""
        kind = text_format(self._media_type, first)
        self._views = LiveViews(self._rules, ESCAPES[kind], self._limits.block_size, AHEAD.get(kind, 0))
        self._cutter = CUTTERS[kind]()
        self._unread = Unread(self._media_type, kind)

    @property
    def leaves_unread(self) -> bool:
        return self._unread.occurred

    @property
    def findings(self) -> list[Finding]:
        return self._log.findings

    def feed(self, data: bytes) -> bytes:
        if not self._rules.body_rules:
            return data
        if self._views.is_empty and not self._coming:
            data = self._lead + data
            # Blanks don't tell the format yet.
            if len(data) < LEAD and not data.lstrip(BLANKS):
                self._lead = data
                return b""
            self._lead = b""
            self._begin(data)
        size = self._limits.block_size
        # Piece by piece, so that no more is held back than one block needs.
        self._coming.extend(data[at : at + size] for at in range(0, len(data), size))
        return self._advance()

    def finish(self) -> bytes:
        # A stream of nothing but blanks is still where it began.
        if self._lead and self._views.is_empty:
            self._coming.append(self._lead)
            self._lead = b""
        return self._advance(is_last=True)

    def _advance(self, *, is_last: bool = False) -> bytes:
        """What can leave now."""
        until = None if self.patient else monotonic() + self._limits.patience
        while not self.cut:
            while not self.cut and (stops := self._views.next_block()):
                self._out.append(self._decide(stops, until))
            if self._coming:
                if until is not None and monotonic() > until:
                    raise OutOfPatience
                self._views.extend(self._coming.popleft())
            elif is_last:
                self._views.extend(b"", is_last=True)
                is_last = False
            else:
                break
        out = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return out

    def _decide(self, stops: Sequence[int], until: float | None) -> bytes:
        """The block, redacted, as far as it may leave. OutOfPatience, and nothing changed, behind `until`."""
        end = stops[0]
        began = thread_time()
        allowed = self._limits.scan_timeout * (1 + end // MiB) - self._spent
        wait = allowed if until is None else min(allowed, until - monotonic())
        budget = Budget(wait)
        try:
            found = {item.hit.place: item for item in self._views.scan(stops, budget)}
            secrets = self._with_secrets(found.values(), budget) if found else self._secrets
            repeated = list(self._repeated(secrets, stops, budget)) if secrets else []
        except ScanTimeout:
            if wait < allowed:
                raise OutOfPatience from None
            raise
        self._secrets = secrets
        self._spans += repeated
        self._unread.look_at(self._views.decoded_block(stops, AROUND))
        if found or self._logged:
            # The same span once, in whatever readings a rule found it.
            hits = sorted(found.values(), key=_position)
            self._log_new(hits, end)
            self._spans += [span_of(hit, self._log.fingerprinter) for _, hit in hits if hit.redacts]
            blocked_at = min((begin for begin, hit in hits if hit.blocks), default=None)
            if blocked_at is not None:
                self.cut, end = True, blocked_at
        written = self._write(end)
        self._views.move_to(stops)
        self._spent += thread_time() - began
        return written

    def _with_secrets(self, found: Iterable[StreamHit], budget: Budget) -> dict[bytes, Hit]:
        """What is to go from here on. What shows by itself, its rule finds again. Raises ScanTimeout."""
        secrets = dict(self._secrets)
        for _, hit in sorted(found, key=_position):
            if len(secrets) == MAX_REPEATED:
                break
            is_known = hit.secret in secrets or not is_merged(hit)
            if is_known or not MIN_REPEATED_SECRET <= len(hit.secret) <= self._rules.window:
                continue
            if not hit.rule.shows_alone(hit.secret, budget.left()):
                secrets[hit.secret] = hit
        return secrets

    def _repeated(self, secrets: dict[bytes, Hit], stops: Sequence[int], budget: Budget) -> Iterator[Span]:
        rule_ids = {secret: hit.rule.id for secret, hit in secrets.items()}
        for start, end, secret in self._views.occurrences(rule_ids, stops, budget):
            yield Span(start, end, mask_for(secrets[secret], self._log.fingerprinter))

    def _log_new(self, hits: Sequence[StreamHit], decided: int) -> None:
        for _, hit in hits:
            if hit.place not in self._logged:
                self._logged.add(hit.place)
                self._log.add(self._as_counted(hit))
        # What later blocks find begins behind this one.
        self._logged = {place for place in self._logged if place.start >= decided}

    def _as_counted(self, hit: Hit) -> Hit:
        """With a span that counts from where the whole stream began."""
        offset = self._offset
        return replace(hit, start=hit.start + offset, end=hit.end + offset) if offset else hit

    def _write(self, until: int) -> bytes:
        passage = self._views.passage
        if self._spans:
            due = [span for span in self._spans if span.start < until]
            self._spans = [span for span in self._spans if span.start >= until]
            self._redactor.replace(pieces_of(due, passage, self._cutter))
        self._cutter.advance(passage, until)
        return self._redactor.write(passage, until)


def _position(found: StreamHit) -> tuple[int, int, int]:
    return found.begin, found.hit.start, found.hit.end
