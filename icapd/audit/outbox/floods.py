"""Keeps a flood of equal findings in few rows: an agent in a loop must fill neither the disk nor the tables.

Records with findings are equal when all is but when they were, how long they took and their ids: the same
client, host and path, the same findings. Of those, each second's first ones are kept one by one; the rest is
one record, the *tally*, whose `repeats` says how many transactions it stands for.
"""

import time
from collections.abc import Callable
from dataclasses import fields, replace
from operator import attrgetter

from icapd.audit.record import AuditRecord

_DIFFERING = {"event_id", "txn_id", "occurred_at", "latency_us"}
_what_is_equal = attrgetter(*(field.name for field in fields(AuditRecord) if field.name not in _DIFFERING))

_Key = tuple[object, ...]


class Floods:
    """Counts within one second after the other. What was counted can be undone up to the last `begin`."""

    def __init__(self, threshold: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`threshold`: equal records in a second that are kept one by one; 0: all are."""
        self._threshold = threshold
        self._clock = clock
        self._second = 0
        self._counts: dict[_Key, int] = {}
        self._tallies: dict[_Key, AuditRecord] = {}
        self._before = self._second, self._counts, self._tallies
        self._changed: list[tuple[_Key, int, AuditRecord | None]] = []

    def begin(self, *, is_end: bool = False) -> list[AuditRecord]:
        """What counts from here on can be undone. Returns the tallies whose second is over, or all."""
        self._changed = []
        self._before = self._second, self._counts, self._tallies
        second = int(self._clock())
        if second == self._second and not is_end:
            return []
        ended = list(self._tallies.values())
        self._second, self._counts, self._tallies = second, {}, {}
        return ended

    def tally(self, record: AuditRecord) -> AuditRecord | None:
        """The tally that the record is in now; None for a record that is kept by itself."""
        if not self._threshold or not record.findings:
            return None
        key = _what_is_equal(record)
        count, tally = self._counts.get(key, 0), self._tallies.get(key)
        self._changed.append((key, count, tally))
        self._counts[key] = count + 1
        if count < self._threshold:
            return None
        tally = record if tally is None else replace(tally, repeats=tally.repeats + record.repeats)
        self._tallies[key] = tally
        return tally

    def undo(self) -> None:
        """Back to the last `begin`, whose tallies are not over."""
        for key, count, tally in reversed(self._changed):
            self._counts[key] = count
            if tally is not None:
                self._tallies[key] = tally
            else:
                self._tallies.pop(key, None)
        self._second, self._counts, self._tallies = self._before
        self._changed = []
