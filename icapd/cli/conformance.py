"""`icapd conformance`: the conformance bar against any ICAP server."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from icapd.cli.tables import console
from icapd.conformance import CHECKS, Check, Options, Result, Status, Target, find_services, run
from icapd.conformance.lab import DEFAULT_BLOCK_TRIGGER, DEFAULT_TRIGGER

EXIT_BROKEN = 1
_STYLES = {
    Status.PASS: "green",
    Status.FAIL: "bold red",
    Status.UNTESTABLE: "dim",
    Status.SKIPPED: "yellow",
}


class _Lines(click.ParamType[tuple[Check, ...]]):
    """`24,30-35`: lines of the bar."""

    name = "lines"

    def convert(
        self, value: str | tuple[Check, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Check, ...]:
        if isinstance(value, tuple):
            return value
        wanted: set[int] = set()
        for part in value.split(","):
            first, dash, last = part.strip().partition("-")
            if not first.isdecimal() or (dash and not last.isdecimal()):
                self.fail(f"{part!r} is no line and no range of lines, such as 24 or 30-35", param, ctx)
            wanted.update(range(int(first), int(last or first) + 1))
        if not wanted & CHECKS.keys():
            self.fail(f"{value}: the lines are 1 to {max(CHECKS)}", param, ctx)
        return tuple(check for line, check in CHECKS.items() if line in wanted)


@click.command()
@click.argument("url", metavar="ICAP-URL")
@click.option(
    "--reqmod", metavar="PATH", default="", help="The service for requests; default: found by OPTIONS."
)
@click.option(
    "--respmod", metavar="PATH", default="", help="The service for responses; default: found by OPTIONS."
)
@click.option("--only", "checks", type=_Lines(), help="These lines only, as 24,30-35.")
@click.option(
    "--trigger",
    default=DEFAULT_TRIGGER,
    show_default=True,
    help='Text in a body that the server changes or blocks; "" when there is none.',
)
@click.option(
    "--block-trigger",
    default=DEFAULT_BLOCK_TRIGGER,
    show_default=True,
    help='Text in a request that the server blocks; "" when there is none.',
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=5.0,
    show_default=True,
    help="Seconds of silence after which an answer is missing.",
)
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=0.0,
    help="Seconds to wait for the server's own time limits (lines 15 and 70); default: they are skipped.",
)
@click.option(
    "--ca",
    "ca_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Authorities for icaps://, PEM; default: those of the system.",
)
@click.option(
    "--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.pass_context
def conformance(
    ctx: click.Context,
    url: str,
    reqmod: str,
    respmod: str,
    checks: tuple[Check, ...] | None,
    trigger: str,
    block_trigger: str,
    timeout: float,
    wait: float,
    ca_file: Path | None,
    output_format: str,
) -> None:
    """Check an ICAP server line by line: RFC 3507, its errata, its drafts, and what Squid relies on.

    ICAP-URL is icap://HOST[:PORT]/SERVICE, or icaps:// for TLS. Any server will do, not only icapd. It is
    sent well-formed and broken requests, a few hundred in all, and bodies of up to 32 MiB: do not point this
    at a server that has other work to do.

    \b
    icapd conformance icap://127.0.0.1:1344                 icapd's own /reqmod and /respmod
    icapd conformance icap://192.0.2.7/echo                 one service, for both methods or for one
    icapd conformance icap://h --reqmod /rq --respmod /rs   two services by other names
    icapd conformance icap://h --only 30-42 --format json   Preview, 100, 204 and 206, for a program

    Some lines need a message that the server changes or blocks. Tell by --trigger what does that there: the
    defaults are what icapd's own rules look for. A line that finds nothing to look at is skipped, and says
    what it wants.

    \b
    Exit codes: 0 every MUST holds, 1 one does not, 2 usage, 4 unreachable.
    """
    target = Target.parse(url, ca_file)
    options = Options(timeout, timeout / 5, wait, trigger, block_trigger)
    lab = find_services(target, options, _path(reqmod), _path(respmod))
    results = list(_with_progress(run(lab, checks or CHECKS.values()), len(checks or CHECKS)))
    if output_format == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(_as_json(url, results))))
    else:
        console().print(_table(results))
        click.echo(_summary(results))
    if any(result.breaks_a_must for result in results):
        ctx.exit(EXIT_BROKEN)


def _path(value: str) -> str:
    """With the slash that people leave out."""
    return f"/{value.removeprefix('/')}" if value else ""


def _with_progress(results: Iterable[Result], total: int) -> Iterable[Result]:
    """A bar on the terminal while they come; none in a file or a pipe."""
    terminal = Console(stderr=True)
    return track(
        results, "checking", total=total, console=terminal, transient=True, disable=not terminal.is_terminal
    )


def _table(results: Sequence[Result]) -> Table:
    table = Table("line", "level", "source", "requirement", "result", "seen")
    for result in results:
        check, style = result.check, _STYLES[result.status]
        table.add_row(
            str(check.line),
            result.level.value,
            check.source,
            check.requirement,
            f"[{style}]{result.status.value}[/]",
            escape(result.seen),
        )
    return table


def _summary(results: Sequence[Result]) -> str:
    count = Counter(result.status for result in results)
    broken = sum(result.breaks_a_must for result in results)
    parts = [f"{count[status]} {status.value}" for status in Status if count[status]]
    return f"{', '.join(parts)}; MUSTs that fail: {broken}"


def _as_json(url: str, results: Sequence[Result]) -> dict[str, object]:
    return {
        "url": url,
        "passes": not any(result.breaks_a_must for result in results),
        "lines": [
            {
                "line": result.check.line,
                "level": result.level.value,
                "source": result.check.source,
                "requirement": result.check.requirement,
                "status": result.status.value,
                "seen": result.seen,
            }
            for result in results
        ],
    }
