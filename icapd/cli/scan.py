"""`icapd scan`: the rules over files and over messages in JSON lines."""

import mimetypes
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import track
from rich.table import Table

from icapd.cli.batch import examine_line, report
from icapd.cli.tables import console
from icapd.errors import CodingError, ScanTimeout
from icapd.http.headers import Headers
from icapd.inspection import Fingerprinter, Inspector
from icapd.policy import load_policy
from icapd.services import ContentInspector, ResponseFilter
from icapd.services.examination import MessageExamination
from icapd.services.inspecting import inspection_limits, rules_directory
from icapd.services.offline import Message, examine, unreadable
from icapd.settings import Settings

EXIT_FINDINGS = 1
#: As with --batch: something could not be scanned, so that nothing is said about it.
EXIT_UNUSABLE = 2


@click.command()
@click.argument(
    "files", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True), nargs=-1
)
@click.option(
    "--direction",
    type=click.Choice(["request", "response"]),
    default="response",
    show_default=True,
    help="Whose rules apply.",
)
@click.option("--content-type", help="What the files are; default: by their names.")
@click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--batch", is_flag=True, help="JSON lines in on standard input, JSON lines out.")
@click.option("--rules", "directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--pack", "packs", multiple=True, help="This pack instead of those of policy.toml; repeatable.")
@click.pass_context
def scan(
    ctx: click.Context,
    files: tuple[Path, ...],
    direction: str,
    content_type: str | None,
    output_format: str,
    batch: bool,
    directory: Path | None,
    packs: tuple[str, ...],
) -> None:
    """Inspect FILES, or standard input, by the rules. Exit code 1 when something is found.

    \b
    With --batch each line in is a message, and each line out what became of it:
      {"id", "direction", "method", "url", "headers": {}, "body" or "body_base64"}
      {"id", "verdict", "risk_score", "findings": [], "body" or "body_base64"}
    """
    if batch and files:
        raise click.UsageError("--batch reads standard input; leave the file names out")
    inspectors = _inspectors(ctx.obj, directory, packs)
    if batch:
        ctx.exit(_scan_batch(inspectors))
    bodies = _bodies(files or (Path("-"),), content_type)
    ctx.exit(_scan_files(bodies, inspectors[direction], direction, output_format))


def _inspectors(settings: Settings, directory: Path | None, packs: tuple[str, ...]) -> dict[str, Inspector]:
    policy = load_policy(directory or rules_directory(settings), packs or None)
    limits, fingerprinter = inspection_limits(settings), Fingerprinter.ephemeral()
    return {
        "request": ContentInspector(policy, fingerprinter, limits).inspector,
        "response": ResponseFilter(policy, fingerprinter, limits).inspector,
    }


def _bodies(files: tuple[Path, ...], content_type: str | None) -> Iterator[tuple[str, Headers, bytes]]:
    """Name, headers and bytes of each file; a progress bar where a person waits for many."""
    quiet = len(files) < 2 or not sys.stderr.isatty()
    for path in track(files, "scanning", console=Console(stderr=True), disable=quiet, transient=True):
        if path == Path("-"):
            name, body = "-", sys.stdin.buffer.read()
        else:
            try:
                name, body = str(path), path.read_bytes()
            except OSError as error:
                raise click.FileError(str(path), error.strerror) from None
        guessed, coding = mimetypes.guess_type(name)
        fields = ((b"Content-Type", content_type or guessed), (b"Content-Encoding", coding))
        yield name, Headers(tuple((field, value.encode()) for field, value in fields if value)), body


def _scan_files(
    bodies: Iterator[tuple[str, Headers, bytes]], inspector: Inspector, direction: str, output_format: str
) -> int:
    """Print what is in each; returns the exit code."""
    exit_code = 0
    for name, headers, body in bodies:
        message = Message("request" if direction == "request" else "response", b"POST", b"/", headers, body)
        try:
            reason = unreadable(message)
            examined = examine(message, inspector)
        except (CodingError, ScanTimeout) as error:
            click.echo(f"Error: {name}: {error}", err=True)
            exit_code = EXIT_UNUSABLE
            continue
        if examined.findings:
            exit_code = max(exit_code, EXIT_FINDINGS)
        if output_format == "json":
            _print_json(name, examined, reason)
        else:
            _print_text(name, examined, reason)
    return exit_code


def _print_json(name: str, examined: MessageExamination, reason: str) -> None:
    inspection = {"inspection": "skipped" if reason else "complete", "skip_reason": reason or None}
    document = {"file": name, **report(examined), **inspection}
    click.echo(msgspec.json.encode(document).decode())


def _print_text(name: str, examined: MessageExamination, reason: str) -> None:
    if not examined.findings:
        click.echo(f"{name}: not inspected ({reason})" if reason else f"{name}: nothing found")
        return
    table = Table(
        "rule", "severity", "action", "in", "at byte", "what (masked)", title=name, title_justify="left"
    )
    for finding in examined.findings:
        action = finding.action.name.lower()
        table.add_row(
            finding.rule_id, finding.severity, action, finding.target, str(finding.start), finding.excerpt
        )
    console().print(table)


def _scan_batch(inspectors: dict[str, Inspector]) -> int:
    """One line out for each line in, in their order; returns the exit code."""
    exit_code = 0
    for line in sys.stdin.buffer:
        if line.strip():
            answer, line_code = examine_line(line, inspectors)
            sys.stdout.buffer.write(answer + b"\n")
            exit_code = max(exit_code, line_code)
    sys.stdout.buffer.flush()
    return exit_code
