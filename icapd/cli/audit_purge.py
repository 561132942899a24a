"""`icapd audit purge`: what is older than it has to be leaves the database."""

import sys
import time
from pathlib import Path

import click

from icapd.audit import deeds
from icapd.audit.database import Database
from icapd.audit.retention import purge as purging
from icapd.audit.retention.classes import CLASSES, Cutoffs
from icapd.audit.retention.purge import Due, Outcome
from icapd.cli.audit_options import confirm, keys_of, print_outcome, public_key_option, recorded
from icapd.cli.progress import followed
from icapd.cli.times import instant
from icapd.settings import Audit, Settings

#: The exit code when rows that should have gone stay, for they are not what their chain says.
EXIT_REFUSED = 1


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option(
    "--before",
    metavar="TIME",
    callback=instant,
    help="What occurred before this time goes, whatever the settings say: 90d ago, or ISO 8601.",
)
@click.option(
    "--class",
    "classes",
    type=click.Choice(CLASSES),
    multiple=True,
    help="With --before: only rows of this class. May be given more than once.  [allowed, found]",
)
@click.option(
    "--archive",
    type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
    help="Write Parquet files of what goes to this directory first.  [[audit] retention_archive]",
)
@public_key_option
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def purge(
    settings: Settings,
    dry_run: bool,
    yes: bool,
    before: int | None,
    classes: tuple[str, ...],
    archive: Path | None,
    public_keys: tuple[str, ...],
    format_: str,
) -> None:
    """Delete records that are older than [audit] retention_allowed, retention_found and retention_admin say.

    \b
    What would go?
        icapd audit purge --dry-run
    All that nothing was found in, older than 90 days, with a copy:
        icapd audit purge --before 90d --class allowed --archive /srv/archive

    What is held (`icapd audit hold`) stays. A signed statement takes the place of what goes, so that `icapd
    audit verify` goes on; a row that is not what its chain says stays as well, is told, and makes the exit
    code 1. It can be killed at any time, and goes on when it is run again.
    """
    audit = settings.audit
    cutoffs = _cutoffs(audit, before, classes)
    database, keys = Database.parse(audit.database_url), keys_of(settings, public_keys)
    with recorded(settings, "purge", {"counts": True, "dry_run": dry_run, **cutoffs.told(None)}) as read:
        due = purging.due(database, keys, cutoffs)
        read.rows = due.total
    if dry_run:
        print_outcome(format_, {"dry_run": True, "due": due.rows, "held": due.held}, _told(due, "would go"))
        return
    confirm(f"{database.name}: {_told(due, 'will go')}", yes=yes)
    archive = archive or (Path(audit.retention_archive) if audit.retention_archive else None)
    outcome = Outcome()
    with deeds.on_record(audit, purging.ACTION, cutoffs.told(archive), is_long=True) as deed:
        try:
            for _ in followed(purging.purge(database, keys, cutoffs, outcome, archive), "purging", due.total):
                pass
        finally:
            deed.outcome = outcome.told()
    done = f"{outcome.rows} rows went, {due.held} are held"
    print_outcome(format_, {"dry_run": False, **outcome.told(), "held": due.held}, done)
    if outcome.refused:
        click.echo(outcome.problem, err=True)
        sys.exit(EXIT_REFUSED)


def _cutoffs(audit: Audit, before: int | None, classes: tuple[str, ...]) -> Cutoffs:
    if before is not None:
        return Cutoffs.before(before, classes or ("allowed", "found"))
    if classes:
        raise click.UsageError("--class says what --before is about; give that, too")
    cutoffs = Cutoffs.of(audit, time.time_ns() // 1000)
    if not cutoffs:
        raise click.UsageError(
            "all records are kept for ever: set [audit] retention_allowed (and retention_found,"
            " retention_admin) to days, or give --before"
        )
    return cutoffs


def _told(due: Due, will: str) -> str:
    by_class = ", ".join(f"{name} {count:,}" for name, count in due.rows.items())
    held = f"; {due.held:,} more are held" if due.held else ""
    return f"{due.total:,} rows {will} ({by_class}){held}"
