"""The audit trail, measured with real databases as durable as they come; Markdown on standard output.

Figures of speed are of a machine that the load, icapd and the database share: compare them with the peers
beside them, which had the same minutes of it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.audit import millions, outage, reading, report, shipping, sizes, verdict
from bench.audit.databases import KINDS
from bench.audit.records import MANY, USUAL, records
from bench.audit.trail import Trail
from bench.processes import Unavailable
from bench.report import command_line, machine

RESULTS = Path(__file__).parents[1] / "RESULTS.md"
_MARK = "<!-- audit -->"
_DEBIAN_PACKAGES = ("postgresql-15", "mariadb-server-core")
_PYTHON_PACKAGES = ("SQLAlchemy", "psycopg", "pymysql", "pyarrow")

#: Name -> what it measures, and its lines of the report.
Part = Callable[[argparse.Namespace, Path], Iterator[str]]


def main() -> int:
    """Run the parts that are asked for; the exit code."""
    options = _options()
    lines: list[str] = []

    def tell(*more: str) -> None:
        lines.extend(more)
        print("\n".join(more), flush=True)

    tell(f"`{command_line('bench.audit')}`", "", *machine(_DEBIAN_PACKAGES, _PYTHON_PACKAGES), "")
    for name in options.only:
        print(f"measuring: {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="icapd-bench-", ignore_cleanup_errors=True) as directory:
            try:
                tell(*PARTS[name](options, Path(directory)), "")
            except Unavailable as reason:
                tell(f"{name}: not measured: {reason}", "")
    if options.record:
        before, _, rest = RESULTS.read_text().partition(_MARK)
        _, _, after = rest.partition(_MARK)
        title = f"## {datetime.now(UTC):%Y-%m-%d}: the audit trail"
        text = "\n".join(lines)
        RESULTS.write_text(f"{before}{_MARK}\n\n{title}\n\n{text}\n{_MARK}{after}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        metavar="PART,...",
        type=lambda text: text.split(","),
        default=list(PARTS),
        help=f"of {', '.join(PARTS)}",
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument(
        "--records", type=int, default=50_000, help="of one turn that ships (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="of one turn of load (default: %(default)s)"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of the outage (default: %(default)s)")
    parser.add_argument(
        "--rows", type=int, default=10_000_000, help="that questions are asked over (default: %(default)s)"
    )
    parser.add_argument(
        "--times", type=int, default=100, help="each question is asked (default: %(default)s)"
    )
    parser.add_argument("--databases", default=",".join(KINDS), help="to ship to (default: %(default)s)")
    parser.add_argument("--record", action="store_true", help="put it into bench/RESULTS.md as well")
    options = parser.parse_args()
    for chosen, known in ((options.only, PARTS), (options.databases.split(","), KINDS)):
        if unknown := set(chosen) - set(known):
            parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return options


def _shipping(options: argparse.Namespace, _: Path) -> Iterator[str]:
    results: shipping.Results = {}
    for name in options.databases.split(","):
        with KINDS[name]() as place:
            results |= shipping.measure(name, place, options.records, options.rounds)
    return report.shipping_lines(results)


def _verdict(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    return report.verdict_lines(*verdict.measure(directory, options.rounds, options.seconds))


def _outage(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    with KINDS["postgresql"]() as place:
        measured = outage.measure(directory / "icapd", place, options.minutes, options.seconds)
    return report.outage_lines(measured, options.minutes)


def _questions(options: argparse.Namespace, _: Path) -> Iterator[str]:
    with KINDS["postgresql"]() as place:
        url = ""
        for url in millions.fill(place, options.rows):
            print(f"  {url}", file=sys.stderr)
        return report.question_lines(millions.ask(url, options.times, options.rounds), options.rows)


def _reading(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    passed = {}
    for name in options.databases.split(","):
        with KINDS[name]() as place:
            trail = Trail.make(directory / name, place.make())
            count = options.records * 4
            trail.fill(records(count, USUAL, since=time.time_ns() // 1000))
            trail.drain()
            passed[name, "verify"] = reading.verified(trail)
            for format_ in reading.FORMATS:
                passed[name, f"export {format_}"] = reading.exported(trail, format_)
    return report.reading_lines(passed)


def _sizes(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    found = {}
    now = time.time_ns() // 1000
    for name in options.databases.split(","):
        with KINDS[name]() as place:
            trail = Trail.make(directory / name, place.make())
            trail.fill(records(options.records * 4, USUAL, since=now))
            trail.drain()
            found[name] = sizes.of_tables(trail.audit.database_url)
    outboxes = {}
    for label, one_in in (("usual", USUAL), ("many", MANY)):
        place_ = directory / label
        place_.mkdir()
        count = options.records
        outboxes[label] = sizes.of_outbox(place_, records(count, one_in, since=now), count)
    return report.size_lines(found, outboxes)


PARTS: dict[str, Part] = {
    "shipping": _shipping,
    "verdict": _verdict,
    "outage": _outage,
    "questions": _questions,
    "reading": _reading,
    "sizes": _sizes,
}

if __name__ == "__main__":
    sys.exit(main())
