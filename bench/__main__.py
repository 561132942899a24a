"""icapd beside its peers, in one run: sets everything up, measures by turns, writes a table and a plot.

Server CPU per transaction is the main figure: time on the wall is the machine's as much as the servers'.
Every answer is checked; a server that answers wrongly has no figures, and if it is ours the exit code is 1.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from bench.cases import QUICK, all_cases
from bench.servers import SERVERS

_T = TypeVar("_T")
HERE = Path(__file__).parent
_MARK = "<!-- newest -->"


def main() -> int:
    """Run what the options say; the exit code."""
    options = _options()
    # Told to end, as by a time limit: clean up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Imported late: --help should need nothing that the extra `bench` brings.
    from bench.proxied import ProxyResults, measure_proxied  # noqa: PLC0415
    from bench.report import command_line, render  # noqa: PLC0415
    from bench.turns import Results, take_turns  # noqa: PLC0415

    wanted = _parts(options.only)
    cases = [case for case in all_cases() if not options.quick or case.name in QUICK]
    if options.cases:
        cases = [case for case in cases if any(text in case.name for text in options.cases.split("/"))]
    rounds = options.rounds or (1 if options.quick else 3)
    results: Results | None = None
    proxied: ProxyResults | None = None
    with tempfile.TemporaryDirectory(prefix="icapd-bench-", ignore_cleanup_errors=True) as name:
        # Servers that give up root must reach their files.
        Path(name).chmod(0o755)
        kinds = [kind for kind in SERVERS if kind.name in wanted]
        if kinds and cases:
            results = take_turns(
                kinds, cases, Path(name) / "icap", rounds=rounds, seconds=options.seconds, progress=_progress
            )
        if "squid" in wanted:
            proxied = measure_proxied(
                Path(name) / "squid",
                rounds=rounds,
                seconds=2.0 if options.quick else 5.0,
                event_seconds=5.0 if options.quick else 20.0,
                progress=_progress,
            )
    report = render(results, proxied, command_line())
    print(report)
    _write(options.output, report)
    from bench.plot import draw  # noqa: PLC0415

    draw(results, proxied, options.output / "figures.png")
    if options.record:
        _record(report)
    ours = [name for name in results.wrong if name.startswith("icapd")] if results else []
    ours += [name for name, _ in proxied.failures if name.startswith("icapd")] if proxied else []
    return 1 if ours else 0


def _options() -> argparse.Namespace:
    names = ", ".join(repr(kind.name) for kind in SERVERS)
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few messages, one turn each: about 2 minutes")
    parser.add_argument(
        "--only", metavar="NAME,...", help=f"these alone, of {names}, and 'squid' for end to end"
    )
    parser.add_argument(
        "--cases", metavar="TEXT/...", help="only messages with one of these texts in their name"
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, help="turns of each server with each message (default: 3; quick: 1)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=HERE / "results",
        help="directory for table and plot (default: %(default)s)",
    )
    parser.add_argument(
        "--record", action="store_true", help="make this run the newest of bench/RESULTS.md as well"
    )
    options = parser.parse_args()
    known = {kind.name for kind in SERVERS} | {"squid"}
    if unknown := set(_parts(options.only)) - known:
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}; there are {names} and 'squid'")
    return options


def _parts(only: str | None) -> list[str]:
    """Names of servers and parts. A server's name may hold a comma: the longest that fits is taken."""
    everything = [*(kind.name for kind in SERVERS), "squid"]
    if only is None:
        return everything
    names, rest = [], only
    while rest:
        fitting = [name for name in everything if rest == name or rest.startswith(f"{name},")]
        name = max(fitting, key=len) if fitting else rest.partition(",")[0]
        names.append(name)
        rest = rest[len(name) :].removeprefix(",").lstrip()
    return names


def _progress(turns: Sequence[_T]) -> Iterator[_T]:
    return iter(track(turns, "measuring", console=Console(file=sys.stderr)))


def _write(directory: Path, report: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "figures.md").write_text(report)


def _record(report: str) -> None:
    """Put the report at the top of RESULTS.md, in place of the last newest one."""
    file = HERE / "RESULTS.md"
    before, mark, rest = file.read_text().partition(_MARK)
    _, _, older = rest.partition(_MARK)
    title = f"## {datetime.now(UTC):%Y-%m-%d}: the newest run"
    entry = f"\n\n{title}\n\n{report}\n![figures](results/figures.png)\n\n"
    file.write_text(before + mark + entry + _MARK + older)


if __name__ == "__main__":
    sys.exit(main())
