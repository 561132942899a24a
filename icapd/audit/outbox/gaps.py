"""What the trail has to say of itself: records that could not be written, and a clock that jumped."""

import time
from dataclasses import dataclass, replace
from typing import Self

#: Seconds by which a clock may drift between two looks without a word.
_DRIFT = 1.0


@dataclass(frozen=True, slots=True)
class Gap:
    """Failed attempts to write, from the first on. Their messages met the fail mode."""

    #: Microseconds since 1970-01-01 UTC.
    since: int
    attempts: int
    problem: str

    @classmethod
    def widened(cls, gap: "Self | None", now: int, problem: str) -> "Gap":
        """By one more attempt."""
        return cls(now, 1, problem) if gap is None else replace(gap, attempts=gap.attempts + 1)

    def detail(self, until: int) -> dict[str, object]:
        """For the administrative row."""
        return {"since": self.since, "until": until, "attempts": self.attempts, "problem": self.problem}


class Clock:
    """Notices steps of the wall clock, beside the one that only goes forward."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def step(self) -> float:
        """Seconds by which the wall clock has jumped since the last look; 0 for less than a second."""
        offset = time.time() - time.monotonic()
        step, self._offset = offset - self._offset, offset
        return step if abs(step) > _DRIFT else 0.0
