"""What the trail has to say of itself: what could not be written or came late, a clock that jumped."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Protocol

#: Seconds by which a clock may drift between two looks without a word.
_DRIFT = 1.0
#: The part of an outbox's room from which on it is filling, and below which it no longer is.
_HIGH, _LOW = 0.7, 0.5


class Notes(Protocol):
    """Where administrative rows are written."""

    def admin(self, action: str, detail: Mapping[str, object]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Gap:
    """Failed attempts to write, from the first on. Their messages met the fail mode."""

    #: Microseconds since 1970-01-01 UTC.
    since: int
    attempts: int
    #: Of the first.
    problem: str


class Remarks:
    """What is not on record yet. `write` it within a transaction; then it is `written`, or that is undone.

    Any thread may tell of a failure meanwhile: some fail while another one's commit is on its way.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gap: _Gap | None = None
        self._late: list[tuple[int, int]] = []
        self._clock = _Clock()
        #: What is being written.
        self._taken: tuple[_Gap | None, int] = None, 0

    @property
    def has_gap(self) -> bool:
        return self._gap is not None

    def failed(self, problem: str) -> None:
        """A record could not be written."""
        self._widen(_Gap(_now(), 1, problem))

    def came_late(self, first: int, last: int) -> None:
        """The records of these numbers were kept when nobody waited for them any more."""
        self._late.append((first, last))

    def write(self, notes: Notes) -> None:
        with self._lock:
            gap, self._gap = self._gap, None
            late = tuple(self._late)
            self._taken = gap, len(late)
        if gap is not None:
            detail = {"since": gap.since, "until": _now(), "attempts": gap.attempts, "problem": gap.problem}
            notes.admin("gap", detail)
        for first, last in late:
            notes.admin("late", {"from": first, "to": last})
        if step := self._clock.step():
            notes.admin("clock-step", {"seconds": round(step, 3)})

    def written(self) -> None:
        """What was last written is on record."""
        _, late = self._taken
        del self._late[:late]
        self._taken = None, 0
        self._clock.noted()

    def undo(self) -> None:
        """What was last written is not."""
        gap, _ = self._taken
        self._taken = None, 0
        if gap is not None:
            self._widen(gap)

    def _widen(self, gap: _Gap) -> None:
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
        if not self._is_high and size >= self._limit * _HIGH:
            return "outbox-filling"
        if self._is_high and size < self._limit * _LOW:
            return "outbox-drained"
        return ""

    def noted(self) -> None:
        """That is on record."""
        self._is_high = not self._is_high


class _Clock:
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


def _now() -> int:
    return time.time_ns() // 1000
