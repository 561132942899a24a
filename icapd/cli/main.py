"""`icapd`: the group that all commands hang on."""

from pathlib import Path
from typing import Any

import click

from icapd import __version__
from icapd.cli.audit import audit
from icapd.cli.ca import ca
from icapd.cli.check import check
from icapd.cli.conformance import conformance
from icapd.cli.control import reload, restart, status
from icapd.cli.db import db
from icapd.cli.rules import rules
from icapd.cli.scan import scan
from icapd.cli.serve import serve
from icapd.cli.squid import squid
from icapd.configuration import load_settings
from icapd.errors import IcapdError

DEFAULT_CONFIG = Path("icapd.toml")


class IcapdGroup(click.Group):
    """Turns our errors into one line and an exit code, so that no command has to."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IcapdError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=IcapdGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    envvar="ICAPD_CONFIG",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file. Default: icapd.toml here, when there is one.",
)
@click.version_option(__version__, prog_name="icapd")
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Content inspection for Squid over ICAP: redact, block, and record.

    \b
    Exit codes: 0 clean, 1 findings, 2 usage, 3 configuration, 4 unreachable.
    """
    if config is None and DEFAULT_CONFIG.exists():
        config = DEFAULT_CONFIG
    ctx.meta["icapd.config"] = config
    ctx.obj = load_settings(config)


for command in (serve, reload, restart, status, check, conformance, scan, rules, audit, db, ca, squid):
    main.add_command(command)
