"""`icapd ca`: the authority whose certificates clients of the proxy see."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from cryptography import x509

from icapd.errors import ConfigurationError
from icapd.fleet.ca import (
    CERTIFICATE_FILE,
    DEFAULT_LIFETIME,
    KEY_FILE,
    CertificateAuthority,
    fingerprint,
    load_certificate,
)

_DIRECTORY = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    show_default="here",
    help=f"Where {CERTIFICATE_FILE} and {KEY_FILE} are.",
)


@click.group()
def ca() -> None:
    """The CA that Squid signs the certificates of decrypted sites with."""


@ca.command()
@_DIRECTORY
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=DEFAULT_LIFETIME.days,
    show_default=True,
    help="How long it is valid.",
)
@click.option("--name", default="", help="Its common name. Default: one of its own.")
@click.option(
    "--permit-dns",
    "permitted_dns",
    metavar="NAME",
    multiple=True,
    help="Valid for this name and those below it only (critical name constraint); repeatable.",
)
@click.option("--force", is_flag=True, help="Replace the CA that is there.")
def init(directory: Path, days: int, name: str, permitted_dns: tuple[str, ...], force: bool) -> None:
    """Make a CA: a P-256 key that only its owner can read, and its certificate."""
    authority = CertificateAuthority.create(
        now=datetime.now(UTC), lifetime=timedelta(days=days), name=name, permitted_dns=permitted_dns
    )
    authority.write(directory, replace=force)
    click.echo(
        f"key          {directory / KEY_FILE}  (for Squid; whoever has it can be any site to your clients)"
    )
    click.echo(f"certificate  {directory / CERTIFICATE_FILE}  (for clients to trust)")
    _describe(authority.certificate)


@ca.command()
@_DIRECTORY
def show(directory: Path) -> None:
    """Tell what clients should compare before they trust the CA."""
    certificate = load_certificate(directory / CERTIFICATE_FILE)
    click.echo(f"certificate  {directory / CERTIFICATE_FILE}")
    _describe(certificate)
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise ConfigurationError(
            f"{directory / CERTIFICATE_FILE}: has ended; icapd ca init --force makes a new one"
        )


def _describe(certificate: x509.Certificate) -> None:
    click.echo(f"subject      {certificate.subject.rfc4514_string()}")
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    click.echo(f"valid        {begin:%Y-%m-%d} to {end:%Y-%m-%d}")
    for name in _permitted_names(certificate):
        click.echo(f"permits      {name} and below")
    click.echo(f"SHA-256      {fingerprint(certificate)}")


def _permitted_names(certificate: x509.Certificate) -> list[str]:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in constraints.permitted_subtrees or ()]
