"""`icapd audit forward`: records to a SIEM, as they come."""

from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any, get_args

import click

from icapd.audit.export import LineFormat, lines_in
from icapd.audit.forwarding.forwarder import Cursor, Forwarder
from icapd.audit.forwarding.receivers import receiver_for, shown
from icapd.audit.search import Filters
from icapd.cli.audit_options import filter_options, reading
from icapd.errors import AuditError, UnreachableError
from icapd.settings import Settings

#: Seconds between two looks; and before another try, at first and at most.
_INTERVAL, _FIRST_WAIT, _LONGEST_WAIT = 1.0, 1.0, 60.0


@click.command()
@click.argument("url", metavar="URL")
@click.option(
    "--format", "format_", type=click.Choice(get_args(LineFormat)), default="cef", show_default=True
)
@click.option(
    "--cursor",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="A file that keeps how far it is; without one yet, all records that match are forwarded.",
)
@click.option("--ca-file", metavar="FILE", help="Certificates to trust in place of the system's.")
@click.option(
    "--token-file",
    type=click.File("r"),
    help="What a webhook is shown: Authorization: Bearer TOKEN.",
)
@click.option("--once", is_flag=True, help="End when all is forwarded; exit code 4 when it can't be.")
@filter_options
@click.pass_obj
def forward(
    settings: Settings,
    /,
    url: str,
    format_: LineFormat,
    cursor: Path,
    ca_file: str | None,
    token_file: Any,
    once: bool,
    **filters: Any,
) -> None:
    """Forward records to a SIEM as they come to the database, until Ctrl-C.

    \b
    URL is one of
        syslog+tls://HOST:6514   syslog, RFC 5424 over TLS
        syslog+tcp://HOST:601    the same in plain
        https://HOST/PATH        POST of lines; taken when the answer is 2xx
    Grave findings to a SIEM, from now on or from where it stopped:
        icapd audit forward syslog+tls://siem.example.com --severity high --cursor /var/lib/icapd/siem.cursor

    A receiver that is away is tried again, at last once a minute; the cursor keeps the place meanwhile. A
    webhook gets each record at least once. Syslog has no answer: what was on its way when a connection broke
    is sent again as far as it is the last batch, and not after a new start of this command.
    """
    wanted = Filters(**filters)
    token = token_file.read().strip() if token_file else None
    with (
        closing(receiver_for(url, ca_file=ca_file, token=token)) as receiver,
        closing(Cursor(cursor)) as position,
        reading(settings, "forward", wanted, {"format": format_, "to": shown(url)}) as read,
    ):
        forwarder = Forwarder(settings.audit.database_url, wanted, lines_in(format_), receiver, position)
        never, wait = Event(), _FIRST_WAIT
        try:
            while True:
                try:
                    while sent := forwarder.round():
                        read.rows += sent
                    wait = _FIRST_WAIT
                    pause = _INTERVAL
                except (AuditError, UnreachableError) as error:
                    if once:
                        raise
                    click.echo(f"{error}; trying again in {wait:.0f} s", err=True)
                    pause, wait = wait, min(2 * wait, _LONGEST_WAIT)
                else:
                    if once:
                        return
                never.wait(pause)
        except (KeyboardInterrupt, SystemExit):
            # The ways to end it, unless it is to come to an end of its own.
            if once:
                raise
