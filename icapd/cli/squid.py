"""`icapd squid`: its configuration."""

from pathlib import Path

import click

from icapd.cli.destinations import allow_destination
from icapd.errors import ConfigurationError
from icapd.fleet.squid import check_squid_conf
from icapd.fleet.squid_conf import Destination, SquidParameters, render_squid_conf
from icapd.settings import Settings

_DEFAULTS = SquidParameters()
_PATH = click.Path(path_type=Path, resolve_path=True)


@click.group()
def squid() -> None:
    """Squid's configuration: write it, check it."""


@squid.command()
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False, writable=True), help="Default: print it."
)
@click.option(
    "--listen", default=_DEFAULTS.proxy_address, show_default=True, help="Where clients find the proxy."
)
@click.option(
    "--client", "clients", multiple=True, help="A network that may use it; repeatable. Default: this machine."
)
@click.option(
    "--ca", type=_PATH, default=_DEFAULTS.ca_certificate, show_default=True, help="The CA's certificate."
)
@click.option("--ca-key", type=_PATH, default=_DEFAULTS.ca_key, show_default=True, help="The CA's key.")
@click.option(
    "--splice-list",
    type=_PATH,
    default=_DEFAULTS.splice_list,
    show_default=True,
    help="Hosts not to decrypt.",
)
@click.option(
    "--origin-ca", "origin_cas", type=_PATH, multiple=True, help="A private upstream's CA; repeatable."
)
@allow_destination
@click.pass_obj
def config(
    settings: Settings,
    *,
    output: Path | None,
    listen: str,
    clients: tuple[str, ...],
    ca: Path,
    ca_key: Path,
    splice_list: Path,
    origin_cas: tuple[Path, ...],
    allowed_destinations: tuple[Destination, ...],
) -> None:
    """Write a squid.conf that sends all traffic through this icapd (server.listen of its settings)."""
    text = render_squid_conf(
        SquidParameters(
            proxy_address=listen,
            icap_address=settings.server.listen,
            clients=clients or _DEFAULTS.clients,
            ca_certificate=ca,
            ca_key=ca_key,
            splice_list=splice_list,
            origin_cas=origin_cas,
            allowed_destinations=allowed_destinations,
        )
    )
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise ConfigurationError(f"{output}: can't be written: {error.strerror}") from None


@squid.command()
@click.argument("conf", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def check(conf: Path) -> None:
    """Ask Squid what is wrong with CONF; exit code 3 when something is."""
    complaints = check_squid_conf(conf)
    for complaint in complaints:
        click.echo(complaint)
    if complaints:
        raise ConfigurationError(f"{conf}: Squid has {len(complaints)} complaints")
    click.echo(f"{conf}: Squid takes it")
