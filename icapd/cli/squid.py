"""`icapd squid`: its configuration."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from icapd.cli.destinations import allow_destination
from icapd.errors import ConfigurationError
from icapd.fleet.squid import check_squid_conf
from icapd.fleet.squid_conf import SquidParameters, render_squid_conf
from icapd.settings import Settings

_Command = TypeVar("_Command", bound=Callable[..., Any])

_DEFAULTS = SquidParameters()
_PATH = click.Path(path_type=Path, resolve_path=True)


@click.group()
def squid() -> None:
    """Squid's configuration: write it, check it."""


def _option(flag: str, field: str, help_text: str, **attributes: Any) -> Callable[[_Command], _Command]:
    """An option that sets a field of SquidParameters and has its default."""
    default = getattr(_DEFAULTS, field)
    return click.option(
        flag,
        field,
        default=default,
        multiple=isinstance(default, tuple),
        show_default=bool(default),
        help=help_text,
        **attributes,
    )


@squid.command()
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: print it.")
@_option("--listen", "proxy_address", "Where clients find the proxy.", metavar="HOST:PORT")
@click.option(
    "--icap",
    "icap_address",
    metavar="HOST:PORT",
    help="Where Squid finds icapd. Default: [server] listen, or listen_tls with --icap-tls-ca.",
)
@_option(
    "--icap-tls-ca", "icap_tls_ca", "What icapd's certificate is verified by: speak icaps://.", type=_PATH
)
@_option("--icap-tls-cert", "icap_tls_certificate", "Squid's certificate and key for icapd.", type=_PATH)
@_option("--icap-tls-name", "icap_tls_name", "The name in icapd's certificate.", metavar="HOST")
@_option("--client", "clients", "A network that may use the proxy; repeatable.", metavar="NETWORK")
@_option("--ca", "ca_certificate", "The CA's certificate.", type=_PATH)
@_option("--ca-key", "ca_key", "The CA's key.", type=_PATH)
@_option("--splice-list", "splice_list", "Hosts that are not decrypted.", type=_PATH)
@_option("--origin-ca", "origin_cas", "A private upstream's CA; repeatable.", type=_PATH)
@allow_destination
@click.pass_obj
def config(settings: Settings, /, *, output: Path | None, icap_address: str | None, **fields: Any) -> None:
    """Write a squid.conf that sends all traffic through icapd."""
    server = settings.server
    default = server.listen_tls if fields["icap_tls_ca"] else server.listen
    text = render_squid_conf(SquidParameters(icap_address=icap_address or default, **fields))
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
        raise ConfigurationError(f"{conf}: Squid does not take it as it is")
    click.echo(f"{conf}: Squid takes it")
