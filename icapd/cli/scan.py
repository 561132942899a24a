"""`icapd scan`: the rules over files, and over messages in JSON lines."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track

from icapd.cli.batch_run import run_batch
from icapd.cli.scan_output import PRINTERS
from icapd.cli.scan_results import Result, places_of
from icapd.cli.scan_sources import STDIN, Direction, Found, Reading, Source, find_files, read
from icapd.configuration import rules_directory
from icapd.errors import CodingError, ScanTimeout
from icapd.inspection import Fingerprinter, InspectionLimits, Inspector
from icapd.policy import Policy, load_policy
from icapd.services import ContentInspector, ResponseFilter
from icapd.services.inspecting import inspection_limits
from icapd.services.offline import examine, unreadable
from icapd.settings import Settings

EXIT_FINDINGS = 1
#: As with --batch: something could not be scanned, so that nothing is said about it.
EXIT_UNUSABLE = 2
#: Bytes of a text that have the time of one message; a larger file has as many times more.
_TEXT_SIZE = 1024 * 1024


@click.command()
@click.argument("files", type=click.Path(path_type=Path, exists=True, allow_dash=True), nargs=-1)
@click.option(
    "--direction",
    type=click.Choice(["request", "response"]),
    default="response",
    show_default=True,
    help="Whose rules apply. A HAR file says it of each message itself.",
)
@click.option("--content-type", help="What the files are; default: by their names.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave such names out; repeatable.")
@click.option(
    "--max-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    metavar="MB",
    help="Files larger than this can't be scanned.",
)
@click.option(
    "--format", "output_format", type=click.Choice(list(PRINTERS)), default="text", show_default=True
)
@click.option("--batch", is_flag=True, help="JSON lines in on standard input, JSON lines out.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes for --batch."
)
@click.option("--rules", "directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--pack", "packs", multiple=True, help="This pack instead of those of policy.toml; repeatable.")
@click.pass_context
def scan(
    ctx: click.Context,
    files: tuple[Path, ...],
    direction: Direction,
    content_type: str | None,
    exclude: tuple[str, ...],
    max_size: int,
    output_format: str,
    batch: bool,
    jobs: int,
    directory: Path | None,
    packs: tuple[str, ...],
) -> None:
    """Inspect FILES, directories, HAR files (*.har) or standard input by the rules.

    Exit code 0: clean. 1: something was found. 2: something could not be scanned.

    \b
    With --batch each line in is a message, and each line out what became of it:
      {"id", "direction", "method", "url", "headers": {}, "body" or "body_base64"}
      {"id", "verdict", "risk_score", "findings": [], "body" or "body_base64"}
    """
    if batch and files:
        raise click.UsageError("--batch reads standard input; leave the file names out")
    if jobs > 1 and not batch:
        raise click.UsageError("--jobs is for --batch")
    settings: Settings = ctx.obj
    policy = load_policy(directory or rules_directory(settings), packs or None)
    scanner = Scanner(policy, inspection_limits(settings), Fingerprinter.ephemeral())
    if batch:
        inspectors = {name: scanner.inspector(name) for name in ("request", "response")}
        ctx.exit(run_batch(sys.stdin.buffer, sys.stdout.buffer, inspectors, jobs))
    found = find_files(files or (STDIN,), exclude)
    mask = scanner.inspector("request").mask_text
    reading = Reading(direction, content_type, max_size * 1024 * 1024, mask)
    results = PRINTERS[output_format](_results(found, reading, scanner), policy)
    ctx.exit(_exit_code(results, len(found)))


@dataclass(frozen=True, slots=True)
class Scanner:
    """The policy over messages, each as long as its size deserves."""

    policy: Policy
    limits: InspectionLimits
    fingerprinter: Fingerprinter

    def inspector(self, direction: str, size: int = 0) -> Inspector:
        """The inspector for a text of that size."""
        timeout = self.limits.scan_timeout * (1 + size // _TEXT_SIZE)
        limits = replace(self.limits, scan_timeout=timeout)
        if direction == "request":
            return ContentInspector(self.policy, self.fingerprinter, limits).inspector
        return ResponseFilter(self.policy, self.fingerprinter, limits).inspector

    def scan(self, source: Source) -> Result:
        """What the rules make of one source."""
        message = source.message
        if message is None:
            return Result(source, problem=source.problem)
        try:
            skipped = unreadable(message)
            examined = examine(message, self.inspector(message.direction, len(message.body)))
        except (CodingError, ScanTimeout) as error:
            return Result(source, problem=str(error))
        places = places_of(source, examined)
        # Of many files only what was found is kept.
        return Result(replace(source, message=None), replace(examined, text=b""), skipped, places=places)


def _results(found: list[Found], reading: Reading, scanner: Scanner) -> Iterable[Result]:
    """The results of all files; behind a progress bar where a person waits for many."""
    is_watched = len(found) > 1 and sys.stderr.isatty()
    files: Iterable[Found] = found
    if is_watched:
        files = track(found, "scanning", console=Console(stderr=True), transient=True)
    results = (scanner.scan(source) for file in files for source in read(file, reading))
    # All of them before any is shown: what is printed meanwhile would go through the bar.
    return list(results) if is_watched else results


def _exit_code(results: Iterable[Result], files: int) -> int:
    """Tell what can't be scanned, and the sum of it all; returns the exit code."""
    exit_code = with_findings = skipped = failed = 0
    for result in results:
        if result.problem:
            click.echo(f"Error: {result.source.name}: {result.problem}", err=True)
            failed, exit_code = failed + 1, EXIT_UNUSABLE
        elif result.findings:
            with_findings, exit_code = with_findings + 1, max(exit_code, EXIT_FINDINGS)
        skipped += bool(result.skipped)
    if files > 1:
        sum_of_all = f"{files} files: {with_findings} with findings, {skipped} not inspected, {failed} failed"
        click.echo(sum_of_all, err=True)
    return exit_code
