"""`icapd audit stats`: counts, by one thing or another."""

import json
from dataclasses import astuple
from typing import Any, get_args

import click
from rich.table import Table
from rich.text import Text

from icapd.audit.formats.flat import csv_line
from icapd.audit.formats.text import printable
from icapd.audit.search import Filters
from icapd.audit.stats import By, Count
from icapd.audit.stats import stats as count_up
from icapd.cli.audit_options import filter_options, limit_option, reading
from icapd.cli.tables import console
from icapd.settings import Settings

_COLUMNS = ("transactions", "findings", "bytes")


@click.command()
@click.option("--by", type=click.Choice(get_args(By)), help="One line for each of these, in place of a sum.")
@filter_options
@limit_option("Only the first N lines: the largest counts, or the first hours and days.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="A table to look at, one JSON array, one JSON object per line, or CSV for a spreadsheet.",
)
@click.pass_obj
def stats(settings: Settings, /, by: By | None, format_: str, **filters: Any) -> None:
    """Count transactions, findings and bytes of bodies that match every given option.

    \b
    Which rules fired this week?
        icapd audit stats --by rule --since 7d
    Who sends credentials where?
        icapd audit stats --by user --rule credentials.aws-access-key-id
    How much traffic per day, for a spreadsheet?
        icapd audit stats --by day --format csv

    Where --rule, --severity or --fingerprint is given, only such findings count. By rule, a transaction
    counts once for each rule that found something in it.
    """
    wanted = Filters(**filters)
    with reading(settings, "stats", wanted, {"by": by, "format": format_}) as read:
        counts = count_up(settings.audit.database_url, by, wanted)
        read.rows = len(counts)
        _print(by or "all", counts, format_)


def _print(by: str, counts: list[Count], format_: str) -> None:
    match format_:
        case "json" | "jsonl":
            names = [by, *_COLUMNS]
            rows = [json.dumps(dict(zip(names, astuple(count), strict=True))) for count in counts]
            if format_ == "json":
                click.echo("[" + ",\n ".join(rows) + "]")
            for row in rows if format_ == "jsonl" else ():
                click.echo(row)
        case "csv":
            for values in ([by, *_COLUMNS], *map(astuple, counts)):
                click.echo(csv_line(values))
        case _:
            table = Table(box=None, padding=(0, 2, 0, 0))
            table.add_column(by, overflow="fold")
            for name in _COLUMNS:
                table.add_column(name, justify="right")
            for count in counts:
                numbers = (f"{number:,}" for number in (count.transactions, count.findings, count.bytes))
                table.add_row(Text("-" if count.of is None else printable(count.of)), *numbers)
            console().print(table)
