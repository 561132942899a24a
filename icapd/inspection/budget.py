"""The time that one inspection may take."""

from time import monotonic

from icapd.errors import ScanTimeout


class Budget:
    """Counts down from its making."""

    __slots__ = ("_deadline",)

    def __init__(self, seconds: float) -> None:
        self._deadline = monotonic() + seconds

    def left(self) -> float:
        """Seconds; with none left, `RuleSet` raises ScanTimeout."""
        return max(0.0, self._deadline - monotonic())

    def check(self, rule_id: str) -> None:
        """Raise ScanTimeout, on that rule's account, when nothing is left."""
        if not self.left():
            raise ScanTimeout(rule_id)
