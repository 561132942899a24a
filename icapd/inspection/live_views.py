"""A stream in each of its readings, as much of it as the decisions on the next block need.

What is asked here is answered from the stream alone: in what pieces it came makes no difference, because
every window has its place in the stream, and is looked at only once all of it is there.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from icapd.inspection.budget import Budget
from icapd.inspection.escapes import Escapes
from icapd.inspection.findings import Hit
from icapd.inspection.occurrences import occurrences
from icapd.inspection.reading import Reading
from icapd.inspection.redaction import Passage
from icapd.inspection.utf8 import MAX_CHARACTER_LENGTH
from icapd.policy import Match, RuleSet


class StreamHit(NamedTuple):
    """A hit, and where the match begins that it is a part of."""

    begin: int
    hit: Hit


class LiveViews:
    """The readings of a stream, and the block of it that is next to be decided."""

    def __init__(self, rules: RuleSet, escapes: Sequence[Escapes], block_size: int, ahead: int) -> None:
        """`ahead`: bytes that are looked at behind what is found."""
        self._rules = rules
        self._block_size = block_size
        # A window ends between characters: up to three bytes before the end that it would have.
        self._margin = rules.window + MAX_CHARACTER_LENGTH
        self._needed = self._margin + ahead
        self._readings = [Reading(self._margin)]
        # Kinds that have not occurred: a reading begins with its first escape, and few streams have all.
        self._absent = list(escapes)
        self._is_complete = False

    @property
    def passage(self) -> Passage:
        """The stream itself, as far as it is there and needed."""
        return self._readings[0].passage

    @property
    def is_empty(self) -> bool:
        """Whether nothing has come yet."""
        return self._readings[0].end == 0

    def extend(self, data: bytes, *, is_last: bool = False) -> None:
        self._is_complete = is_last
        for reading in self._readings:
            data = reading.extend(data, is_last)
        while self._absent and self._absent[0].occur_in(data):
            reading = self._readings[-1].decoded(self._absent.pop(0), len(data))
            self._readings.append(reading)
            data = reading.extend(data, is_last)

    def next_block(self) -> list[int] | None:
        """Where the next block ends in each reading; None as long as a match in it may depend on more bytes.

        It has the block size, and a little more where it would end within an escape.
        """
        first, *decoded = self._readings
        stop = min(first.start + self._block_size, first.end)
        if not self._is_complete and first.end <= stop + self._needed:
            return None
        stops = [stop]
        for reading in decoded:
            if not self._is_complete and reading.offsets.source_end <= stops[-1] + self._needed:
                return None
            stops.append(reading.offsets.from_source(stops[-1]))
        for number in range(len(decoded), 0, -1):
            stops[number - 1] = self._readings[number].offsets.source_of(stops[number])
        if not self._is_complete and any(
            reading.end <= stop + self._needed for reading, stop in zip(self._readings, stops, strict=True)
        ):
            return None
        return stops if stops[0] > first.start else None

    def decoded_block(self, stops: Sequence[int], around: int) -> bytes:
        """The block with everything decoded, and some bytes around it, `around` at most."""
        last, around = self._readings[-1], min(around, self._margin)
        return last.between(max(0, last.start - around), stops[-1] + around)

    def scan(self, stops: Sequence[int], budget: Budget) -> Iterator[StreamHit]:
        """The hits whose matches begin in the block; asked again, the same ones."""
        scan = None
        for number, (reading, stop) in enumerate(zip(self._readings, stops, strict=True)):
            scan, base = reading.scan(self._rules, stop, budget.left(), scan)
            for match in scan.matches:
                if number == 0 or not match.rule.in_order:
                    budget.check(match.rule.id)
                    yield self._hit(number, match, base)

    def occurrences(
        self, secrets: Mapping[bytes, str], stops: Sequence[int], budget: Budget
    ) -> Iterator[tuple[int, int, bytes]]:
        """Where one of the secrets, each with the id of its rule, begins in the block, in any reading.

        None is longer than a rule's match. Raises ScanTimeout.
        """
        longest = max(map(len, secrets))
        for number, (reading, stop) in enumerate(zip(self._readings, stops, strict=True)):
            text = reading.between(reading.start, stop + longest - 1)
            for start, end in occurrences(secrets, text, budget):
                if reading.start + start < stop:
                    yield *self._locate(number, reading.start + start, reading.start + end), text[start:end]

    def _hit(self, number: int, match: Match, base: int) -> StreamHit:
        start, end = self._locate(number, match.start + base, match.end + base)
        begin, _ = self._locate(number, min(match.full_start, match.start) + base, match.end + base)
        return StreamHit(
            begin, Hit(match.rule, match.rule.action, "body", start, end, self._decoded(start, end))
        )

    def _locate(self, number: int, start: int, end: int) -> tuple[int, int]:
        """As `Views.locate`."""
        if number + 1 < len(self._readings):
            start, end = self._readings[number + 1].offsets.narrow(start, end)
        for reading in reversed(self._readings[1 : number + 1]):
            start, end = reading.offsets.to_source(start, end)
        return start, end

    def _decoded(self, start: int, end: int) -> bytes:
        """As `Views.decoded`."""
        for reading in self._readings[1:]:
            start, end = reading.offsets.from_source(start), reading.offsets.from_source(end)
        return self._readings[-1].between(start, end)

    def move_to(self, stops: Sequence[int]) -> None:
        """The block is decided: on to the next."""
        for reading, stop in zip(self._readings, stops, strict=True):
            reading.move_to(stop)
