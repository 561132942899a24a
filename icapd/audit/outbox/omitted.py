"""Messages that the policy wants no row for: counted, so that the trail says what it does not hold."""

import threading
import time
from dataclasses import dataclass, replace

#: Seconds after which a count is noted: what a worker that is killed can take with it.
INTERVAL = 60.0


@dataclass(frozen=True, slots=True)
class Count:
    """Of one scope; "" stands for the top of the policy."""

    scope: str
    messages: int
    #: Microseconds since 1970-01-01 UTC.
    since: int

    def detail(self, until: int) -> dict[str, object]:
        """For the administrative row."""
        return {"scope": self.scope, "messages": self.messages, "since": self.since, "until": until}


class Omitted:
    """The counts since the last rows; for any thread."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._lock = threading.Lock()
        self._counts: dict[str, Count] = {}
        #: By the clock that only goes forward.
        self._due_at = float("inf")

    def add(self, scope: str, now: int) -> None:
        """One more; `now`: microseconds since 1970-01-01 UTC."""
        with self._lock:
            if not self._counts:
                self._due_at = time.monotonic() + self._interval
            count = self._counts.get(scope)
            self._counts[scope] = (
                replace(count, messages=count.messages + 1) if count else Count(scope, 1, now)
            )

    def due(self, *, last: bool = False) -> tuple[Count, ...]:
        """What is to be noted now; all there is when it is the `last` time."""
        if time.monotonic() < self._due_at and not last:
            return ()
        with self._lock:
            return tuple(self._counts.values())

    def noted(self, counts: tuple[Count, ...], until: int) -> None:
        """These are on record; what was added meanwhile is not, and counts from then on."""
        if not counts:
            return
        with self._lock:
            for count in counts:
                rest = self._counts.pop(count.scope).messages - count.messages
                if rest:
                    self._counts[count.scope] = Count(count.scope, rest, until)
            self._due_at = time.monotonic() + self._interval if self._counts else float("inf")
