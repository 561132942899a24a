"""`icapd check`: is everything in place to serve?"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from icapd.audit import migrations, partitions
from icapd.audit.database import Database
from icapd.audit.evidence.anchors import anchors_for
from icapd.audit.evidence.notes import load_signer
from icapd.configuration import rules_directory
from icapd.errors import ConfigurationError, IcapdError
from icapd.inspection import Fingerprinter
from icapd.policy import load_policy
from icapd.policy.expiry import expiry_of
from icapd.server.fingerprint_keys import load_keys
from icapd.server.listening.tls import DATE_FORMAT, Credentials
from icapd.settings import Settings


@click.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Check configuration, rules, database and certificate, a line for each; exit code 3 for a fault."""
    settings: Settings = ctx.obj
    config: Path | None = ctx.meta["icapd.config"]
    # The settings were read before any command: a fault in them ends the program there.
    click.echo(f"ok    configuration: {config or 'defaults'}")
    checks = [
        ("rules", _rules),
        ("database", _database),
        ("fingerprint key", _key),
        ("signing key", _signing_key),
    ]
    if settings.server.listen_tls:
        checks.append(("certificate", _certificate))
    faults = sum(not _passes(name, examine, settings) for name, examine in checks)
    if faults:
        raise ConfigurationError(f"{faults} of {1 + len(checks)} checks failed")


def _passes(name: str, examine: Callable[[Settings], str], settings: Settings) -> bool:
    try:
        click.echo(f"ok    {name}: {examine(settings)}")
    except IcapdError as error:
        click.echo(f"FAULT {name}: {error}")
        return False
    return True


def _rules(settings: Settings) -> str:
    policy = load_policy(rules_directory(settings))
    for line in expiry_of(policy, datetime.now(UTC).date()).lines:
        click.echo(f"note  rules: {line}")
    return f"{len(policy.rules)} rules of {', '.join(policy.packs)}; mode {policy.mode}; {policy.istag}"


def _database(settings: Settings) -> str:
    database = Database.parse(settings.audit.database_url)
    migrations.check(settings.audit.database_url)
    if problem := partitions.problem(database):
        click.echo(f"note  database: {problem}")
    return database.name


def _key(settings: Settings) -> str:
    path = Path(settings.audit.fingerprint_key)
    if not path.exists():
        return _key_to_be_made(path)
    keys = load_keys(path)
    return f"{path}; {len(keys)}, the newest one {Fingerprinter(keys[0]).key_id}"


def _signing_key(settings: Settings) -> str:
    """And where copies of what it signs go."""
    path = Path(settings.audit.signing_key)
    anchors_for(settings.audit.anchor_file, settings.audit.anchor_syslog, settings.audit.anchor_url)
    if not path.exists():
        return _key_to_be_made(path)
    return f"{path}; public key {load_signer(path).verifier}"


def _key_to_be_made(path: Path) -> str:
    if not os.access(path.parent, os.W_OK):
        raise ConfigurationError(f"{path}: can't be made: {path.parent} can't be written")
    return f"{path} will be made at the first start"


def _certificate(settings: Settings) -> str:
    credentials, now = Credentials.read(settings.tls), datetime.now(UTC)
    # A client_ca that can't be read is found out here.
    credentials.context()
    if problem := credentials.validity_problem(now):
        raise ConfigurationError(f"tls.certificate: {settings.tls.certificate}: {problem}")
    end = credentials.certificate.not_valid_after_utc
    report = f"{settings.tls.certificate}; valid until {end:{DATE_FORMAT}}, {(end - now).days} days"
    return "; ".join(filter(None, (report, credentials.exposure())))
