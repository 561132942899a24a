"""The option `--allow-destination`, for the commands that write a squid.conf."""

import click

from icapd.errors import ConfigurationError
from icapd.fleet.squid_conf import Destination


def _parse(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[Destination, ...]:
    try:
        return tuple(Destination.parse(value) for value in values)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None


allow_destination = click.option(
    "--allow-destination",
    "allowed_destinations",
    multiple=True,
    metavar="HOST:PORT",
    callback=_parse,
    help="An internal destination that may be reached, this host and port only; repeatable. "
    "HTTPS wants a name: Squid 5 does not look for addresses in certificates.",
)
