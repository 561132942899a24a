"""`icapd audit export`: records into a file, for other programs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, get_args

import click
from rich.console import Console
from rich.progress import track

from icapd.audit import export as exports
from icapd.audit.formats.text import printable
from icapd.audit.search import Filters
from icapd.cli.audit_options import filter_options, reading
from icapd.settings import Settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--format",
    "format_",
    type=click.Choice(get_args(exports.Format)),
    required=True,
    help="jsonl and parquet hold every column; csv is for spreadsheets; ocsf, ecs and cef for SIEMs.",
)
@filter_options
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.pass_obj
def export(settings: Settings, /, file: Path, format_: exports.Format, force: bool, **filters: Any) -> None:
    """Write the records that match every given option to FILE (`-`: standard output), oldest first.

    \b
    The whole trail of a month, which can be verified:
        icapd audit export may.parquet --format parquet --since 2026-05-01 --until 2026-06-01
    Grave findings for a SIEM:
        icapd audit export - --format cef --severity high --since 1d | logger --rfc5424

    The file is there once it is whole, and only its owner can read it. Without filters but times, jsonl and
    parquet hold the administrative rows, writers and checkpoints as well.
    """
    wanted = Filters(**filters)
    url = settings.audit.database_url
    with reading(settings, "export", wanted, {"format": format_, "file": printable(str(file))}) as read:
        with _output(file, force) as output:
            terminal = Console(stderr=True)
            # A program needs no count of what it does not see.
            total = exports.count(url, wanted) if terminal.is_terminal else None
            rows = exports.export(url, wanted, format_, output)
            for written in track(
                rows, "exporting", total, console=terminal, transient=True, disable=not terminal.is_terminal
            ):
                read.rows = written
        if str(file) != "-":
            # The other formats have a line, or several, for each record.
            what = "rows" if format_ in ("jsonl", "parquet") else "records"
            click.echo(f"{file}: {read.rows} {what}", err=True)


@contextmanager
def _output(file: Path, force: bool) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with exports.whole_file(file, force=force) as output:
            yield output
