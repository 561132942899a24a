"""`icapd`: the group that all commands hang on."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from icapd import __version__
from icapd.configuration import load_settings
from icapd.errors import IcapdError

DEFAULT_CONFIG = Path("icapd.toml")


#: Each command's module, which is imported when the command is asked for: `icapd scan` in a pre-commit hook
#: need not wait for the server's libraries.
MODULES = {
    name: f"icapd.cli.{module}"
    for module, names in {
        "audit": ("audit",),
        "ca": ("ca",),
        "check": ("check",),
        "conformance": ("conformance",),
        "control": ("reload", "restart", "status"),
        "db": ("db",),
        "rules": ("rules",),
        "scan": ("scan",),
        "serve": ("serve",),
        "squid": ("squid",),
    }.items()
    for name in names
}


class Commands(MutableMapping[str, click.Command]):
    """The commands by their names, each made when it is taken out."""

    def __init__(self, modules: dict[str, str]) -> None:
        self._modules = modules
        self._added: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._added:
            command: click.Command = getattr(import_module(self._modules[name]), name)
            self._added[name] = command
        return self._added[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._added[name] = command

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._modules, **self._added})

    def __len__(self) -> int:
        return len({**self._modules, **self._added})


class IcapdGroup(click.Group):
    """Turns our errors into one line and an exit code, so that no command has to."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IcapdError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(
    cls=IcapdGroup, commands=Commands(MODULES), context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--config",
    envvar="ICAPD_CONFIG",
    show_envvar=True,
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
