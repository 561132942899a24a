"""`icapd audit erase`: a person's traces leave the records."""

import sys
from pathlib import Path

import click

from icapd.audit import deeds
from icapd.audit.database import Database
from icapd.audit.retention import erasure
from icapd.audit.search import Filters
from icapd.cli.audit_options import (
    as_asked,
    await_arrival,
    client_address,
    confirm,
    keys_of,
    print_outcome,
    printable_text,
    public_key_option,
    recorded,
)
from icapd.cli.progress import followed
from icapd.cli.times import instant
from icapd.inspection.findings import Fingerprinter
from icapd.server.fingerprint_keys import load_keys
from icapd.settings import Settings

#: The exit code when records are held, and stay as they are.
EXIT_HELD = 1


@click.command()
@click.option("--user", metavar="NAME", callback=printable_text, help="The user's records.")
@click.option("--client", metavar="IP", callback=client_address, help="Those of the client's address.")
@click.option("--since", metavar="TIME", callback=instant, help="From this time on: 7d ago, or ISO 8601.")
@click.option("--until", metavar="TIME", callback=instant, help="Before this time.")
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@public_key_option
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def erase(
    settings: Settings,
    user: str | None,
    client: str | None,
    since: int | None,
    until: int | None,
    dry_run: bool,
    yes: bool,
    public_keys: tuple[str, ...],
    format_: str,
) -> None:
    """Empty what tells of a person in the records of a user, or of a client's address (GDPR, article 17).

    \b
        icapd audit erase --user alice --dry-run
        icapd audit erase --client 192.0.2.7 --until 2026-06-01

    With both, records that have both. client_ip, client_user and path become empty for ever; the rest of the
    record stays, and `icapd audit verify` accepts it. Records that are held (`icapd audit hold`) stay as they
    are, and make the exit code 1. The deed is on record with a keyed fingerprint in the place of the name
    (`icapd audit fingerprint`).
    """
    if user is None and client is None:
        raise click.UsageError("whom? give --user, --client or both")
    subject = Filters(user=user, client=client, since=since, until=until)
    database, keys = Database.parse(settings.audit.database_url), keys_of(settings, public_keys)
    await_arrival(settings)
    asked = _asked(settings, subject)
    with recorded(settings, "erase", {"counts": True, "dry_run": dry_run, **asked}) as read:
        found = erasure.erasable(database, keys, subject)
        read.rows = found.rows
    told = f"{found.rows:,} records, and {found.held:,} are held"
    if dry_run:
        text = f"would erase {told}"
        print_outcome(format_, {"dry_run": True, "rows": found.rows, "held": found.held}, text)
        return
    confirm(f"{database.name}: erases {told}", yes=yes)
    rows = 0
    with deeds.on_record(settings.audit, erasure.ACTION, asked, is_long=True) as deed:
        for count in followed(erasure.erase(database, keys, subject), "erasing", found.rows):
            rows += count
            deed.outcome = {"rows": rows, "held": found.held}
    print_outcome(format_, {"dry_run": False, "rows": rows, "held": found.held}, f"erased {rows:,} records")
    if found.held:
        click.echo(f"{found.held:,} records are held and stay; see `icapd audit hold list`", err=True)
        sys.exit(EXIT_HELD)


def _asked(settings: Settings, subject: Filters) -> dict[str, object]:
    """Whom, and of what time, for the record: so that only who knows the name finds it there."""
    fingerprinter = Fingerprinter(load_keys(Path(settings.audit.fingerprint_key))[0])
    asked = as_asked(subject)
    for name in ("user", "client"):
        if name in asked:
            asked[f"subject_{name}"] = fingerprinter.fingerprint(str(asked.pop(name)).encode())
    return asked
