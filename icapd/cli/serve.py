"""`icapd serve`."""

from pathlib import Path

import click

from icapd.cli.logging import configure_logging
from icapd.server.application import Application
from icapd.configuration import load_settings


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="ICAP listener; [server] listen.")
@click.option("--http-listen", metavar="HOST:PORT", help="Status pages; [server] http_listen.")
@click.option("--workers", type=int, help="Processes; [server] workers. One, for now.")
@click.option("--engine", type=click.Choice(["asyncio"]), help="[server] engine.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def serve(
    ctx: click.Context,
    listen: str | None,
    http_listen: str | None,
    workers: int | None,
    engine: str | None,
    log_format: str,
) -> None:
    """Serve ICAP until SIGTERM or Ctrl-C; SIGHUP takes changed rule files.

    The services are /reqmod, /respmod and, for event streams, /stream.
    """
    flags = {
        "server.listen": listen,
        "server.http_listen": http_listen,
        "server.workers": workers,
        "server.engine": engine,
    }
    config: Path | None = ctx.meta["icapd.config"]
    configure_logging(log_format)
    Application(load_settings(config, flags=flags)).run()
