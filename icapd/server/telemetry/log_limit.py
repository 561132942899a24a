"""How often the log repeats itself: what anyone can cause from outside must not fill it."""

import time
from collections.abc import Callable, Hashable

#: Seconds between two lines about the same thing: often enough for a person who is looking for the cause.
INTERVAL = 60.0
#: Things remembered, and so the most lines in one interval: an IPv6 network has addresses without end.
MAX_REMEMBERED = 256


class LogLimit:
    """Admits one line per key and interval, and never more than `MAX_REMEMBERED` lines in one interval."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # In the order of their times, the oldest first.
        self._logged: dict[Hashable, float] = {}

    def admits(self, key: Hashable) -> bool:
        """Whether a line about `key` may be written now; if so, the next one has to wait."""
        now = self._clock()
        for old in tuple(self._logged):
            if now - self._logged[old] < INTERVAL:
                break
            del self._logged[old]
        if key in self._logged or len(self._logged) >= MAX_REMEMBERED:
            return False
        self._logged[key] = now
        return True
