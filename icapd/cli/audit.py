"""`icapd audit`: the audit records, for people and for programs."""

from collections.abc import Iterator
from typing import Any

import click

from icapd.audit import search
from icapd.audit.formats.flat import RECORD_COLUMNS, csv_line, record_lines
from icapd.audit.reads import Read
from icapd.audit.record import AuditRecord
from icapd.cli import audit_verify, audit_view, signals
from icapd.cli.audit_erase import erase
from icapd.cli.audit_export import export
from icapd.cli.audit_fingerprint import fingerprint, rotate_fingerprint_key
from icapd.cli.audit_forward import forward
from icapd.cli.audit_hold import hold
from icapd.cli.audit_options import filter_options, limit_option, printable_text, reading
from icapd.cli.audit_partitions import show_partitions
from icapd.cli.audit_purge import purge
from icapd.cli.audit_stats import stats
from icapd.cli.audit_tail import tail
from icapd.settings import Settings

#: Records in a table, which someone reads. The other formats have no limit but the one that is asked for.
_ROWS_OF_A_TABLE = 100

_format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="A table to look at, one JSON array, one JSON object per line, or CSV, a line per finding.",
)


@click.group()
@click.pass_context
def audit(context: click.Context) -> None:
    """Read the audit records, verify that they are what they were, and see to their retention.

    Each read is put on record itself, as `audit-read` in audit_admin: who, what, how many rows; also what
    `purge` and `erase` count before they ask, or with --dry-run. So is what is done to them: `purge`,
    `erase`, `hold-add`, `hold-release`. What shows no records is not: `verify`, `key`, `partitions`, `hold
    list`.
    """
    context.with_resource(signals.raised())


for _command in (
    *(stats, tail, export, forward, fingerprint, rotate_fingerprint_key),
    *(show_partitions, audit_verify.verify, audit_verify.key),
    *(purge, hold, erase),
):
    audit.add_command(_command)


@audit.command("search")
@filter_options
@limit_option("Only the newest N.  [table: 100]")
@_format_option
@click.pass_obj
def search_(settings: Settings, /, format_: str, **filters: Any) -> None:
    """Print the records that match every given option, newest first.

    \b
    What was blocked in the last hour?
        icapd audit search --since 1h --verdict blocked
    Which grave findings did a user have, for a program?
        icapd audit search --user alice --severity high --format jsonl
    Where else did this secret go?
        icapd audit search --fingerprint 3b1f09aa-5f2c...

    --rule, --severity and --fingerprint are asked of one and the same finding.
    """
    if format_ == "table" and filters["limit"] is None:
        filters["limit"] = _ROWS_OF_A_TABLE
    wanted = search.Filters(**filters)
    with reading(settings, "search", wanted, {"format": format_}) as read:
        records = _counted(search.search(settings.audit.database_url, wanted), read)
        if format_ == "table":
            shown = list(records)
            audit_view.print_table(shown)
            if len(shown) == filters["limit"]:
                click.echo(f"the newest {len(shown)}; --limit N shows more", err=True)
        else:
            _print(records, format_)


@audit.command()
@click.argument("identity", metavar="TXN_ID|EVENT_ID", callback=printable_text)
@_format_option
@click.pass_obj
def show(settings: Settings, identity: str, format_: str) -> None:
    """Print all that is known of one transaction, by the id on its block page or in its record."""
    wanted = search.Filters(identity=identity)
    with reading(settings, "show", wanted, {"format": format_}) as read:
        found = _counted(search.search(settings.audit.database_url, wanted), read)
        # In time order: the request, then its response.
        records = list(found)[::-1]
        if not records:
            raise click.UsageError(f"no record has {identity!r} as its txn_id or event_id")
        if format_ == "table":
            audit_view.print_details(records)
        else:
            _print(iter(records), format_)


def _counted(records: Iterator[AuditRecord], read: Read) -> Iterator[AuditRecord]:
    for record in records:
        read.rows += 1
        yield record


def _print(records: Iterator[AuditRecord], format_: str) -> None:
    lines: Iterator[str] = map(audit_view.json_text, records)
    if format_ == "csv":
        click.echo(csv_line(RECORD_COLUMNS))
        lines = (line for record in records for line in record_lines(record))
    if format_ in ("jsonl", "csv"):
        for line in lines:
            click.echo(line)
    else:
        click.echo("[" + next(lines, ""), nl=False)
        for line in lines:
            click.echo(",\n " + line, nl=False)
        click.echo("]")
