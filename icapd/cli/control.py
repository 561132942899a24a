"""`icapd reload`, `icapd restart`, `icapd status`: speak to the server that is running."""

from datetime import datetime
from pathlib import Path

import click
import msgspec
from rich.table import Table

from icapd.cli.tables import console
from icapd.errors import ConfigurationError, UnreachableError
from icapd.server.control import control_client
from icapd.server.control.control_server import ServerStatus
from icapd.settings import Settings

_TIMEOUT = click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="Seconds to wait for the server.",
)


@click.command()
@_TIMEOUT
@click.pass_obj
def reload(settings: Settings, timeout: float) -> None:
    """Have the running server take changed rules and certificates.

    Rules are read, compiled and proved first: all workers take them, or none does. What is under way ends
    with the rules that it began with. `icapd rules check` says beforehand whether they would be taken.

    \b
    Exit codes: 0 taken, 3 refused (the old rules stay), 4 no server answers.
    """
    result = control_client.reload(_socket(settings), timeout)
    if not result.taken:
        raise ConfigurationError(f"refused: {result.problem}; still in force: istag {result.istag}")
    click.echo(f"taken  istag {result.istag}  mode {result.mode}  packs {', '.join(result.packs)}")


@click.command()
@_TIMEOUT
@click.pass_obj
def restart(settings: Settings, timeout: float) -> None:
    """Replace the running server's processes by new ones, without losing a request.

    For a new version of icapd and for changed settings. The sockets stay open: the new workers take new
    connections, the old ones end what they have (for up to [server] shutdown_timeout). Returns when the new
    workers serve.

    \b
    Exit codes: 0 done, 3 failed (the old workers serve on), 4 no server answers.
    """
    status = control_client.restart(_socket(settings), timeout)
    pids = ", ".join(str(worker.pid) for worker in status.workers if worker.state == "serving")
    click.echo(f"restarted  icapd {status.version}  workers {pids}")


@click.command()
@click.option("--format", "output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_obj
def status(settings: Settings, output: str) -> None:
    """Show the running server: its listeners and its workers.

    A worker is starting, serving, draining (ends what it has, after a restart) or failed (to be started
    again soon). Workers of one server have one istag, except for a moment in a reload.

    \b
    Exit codes: 0 a server answers (--format json: `unready` says whether it is ready), 4 none does.
    """
    found = control_client.status(_socket(settings))
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        _show(found)


def _show(status: ServerStatus) -> None:
    click.echo(f"icapd {status.version}  pid {status.pid}  {status.unready or 'ready'}")
    for remark in status.remarks:
        click.echo(f"note: {remark}")
    for listener in status.listeners:
        click.echo(f"listens on  {listener}")
    table = Table(box=None, pad_edge=False)
    for column in ("pid", "state", "connections", "istag", "since", "restarts"):
        table.add_column(column, justify="right" if column in {"connections", "restarts"} else "left")
    for worker in status.workers:
        since = datetime.fromtimestamp(worker.since).astimezone()
        table.add_row(
            str(worker.pid),
            worker.state,
            str(worker.connections),
            worker.istag,
            f"{since:%Y-%m-%d %H:%M:%S%z}",
            str(worker.restarts),
        )
    console().print(table)


def _socket(settings: Settings) -> Path:
    if not settings.server.control:
        raise UnreachableError(
            "server.control: is off, so the server can't be asked; set it to a path and start the server anew"
            " (kill -HUP and kill -USR2 of the server's pid reload and restart without it)"
        )
    return Path(settings.server.control)
