"""`icapd serve`."""

from importlib import import_module
from pathlib import Path

import click

from icapd.configuration import load_settings
from icapd.server.supervision import restart
from icapd.server.supervision.supervisor import Supervisor
from icapd.server.telemetry.logging import configure_logging


@click.command()
@click.option("--listen", metavar="HOST:PORT", help="ICAP listener; [server] listen.")
@click.option("--http-listen", metavar="HOST:PORT", help="Status pages; [server] http_listen.")
@click.option("--workers", type=int, help="Processes that serve; [server] workers. 0: one for each CPU.")
@click.option("--engine", type=click.Choice(["asyncio", "pyicap"]), help="[server] engine.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(restart.TRIAL_OPTION, metavar="LISTENERS", hidden=True, help="Try a start, before a restart.")
@click.option(restart.INHERITED_OPTION, type=int, metavar="FD", hidden=True, help="The end of a restart.")
@click.pass_context
def serve(
    ctx: click.Context,
    listen: str | None,
    http_listen: str | None,
    workers: int | None,
    engine: str | None,
    log_format: str,
    trial: str | None,
    inherited: int | None,
) -> None:
    """Serve ICAP until SIGTERM or Ctrl-C; SIGHUP takes changed rules, SIGUSR2 a new icapd and settings.

    The services are /reqmod, /respmod and, for event streams, /stream.
    """
    flags = {
        "server.listen": listen,
        "server.http_listen": http_listen,
        "server.workers": workers,
        "server.engine": engine,
    }
    config: Path | None = ctx.meta["icapd.config"]
    settings = load_settings(config, flags=flags)
    if trial is not None:
        # It loads the policy, which the supervisor itself has no use for.
        import_module("icapd.server.supervision.rehearsal").rehearse(settings, trial)
        return
    configure_logging(log_format)
    Supervisor(settings, log_format, inherited).run()
