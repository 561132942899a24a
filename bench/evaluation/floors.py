"""What each figure has to be: the goal that is aimed at, and the floor beyond which it fails CI."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from bench.evaluation.score import HIGHER_IS_BETTER, Figure

FILE = Path(__file__).with_name("floors.toml")


@dataclass(frozen=True, slots=True)
class Floor:
    """Percent; for what should be low, the floor is the most that may be."""

    goal: float | None
    floor: float | None

    def missed_by(self, figure: Figure) -> bool:
        if self.floor is None:
            return False
        if figure.measure in HIGHER_IS_BETTER:
            return figure.value < self.floor
        return figure.value > self.floor


def read_floors() -> dict[tuple[str, str], Floor]:
    """By family (or set) and measure."""
    tables = tomllib.loads(FILE.read_text())
    return {
        (family, measure): Floor(limits.get("goal"), limits.get("floor"))
        for measure, families in tables.items()
        for family, limits in families.items()
    }
