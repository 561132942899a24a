"""What the trail has to say of itself: records that could not be written, and a clock that jumped."""

import threading
import time
from dataclasses import dataclass, replace
from operator import attrgetter

#: The part of an outbox's room from which on it is filling, and below which it no longer is.
HIGH, LOW = 0.7, 0.5
#: Seconds by which a clock may drift between two looks without a word.
_DRIFT = 1.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Failed attempts to write, from the first on. Their messages met the fail mode."""

    #: Microseconds since 1970-01-01 UTC.
    since: int
    attempts: int
    #: Of the first.
    problem: str

    def detail(self, until: int) -> dict[str, object]:
        """For the administrative row."""
        return {"since": self.since, "until": until, "attempts": self.attempts, "problem": self.problem}


class Gaps:
    """The gap that is not on record yet. Some threads fail while another one's commit is on its way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gap: Gap | None = None

    def __bool__(self) -> bool:
        return self._gap is not None

    def take(self) -> Gap | None:
        """To put it on record."""
        with self._lock:
            gap, self._gap = self._gap, None
            return gap

    def widen(self, gap: Gap) -> None:
        """By a failed attempt, or by what was taken and is not on record after all."""
        with self._lock:
            if self._gap is not None:
                first, second = sorted((self._gap, gap), key=attrgetter("since"))
                gap = replace(first, attempts=first.attempts + second.attempts)
            self._gap = gap


class Watermark:
    """Tells when an outbox has become fuller than it should be, and when that is over."""

    def __init__(self, limit: int) -> None:
        """`limit`: bytes that the outbox may have."""
        self._limit = limit
        self._is_high = False

    def crossed(self, size: int) -> str:
        """The action to note; "" for none."""
        if not self._is_high and size >= self._limit * HIGH:
            return "outbox-filling"
        if self._is_high and size < self._limit * LOW:
            return "outbox-drained"
        return ""

    def noted(self) -> None:
        """That is on record."""
        self._is_high = not self._is_high


class Clock:
    """Notices steps of the wall clock, beside the one that only goes forward."""

    def __init__(self) -> None:
        self._offset = self._seen = time.time() - time.monotonic()

    def step(self) -> float:
        """Seconds by which the wall clock has jumped since it was last `noted`; 0 for less than a second."""
        self._seen = time.time() - time.monotonic()
        step = self._seen - self._offset
        return step if abs(step) > _DRIFT else 0.0

    def noted(self) -> None:
        """What was last seen is on record."""
        self._offset = self._seen
