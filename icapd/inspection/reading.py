"""One reading of a stream: the bytes as they come, or the same with their escapes decoded."""

from dataclasses import dataclass, field

from icapd.inspection.escapes import Escapes
from icapd.inspection.offsets import OffsetMap
from icapd.inspection.redaction import Passage
from icapd.inspection.utf8 import MAX_CHARACTER_LENGTH, character_start
from icapd.policy import Match, RuleSet


@dataclass(frozen=True, slots=True)
class Scan:
    """What was asked of the rules and what they answered."""

    window: bytes = field(repr=False)
    start: int
    stop: int
    resume: dict[str, int]
    matches: list[Match]
    resume_after: dict[str, int]


class Reading:
    """One reading: the part of it that is still needed, and where its next block begins.

    Offsets count from the beginning of the reading.
    """

    def __init__(self, margin: int) -> None:
        #: How the reading comes out of the one before; without meaning in the first.
        self.offsets = OffsetMap()
        self.start = 0
        self._margin = margin
        self._escapes: Escapes | None = None
        self._undecoded = b""
        self._buffer = b""
        self._base = 0
        # Where a rule's search goes on that has a match which ends behind the block's start.
        self._resume: dict[str, int] = {}
        # The same behind the block that was scanned last.
        self._resume_behind: dict[str, int] = {}

    def decoded(self, escapes: Escapes, ahead: int) -> "Reading":
        """A reading of this one with escapes decoded, of which none occurs but in the last `ahead` bytes.

        Those are not yet in it. So far both are the same, and so is all that was found in them.
        """
        reading = Reading(self._margin)
        reading._escapes = escapes
        reading._buffer = self._buffer[: len(self._buffer) - ahead]
        reading.start, reading._base = self.start, self._base
        reading.offsets = OffsetMap(reading.end)
        reading._resume = dict(self._resume)
        return reading

    @property
    def end(self) -> int:
        return self._base + len(self._buffer)

    @property
    def passage(self) -> Passage:
        return Passage(self._buffer, self._base)

    def between(self, start: int, end: int) -> bytes:
        return self._buffer[start - self._base : end - self._base]

    def extend(self, data: bytes, is_last: bool) -> bytes:
        """Take the next bytes of the reading before; returns what they add to this one."""
        if self._escapes is not None:
            data = self._decode(self._escapes, data, is_last)
        self._buffer += data
        return data

    def _decode(self, escapes: Escapes, data: bytes, is_last: bool) -> bytes:
        source = self._undecoded + data
        parts = escapes.split(source)
        if not is_last:
            _drop_unsettled(parts, len(source) - escapes.max_length + 1)
        self._undecoded = source[sum(map(len, parts)) :]
        decoded = escapes.decode_parts(parts)
        self.offsets.extend(parts, decoded)
        return b"".join(decoded)

    def scan(self, rules: RuleSet, stop: int, timeout: float, before: Scan | None) -> tuple[Scan, int]:
        """The matches that begin from the block's start up to `stop`, and what their offsets count from.

        `before`: the scan of the reading before. Where nothing is escaped, it has been asked the same.
        """
        first = character_start(self._buffer, max(0, self.start - self._margin - self._base))
        last = stop + self._margin - self._base
        last = character_start(self._buffer, last) if last < len(self._buffer) else len(self._buffer)
        window, base = self._buffer[first:last], self._base + first
        start, stop = self.start - base, stop - base
        resume = {rule: end - base for rule, end in self._resume.items() if end > self.start}
        scan = before
        if scan is None or (scan.window, scan.start, scan.stop, scan.resume) != (window, start, stop, resume):
            resume_after = dict(resume)
            matches = rules.scan("body", window, start=start, stop=stop, resume=resume_after, timeout=timeout)
            scan = Scan(window, start, stop, resume, matches, resume_after)
        self._resume_behind = {rule: end + base for rule, end in scan.resume_after.items()}
        return scan, base

    def move_to(self, start: int) -> None:
        """The next block begins there; what lies further back than any match looks is given up."""
        self.start = start
        self._resume = self._resume_behind
        needed = start - self._margin - MAX_CHARACTER_LENGTH
        if needed > self._base:
            self._buffer = self._buffer[needed - self._base :]
            self._base = needed
            self.offsets.forget(needed)


def _drop_unsettled(parts: list[bytes], settled: int) -> None:
    """Take from parts, in turn literal and escape, what may be part of an escape that goes on.

    An escape that begins before `settled` is all there, and so is a literal byte.
    """
    end = sum(map(len, parts)) - len(parts[-1])
    while end > settled and len(parts) > 1:
        start = end - len(parts[-2])
        if start < settled:
            parts[-1] = b""
            return
        del parts[-2:]
        end = start - len(parts[-1])
    parts[-1] = parts[-1][: max(0, settled - end)]
