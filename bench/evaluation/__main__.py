"""How well the shipped rules detect: figures by family, against the goals and against the floors.

Exit code 1 when a figure is worse than the floor that bench/evaluation/floors.toml has for it.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.evaluation.corpus import cases_from, fetch
from bench.evaluation.floors import Floor, read_floors
from bench.evaluation.run import Outcome, outcomes
from bench.evaluation.score import Figure, failed, figures
from bench.evaluation.sets import SETS

ROOT = Path(__file__).parents[2]
#: Where `--fetch` puts packages, and `--corpus` looks for them.
CORPUS = ROOT / "var" / "evaluation"


def main() -> int:
    """Run what the options say; the exit code."""
    options = _options()
    if options.fetch:
        fetch(CORPUS)
    floors = read_floors()
    judged = list(_judged(options.set or list(SETS), options.corpus, options.failures))
    measured = figures(judged)
    if options.format == "json":
        print(json.dumps([_row(figure, floors) for figure in measured], indent=1))
    elif options.format == "markdown":
        print(_markdown(measured, floors))
    else:
        Console().print(_table(measured, floors))
    # A corpus is as large as one wants it: floors are for what is the same everywhere.
    worse = (
        [] if options.corpus else [figure for figure in measured if _floor(figure, floors).missed_by(figure)]
    )
    for figure in worse:
        limit = _floor(figure, floors).floor
        print(f"{figure.family}: {figure.measure} {figure.value:.2f} %, floor {limit:g} %", file=sys.stderr)
    return 1 if worse else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/evaluate", description=__doc__.partition("\n")[0])
    parser.add_argument("--set", action="append", choices=SETS, help="only this set (repeatable)")
    parser.add_argument("--format", choices=["table", "json", "markdown"], default="table")
    parser.add_argument(
        "--failures", type=int, default=0, metavar="N", help="show N cases of each family that went wrong"
    )
    parser.add_argument(
        "--corpus", action="store_true", help="take harmless responses from fetched packages too"
    )
    parser.add_argument(
        "--fetch", action="store_true", help="fetch these packages first, into var/evaluation"
    )
    return parser.parse_args()


def _judged(names: list[str], with_corpus: bool, failures: int) -> Iterator[tuple[str, Outcome]]:
    shown: dict[str, int] = defaultdict(int)
    for name in names:
        for outcome in outcomes(SETS[name]()):
            yield name, _show(outcome, shown, failures)
    if with_corpus:
        for outcome in outcomes(cases_from(CORPUS)):
            yield "harmless-responses", _show(outcome, shown, failures)


def _show(outcome: Outcome, shown: dict[str, int], failures: int) -> Outcome:
    family = outcome.case.family
    if shown[family] < failures and failed(outcome):
        shown[family] += 1
        print(f"--- {family}: {outcome.case.url!r} {', '.join(outcome.rules)}", file=sys.stderr)
        print(_difference(outcome), file=sys.stderr)
    return outcome


def _difference(outcome: Outcome) -> str:
    """The part of the body around the first change, else its beginning."""
    before, after = outcome.case.body, outcome.body
    at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    return repr(before[max(0, at - 80) : at + 160])


def _floor(figure: Figure, floors: dict[tuple[str, str], Floor]) -> Floor:
    return floors.get((figure.family, figure.measure), Floor(None, None))


def _row(figure: Figure, floors: dict[tuple[str, str], Floor]) -> dict[str, object]:
    floor = _floor(figure, floors)
    return {
        "family": figure.family,
        "measure": figure.measure,
        "percent": round(figure.value, 3),
        "of": figure.total,
        "goal": floor.goal,
        "floor": floor.floor,
    }


_COLUMNS = ("family", "cases", "measured", "goal", "floor")


def _rows(measured: list[Figure], floors: dict[tuple[str, str], Floor]) -> Iterator[tuple[str, ...]]:
    """One row for each family; what is as good as can be is left out, where no goal asks for it."""
    by_family: dict[str, list[Figure]] = defaultdict(list)
    for figure in measured:
        by_family[figure.family].append(figure)
    for family, members in by_family.items():
        shown = [
            figure
            for number, figure in enumerate(members)
            if number == len(members) - 1 or figure.value or _floor(figure, floors).goal is not None
        ]
        limits = [_floor(figure, floors) for figure in shown]
        yield (
            family,
            f"{max(figure.total for figure in members if 'bytes' not in figure.measure):,}",
            ", ".join(f"{figure.measure} {figure.value:.2f} %" for figure in shown),
            ", ".join(f"{limit.goal:g}" for limit in limits if limit.goal is not None),
            ", ".join(f"{limit.floor:g}" for limit in limits if limit.floor is not None),
        )


def _table(measured: list[Figure], floors: dict[tuple[str, str], Floor]) -> Table:
    table = Table(*_COLUMNS)
    for row in _rows(measured, floors):
        table.add_row(*row)
    return table


def _markdown(measured: list[Figure], floors: dict[tuple[str, str], Floor]) -> str:
    rows = [_COLUMNS, ("---", "---:", "---", "---:", "---:"), *_rows(measured, floors)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    sys.exit(main())
