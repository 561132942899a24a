"""From outcomes to figures: how much of each family went as it should, in percent."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bench.evaluation.remains import is_clean
from bench.evaluation.run import Outcome
from icapd.inspection.redaction import PERCENT_REPLACEMENT
from icapd.policy import REPLACEMENT

#: Measures that should be high; of all others, less is better.
HIGHER_IS_BETTER = frozenset({"clean", "blocked attacks"})


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure of one family."""

    family: str
    measure: str
    #: Percent.
    value: float
    #: Of so many cases (or bytes).
    total: int


@dataclass(slots=True)
class _Tally:
    total: int = 0
    hits: int = 0

    def add(self, hits: int, total: int = 1) -> None:
        self.total += total
        self.hits += hits


def judge(outcome: Outcome) -> Mapping[str, tuple[int, int]]:
    """What one outcome adds to each measure: how much of how much."""
    case = outcome.case
    measures = {"broken JSON": (int(not keeps_shape(case.body, outcome.body)), 1)}
    if case.harmful:
        return {"blocked attacks": (int(outcome.blocked), 1)}
    if case.secret is not None:
        gone = outcome.blocked or is_clean(case.secret, outcome.body, outcome.url)
        return measures | {"clean": (int(gone), 1)}
    if case.direction == "response":
        removed = _removed(case.body, outcome.body)
        return measures | {
            "changed": (int(outcome.changed or outcome.blocked), 1),
            "changed bytes": (removed, len(case.body)),
        }
    return measures | {
        "blocked": (int(outcome.blocked), 1),
        "blocked by credentials": (int(outcome.blocked_by_credentials), 1),
    }


def failed(outcome: Outcome) -> bool:
    """Whether anything went other than it should."""
    return any(
        count < total if measure in HIGHER_IS_BETTER else count > 0
        for measure, (count, total) in judge(outcome).items()
    )


def figures(judged: Iterable[tuple[str, Outcome]]) -> list[Figure]:
    """The figures of each family, in order, and of each set as a whole, under the set's own name."""
    tallies: dict[tuple[str, str], _Tally] = {}
    for name, outcome in judged:
        for measure, (count, total) in judge(outcome).items():
            for family in (outcome.case.family, name):
                tallies.setdefault((family, measure), _Tally()).add(count, total)
    return list(_figures(tallies))


def _figures(tallies: Mapping[tuple[str, str], _Tally]) -> Iterator[Figure]:
    for (family, measure), tally in tallies.items():
        if tally.total:
            yield Figure(family, measure, 100 * tally.hits / tally.total, tally.total)


def keeps_shape(before: bytes, after: bytes) -> bool:
    """Whether what was JSON still is, with the same keys and the same types."""
    if before is after:
        return True
    try:
        document = json.loads(before)
    except ValueError:
        return True
    try:
        return _shape(json.loads(after)) == _shape(document)
    except ValueError:
        return False


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shape(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_shape(member) for member in value]
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def _removed(before: bytes, after: bytes) -> int:
    """Bytes that were taken away, what stands in their place aside."""
    marks = sum(after.count(mark) - before.count(mark) for mark in (REPLACEMENT, PERCENT_REPLACEMENT))
    return max(0, len(before) - len(after) + marks * len(REPLACEMENT))
