"""`icapd audit hold`: legal holds, which keep records from being purged or erased."""

import json
import sys
from typing import Any

import click
from rich.table import Table

from icapd.audit import deeds, instants, stored
from icapd.audit.database import Database
from icapd.audit.reads import reader
from icapd.audit.retention import holds
from icapd.audit.retention.holds import Hold, StoredHold
from icapd.audit.retention.transactions import reading, transaction
from icapd.audit.search import Filters
from icapd.cli.audit_options import as_asked, filter_options, keys_of, printable_text, public_key_option
from icapd.cli.audit_view import as_text
from icapd.cli.tables import console
from icapd.settings import Settings

#: The exit code when a hold was tampered with.
EXIT_TAMPERED = 1

_reason_option = click.option(
    "--reason", required=True, metavar="TEXT", callback=printable_text, help="Why; a case's number."
)


@click.group()
def hold() -> None:
    """Keep records from being purged and erased, as long as a court or an auditor wants them."""


@hold.command()
@filter_options
@click.option("--all", "all_", is_flag=True, help="In the place of all other options: whatever there is.")
@_reason_option
@click.pass_obj
def add(settings: Settings, /, reason: str, all_: bool, **filters: Any) -> None:
    """Hold all records that meet every given option, also those that are still to come; prints the hold's id.

    \b
        icapd audit hold add --user alice --since 2026-05-01 --until 2026-06-01 --reason "case 2026/17"

    Administrative rows, and what a shadow policy would have done, are held by --since and --until alone.
    """
    wanted, database = Filters(**filters), Database.parse(settings.audit.database_url)
    if all_ == (wanted != Filters()):
        raise click.UsageError("what is to be held? say so by options, or give --all alone")
    keys = keys_of(settings, ())
    asked = {"filters": as_asked(wanted), "reason": reason}
    with (
        deeds.on_record(settings.audit, holds.HELD, asked, is_long=False) as deed,
        transaction(database) as connection,
    ):
        made = holds.add(connection, keys, deed.writer_id, wanted, reason, reader())
        deed.outcome["hold"] = made.hold_id
        count = stored.count_events(connection, wanted)
    click.echo(made.hold_id)
    click.echo(f"holds {count:,} records that are there now", err=True)


@hold.command("list")
@click.option("--all", "all_", is_flag=True, help="Those that were released, too.")
@public_key_option
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def list_(settings: Settings, all_: bool, public_keys: tuple[str, ...], format_: str) -> None:
    """Print the holds that are in force. Exit code 1 when one of them is not what it was, or not there."""
    keys = keys_of(settings, public_keys)
    with reading(Database.parse(settings.audit.database_url)) as connection:
        found = [one for one in holds.stored(connection, keys.verifiers) if all_ or not one.release]
        missing = holds.missing(connection)
    if format_ == "json":
        click.echo(json.dumps([_as_json(one) for one in found], indent=1))
    elif found:
        _print_table(found)
    else:
        click.echo("there are no holds", err=True)
    for one in found:
        if one.problem:
            click.echo(one.problem, err=True)
    for writer_id in missing:
        click.echo(f"audit_hold lacks the hold that writer {writer_id} tells of in audit_admin", err=True)
    if missing or any(one.problem for one in found):
        sys.exit(EXIT_TAMPERED)


@hold.command()
@click.argument("hold_id", metavar="ID", callback=printable_text)
@_reason_option
@public_key_option
@click.pass_obj
def release(settings: Settings, hold_id: str, reason: str, public_keys: tuple[str, ...]) -> None:
    """End a hold: what it held may be purged and erased again, unless another one holds it."""
    keys = keys_of(settings, public_keys)
    asked = {"hold": hold_id, "reason": reason}
    with (
        deeds.on_record(settings.audit, holds.RELEASED, asked, is_long=False),
        transaction(Database.parse(settings.audit.database_url)) as connection,
    ):
        holds.release(connection, keys, hold_id, reason, reader())
    click.echo(f"released {hold_id}", err=True)


def _as_json(one: StoredHold) -> dict[str, object]:
    values: dict[str, object] = {"hold": one.hold_id}
    if one.hold is not None:
        values |= {
            "held_at": instants.iso(one.hold.held_at),
            "by": one.hold.by,
            "reason": one.hold.reason,
            "filters": as_asked(one.hold.wanted),
        }
    if one.release is not None:
        values["released_at"] = instants.iso(one.release.released_at)
        values["released_by"] = one.release.by
        values["release_reason"] = one.release.reason
    if one.problem:
        values["problem"] = one.problem
    return values


def _print_table(found: list[StoredHold]) -> None:
    table = Table("hold", "since (UTC)", "by", "what", "why", "released", box=None, padding=(0, 1, 0, 0))
    for one in found:
        released = one.release and instants.iso(one.release.released_at)[:16]
        table.add_row(*map(as_text, (one.hold_id, *_cells(one.hold), released)))
    console().print(table)


def _cells(hold: Hold | None) -> tuple[str, ...]:
    if hold is None:
        return ("", "", "can't be read", "")
    what = " ".join(f"{name}={value}" for name, value in as_asked(hold.wanted).items())
    return instants.iso(hold.held_at)[:16], str(hold.by.get("user", "")), what or "all", hold.reason
