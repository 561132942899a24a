"""`icapd db`: the audit database's schema."""

from datetime import UTC, datetime

import click

from icapd.audit import deeds, distribution, migrations, partitions, roles, schema
from icapd.audit.database import Database
from icapd.settings import Settings


@click.group()
def db() -> None:
    """Make, upgrade and check the audit database."""


@db.command()
@click.pass_obj
def upgrade(settings: Settings) -> None:
    """Bring the database to this icapd's schema; a SQLite file is made if there is none."""
    url = settings.audit.database_url
    before, after = migrations.upgrade(url)
    partitions.make(Database.parse(url), settings.audit.partitions, datetime.now(UTC))
    match before:
        case None:
            done = f"made, at {after}"
        case str() if before == after:
            done = f"was at {after} already"
        case _:
            done = f"upgraded from {before} to {after}"
    click.echo(f"{Database.parse(url).name}: {done}")


@db.command()
@click.pass_obj
def current(settings: Settings) -> None:
    """Print the schema revision that the database has, and the one that this icapd needs."""
    url = settings.audit.database_url
    revision = migrations.current(url) or "none"
    click.echo(f"{Database.parse(url).name}: {revision} (this icapd: {schema.HEAD})")


@db.command()
@click.pass_obj
def check(settings: Settings) -> None:
    """Compare the database with the tables that this icapd needs."""
    url = settings.audit.database_url
    migrations.check(url)
    click.echo(f"{Database.parse(url).name}: at {schema.HEAD}, its tables as they should be")


@db.command("roles")
def print_roles() -> None:
    """Print SQL that makes PostgreSQL's roles icapd_ingest, icapd_read and icapd_retention."""
    click.echo(roles.sql(), nl=False)


@db.command()
@click.option("--dry-run", is_flag=True, help="Print the SQL of what is left to be done, and do nothing.")
@click.pass_obj
def distribute(settings: Settings, dry_run: bool) -> None:
    """Spread the tables over the nodes of a Citus cluster, by writer.

    \b
    Run it on the coordinator, as the owner of the tables, once Citus is there and its nodes are added;
    and again after an upgrade that brought new tables.
        icapd db distribute --dry-run
        icapd db distribute

    What the tables hold moves along; meanwhile the outboxes keep what is recorded. It is on record in
    audit_admin. The trigger against
    changes of rows goes, for Citus takes none: see docs/scale.md.
    """
    database = Database.parse(settings.audit.database_url)
    if dry_run:
        for step in distribution.steps(database):
            click.echo("".join(f"{statement};\n" for statement in step.statements), nl=False)
        return
    if not distribution.steps(database):
        click.echo(f"{database.name}: was distributed already")
        return
    tables: list[str] = []
    with deeds.on_record(settings.audit, distribution.ACTION, {}, is_long=True) as deed:
        deed.outcome = {"tables": tables}
        for step, left in distribution.distribute(database):
            tables.append(step.table)
            click.echo(f"{step.table}: distributed, {left} left", err=True)
    click.echo(f"{database.name}: distributed by writer")
