"""`icapd audit tail`: records as they come."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event
from typing import Any

import click

from icapd.audit.formats.flat import RECORD_COLUMNS, csv_line, record_lines
from icapd.audit.record import AuditRecord
from icapd.audit.search import Filters, search
from icapd.audit.tail import Tail
from icapd.cli import audit_view
from icapd.cli.audit_options import filter_options, reading
from icapd.settings import Settings

#: Seconds between two looks.
_INTERVAL = 1.0
#: How a record is written, in each format.
_LINES: dict[str, Callable[[AuditRecord], list[str]]] = {
    "table": lambda record: [audit_view.line(record)],
    "jsonl": lambda record: [audit_view.json_text(record)],
    "csv": record_lines,
}


@click.command()
@filter_options
@click.option(
    "--last",
    "-n",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="How many older records come first.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "jsonl", "csv"]),
    default="table",
    show_default=True,
    help="A line to look at, or a JSON object, for each record; or CSV, a line per finding.",
)
@click.pass_obj
def tail(settings: Settings, /, last: int, format_: str, **filters: Any) -> None:
    """Print records as they come to the database, the newest at the end, until Ctrl-C.

    \b
    What is being blocked just now?
        icapd audit tail --verdict blocked
    The same into a program:
        icapd audit tail --verdict blocked --format jsonl -n 0 | program

    A record comes when its message is done with, some tenths of a second later; the database is asked once a
    second.
    """
    wanted = Filters(**filters)
    lines_of = _LINES[format_]
    with reading(settings, "tail", wanted, {"format": format_, "last": last}) as read:
        try:
            if format_ == "csv":
                click.echo(csv_line(RECORD_COLUMNS))
            for record in _follow(settings.audit.database_url, wanted, last):
                read.rows += 1
                for line in lines_of(record):
                    click.echo(line)
        except (KeyboardInterrupt, SystemExit):
            # The ways to end it.
            return


def _follow(database_url: str, wanted: Filters, last: int) -> Iterator[AuditRecord]:
    tail = Tail(database_url, wanted)
    older = list(search(database_url, replace(wanted, limit=last)))[::-1] if last else []
    yield from older
    # What came between the two is in both.
    told = {record.event_id for record in older}
    never = Event()
    while True:
        for event in tail.look():
            if event.record.event_id not in told:
                yield event.record
        told = set()
        never.wait(_INTERVAL)
