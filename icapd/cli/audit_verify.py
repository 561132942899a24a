"""`icapd audit verify` and `icapd audit key`: whether the trail is what it was, and whose word that is."""

import json
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from icapd.audit.coverage import Coverage
from icapd.audit.evidence.faults import PURGED, Kind, Report
from icapd.audit.evidence.imported import Export
from icapd.audit.evidence.notes import Verifier, load_signer
from icapd.audit.evidence.verify import Scope, read_verifiers
from icapd.audit.evidence.verify import verify as verify_trail
from icapd.audit.formats.text import printable
from icapd.cli.audit_view import as_text
from icapd.cli.progress import bar
from icapd.cli.tables import console
from icapd.cli.times import instant
from icapd.errors import AuditError, IcapdError
from icapd.settings import Settings

#: The exit code when nothing could be verified; those below it are kinds of faults, and `PURGED`.
EXIT_UNVERIFIED = 7


class _WrongUsage(click.UsageError):
    exit_code = EXIT_UNVERIFIED


class _VerifyCommand(click.Command):
    """Whose exit codes are those of `audit verify` alone, also where click or an error has others."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise _WrongUsage(error.format_message(), ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IcapdError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(EXIT_UNVERIFIED)


@click.command(cls=_VerifyCommand)
@click.option("--since", metavar="TIME", callback=instant, help="10m, 2h, 7d ago; ISO 8601.")
@click.option("--until", metavar="TIME", callback=instant, help="Before this time.")
@click.option("--writer", "writer_id", type=click.IntRange(1), metavar="ID", help="One writer's rows only.")
@click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    metavar="FILE|KEY",
    help="Whose checkpoints are trusted, as `icapd audit key` prints it; a file has one a line. May be given"
    " more than once. [default: that of [audit] signing_key]",
)
@click.option(
    "--anchors",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file of copies of checkpoints: an anchor_file, or a log of syslog's.",
)
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Verify not the database but an export (JSON lines or Parquet) of the whole trail, or of a time's.",
)
@click.option(
    "--archive",
    "archives",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="A file that `icapd audit purge` wrote: its rows count as those that are there. May be given more"
    " than once.",
)
@click.option("--strict", is_flag=True, help="Rows that nothing signed speaks for count, too: exit code 5.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def verify(
    settings: Settings,
    since: int | None,
    until: int | None,
    writer_id: int | None,
    public_keys: tuple[str, ...],
    anchors: Path | None,
    export: Path | None,
    archives: tuple[Path, ...],
    strict: bool,
    format_: str,
) -> None:
    """Check that no record was altered, taken out, put in or doubled. Changes nothing; a server may run.

    An export is verified for the time that it says it covers; nobody signs that, so look at it. One that
    lacks all rows of a writer passes.

    \b
    Exit codes: 0 all is as it was, 1 altered, 2 missing, 3 duplicated, 4 the newest rows are missing,
    5 unsigned (with --strict), 6 all is as it was but for what retention took, 7 could not be verified. Of
    several the lowest.
    """
    verifiers = read_verifiers(list(public_keys)) if public_keys else _own(settings)
    scope, database_url = Scope(since, until, writer_id), settings.audit.database_url
    exported = None if export is None else Export(export)
    with ExitStack() as ends, bar() as progress:
        task = progress.add_task("verifying", total=None)
        if exported is not None:
            scope = _within(scope, exported.coverage)
            database_url = ends.enter_context(exported.database())
        report = verify_trail(
            database_url,
            verifiers,
            anchor_file=anchors,
            archives=archives,
            scope=scope,
            advance=lambda rows: progress.advance(task, rows),
            expect=lambda rows: progress.update(task, total=rows),
        )
    if exported is not None:
        for fault in exported.misplaced:
            if writer_id in (None, fault.writer_id):
                report.add(fault)
        if exported.problem and not report.faults:
            raise AuditError(exported.problem)
    if not (report.rows or report.purged or report.faults):
        raise AuditError(f"there is nothing to verify: no row {scope.told}")
    exit_code = report.exit_code(strict)
    try:
        if format_ == "json":
            click.echo(json.dumps({"exit_code": exit_code, **_as_json(report, scope)}))
        else:
            _print(report, scope, exit_code)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # Who reads no further, as `head`, has the code all the same. Tables make an exit of it, with code 1.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(exit_code)


@click.command()
@click.pass_obj
def key(settings: Settings) -> None:
    """Print the public key of [audit] signing_key, for whoever verifies elsewhere."""
    path = Path(settings.audit.signing_key)
    if not path.exists():
        # Not made here: it has to be the server's own.
        raise AuditError(f"{path}: there is no signing key yet; the server makes it at its first start")
    click.echo(load_signer(path).verifier)


def _within(scope: Scope, coverage: Coverage) -> Scope:
    """That of an export; AuditError where more is asked for than it has."""
    if not coverage.spans(scope.since, scope.until):
        raise AuditError(f"the export covers only the time {Scope(coverage.since, coverage.until).told}")
    since = coverage.since if scope.since is None else scope.since
    return replace(scope, since=since, until=coverage.until if scope.until is None else scope.until)


def _own(settings: Settings) -> dict[bytes, Verifier]:
    path = Path(settings.audit.signing_key)
    if not path.exists():
        raise AuditError(
            f"{path}: there is no signing key here; give --public-key KEY, which `icapd audit key` prints on"
            " the server"
        )
    verifier = load_signer(path).verifier
    return {verifier.id: verifier}


def _as_json(report: Report, scope: Scope) -> dict[str, object]:
    values: dict[str, object] = {**asdict(report), **scope.time.written}
    values["counts"] = {kind.name.lower(): count for kind, count in report.counts.items()}
    values["faults"] = [{**asdict(fault), "kind": fault.kind.name.lower()} for fault in report.faults]
    return values


def _print(report: Report, scope: Scope, exit_code: int) -> None:
    output = console()
    if report.faults:
        faults = Table("fault", "writer", "row", "where", "what", box=None, padding=(0, 1, 0, 0))
        for fault in report.faults:
            kind = Text(fault.kind.name.lower(), style="bold red")
            cells = (fault.writer_id, fault.writer_seq or None, fault.place, fault.problem)
            faults.add_row(kind, *map(as_text, cells))
        output.print(faults)
        left_out = sum(report.counts.values()) - len(report.faults)
        if left_out:
            output.print(f"and {left_out} more")
        output.print()
    facts = Table(box=None, show_header=False)
    for name, count in (
        ("writers", report.writers),
        ("rows", report.rows),
        ("checkpoints", report.checkpoints),
        ("anchors", report.anchors),
        ("archives", report.archives),
        ("rows that were purged", report.purged),
        ("rows without their subject: erased, or of another time", report.erased),
        ("rows older than chains, of which nothing is known", report.unchained),
        ("rows behind the newest checkpoint", report.unsigned),
        ("writers that fell silent without an end", report.silent),
    ):
        facts.add_row(name, Text(f"{count:,}"))
    output.print(facts)
    output.print(Text(f"verified {scope.told}"))
    if exit_code == PURGED:
        output.print(
            Text(f"all is as it was but for what retention took (exit code {exit_code})", style="green")
        )
    elif exit_code == Kind.UNSIGNED:
        output.print(Text(f"all is as it was, but not all is signed (exit code {exit_code})", style="yellow"))
    elif exit_code:
        first = min(report.faults, key=lambda fault: fault.kind, default=None)
        where = f": writer {printable(str(first.writer_id))}, row {first.writer_seq}" if first else ""
        output.print(Text(f"not as it was (exit code {exit_code}){where}", style="bold red"))
    else:
        output.print(Text("all is as it was", style="green"))
