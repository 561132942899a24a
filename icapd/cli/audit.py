"""`icapd audit`: the audit records, for people and for programs."""

import time
from collections.abc import Callable, Iterator
from typing import Any, get_args

import click

from icapd.audit import instants, search
from icapd.audit.record import AuditRecord, Verdict
from icapd.cli import audit_view
from icapd.settings import Settings

#: Records in a table, which someone reads. The other formats have no limit but the one that is asked for.
_ROWS_OF_A_TABLE = 100

#: What every database takes for a number.
_MAX_LIMIT = 2**31 - 1

_format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "jsonl"]),
    default="table",
    show_default=True,
    help="A table to look at, one JSON array, or one JSON object per line.",
)


def _instant(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else instants.parse(text, now=time.time_ns() // 1000)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _text(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    # An argument that is no UTF-8 arrives with surrogates in it, which no database takes.
    if text is not None and not text.isprintable():
        raise click.BadParameter(f"{text!a} holds what is no printable text")
    return text


def _filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that are the fields of `search.Filters`, under the same names."""
    # The last one first, as decorators are applied.
    for option in (
        click.option("--limit", type=click.IntRange(1, _MAX_LIMIT), help="Only the newest N. [table: 100]"),
        click.option("--verdict", type=click.Choice(get_args(Verdict)), help="What the policy decided."),
        click.option("--rule", metavar="ID", callback=_text, help="A rule that found something."),
        click.option("--client", metavar="IP", callback=_text, help="The client's address."),
        click.option("--user", metavar="NAME", callback=_text, help="The user that the proxy authenticated."),
        click.option("--host", metavar="NAME", callback=_text, help="The origin's host name."),
        click.option("--until", metavar="TIME", callback=_instant, help="Before this time."),
        click.option("--since", metavar="TIME", callback=_instant, help="10m, 2h, 7d ago; ISO 8601."),
    ):
        command = option(command)
    return command


@click.group()
def audit() -> None:
    """Read the audit records."""


@audit.command("search")
@_filter_options
@_format_option
@click.pass_obj
def search_(settings: Settings, /, format_: str, **filters: Any) -> None:
    """Print the records that match every given option, newest first."""
    if filters["host"]:
        filters["host"] = filters["host"].lower()
    if format_ == "table" and filters["limit"] is None:
        filters["limit"] = _ROWS_OF_A_TABLE
    records = search.search(settings.audit.database_url, search.Filters(**filters))
    if format_ == "table":
        shown = list(records)
        audit_view.print_table(shown)
        if len(shown) == filters["limit"]:
            click.echo(f"the newest {len(shown)}; --limit N shows more", err=True)
    else:
        _print_json(records, format_)


@audit.command()
@click.argument("identity", metavar="TXN_ID|EVENT_ID")
@_format_option
@click.pass_obj
def show(settings: Settings, identity: str, format_: str) -> None:
    """Print all that is known of one transaction, by the id on its block page or in its record."""
    found = search.search(settings.audit.database_url, search.Filters(identity=identity))
    # In time order: the request, then its response.
    records = list(found)[::-1]
    if not records:
        raise click.UsageError(f"no record has {identity!r} as its txn_id or event_id")
    if format_ == "table":
        audit_view.print_details(records)
    else:
        _print_json(iter(records), format_)


def _print_json(records: Iterator[AuditRecord], format_: str) -> None:
    lines = map(audit_view.json_text, records)
    if format_ == "jsonl":
        for line in lines:
            click.echo(line)
    else:
        click.echo("[" + next(lines, ""), nl=False)
        for line in lines:
            click.echo(",\n " + line, nl=False)
        click.echo("]")
