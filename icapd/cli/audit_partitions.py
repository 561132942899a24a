"""`icapd audit partitions`: the parts of the audit tables in PostgreSQL."""

import json
from datetime import UTC, datetime

import click
from rich.filesize import decimal
from rich.table import Table

from icapd.audit import partitions
from icapd.audit.database import Database
from icapd.audit.partitions import Partition
from icapd.cli.tables import console
from icapd.settings import Settings


@click.command("partitions")
@click.option("--make", is_flag=True, help="Make those that are missing; rows of DEFAULT get their own.")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def show_partitions(settings: Settings, make: bool, format_: str) -> None:
    """Print the partitions of the audit tables, which PostgreSQL has one of for each month or day."""
    database = Database.parse(settings.audit.database_url)
    if make:
        now = datetime.now(UTC)
        for name in partitions.make(database, settings.audit.partitions, now, for_strays=True):
            click.echo(f"made {name}", err=True)
    found = partitions.partitions(database)
    if format_ == "json":
        click.echo(json.dumps([_as_json(one) for one in found], indent=1))
    elif found:
        _print_table(found)
    else:
        click.echo(f"{database.name}: has no partitions; PostgreSQL has them", err=True)
    if problem := partitions.problem(database):
        click.echo(problem, err=True)


def _as_json(partition: Partition) -> dict[str, object]:
    since, until = partition.span or (None, None)
    return {
        "table": partition.table,
        "partition": partition.name,
        "since": since and since.isoformat(),
        "until": until and until.isoformat(),
        "bytes": partition.size,
    }


def _print_table(found: list[Partition]) -> None:
    table = Table("table", "partition", "since (UTC)", "until", box=None, padding=(0, 1, 0, 0))
    table.add_column("size", justify="right")
    for one in found:
        span = [f"{moment:%Y-%m-%d %H:%M}" for moment in one.span] if one.span else ["what has no other", ""]
        table.add_row(one.table, one.name, *span, decimal(one.size))
    console().print(table)
