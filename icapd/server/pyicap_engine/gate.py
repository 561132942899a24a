"""How many threads work at a time: the rest wait at the gate, and how long says whether it is too much."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from icapd.server.telemetry.metrics import Metrics


class Gate:
    """Lets as many threads through as there are processors.

    Python runs one at a time anyhow; matching, decompression and commits go on beside it. Without a gate all
    threads that have work would take turns of 5 ms each, and an OPTIONS, which needs no gate, would wait for
    all of them.
    """

    def __init__(self, max_delay: float) -> None:
        """`max_delay`: seconds of waiting beyond which what begins counts as overload."""
        self._free = threading.Semaphore(len(os.sched_getaffinity(0)))
        self._max_delay = max_delay
        self._arrivals: dict[int, float] = {}
        self._of_thread = threading.local()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Work that waits for its turn."""
        began = time.monotonic()
        if not self._free.acquire(blocking=False):
            thread = threading.get_ident()
            self._arrivals[thread] = began
            self._free.acquire()
            del self._arrivals[thread]
            self._of_thread.waited = time.monotonic() - began
        else:
            self._of_thread.waited = 0.0
        try:
            yield
        finally:
            self._free.release()

    def is_overloaded(self) -> bool:
        """Whether this thread has waited for too long."""
        waited: float = getattr(self._of_thread, "waited", 0.0)
        return waited > self._max_delay

    def report_to(self, metrics: Metrics) -> None:
        """Have the metrics tell who waits."""
        metrics.queue_waiting.set_function(lambda: len(self._arrivals))
        metrics.queue_oldest.set_function(self._longest_wait)

    def _longest_wait(self) -> float:
        arrivals = list(self._arrivals.values())
        return time.monotonic() - min(arrivals) if arrivals else 0.0
