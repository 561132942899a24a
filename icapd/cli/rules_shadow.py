"""`icapd rules shadow`: what the candidate policy would have done otherwise."""

import time
from itertools import islice

import click
import msgspec
from rich.table import Table

from icapd.audit import instants
from icapd.audit.shadow import counts, examples
from icapd.cli.tables import console
from icapd.settings import Settings


def _instant(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else instants.parse(text, now=time.time_ns() // 1000)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("shadow")
@click.option("--since", metavar="TIME", callback=_instant, help="10m, 2h, 7d ago; ISO 8601.")
@click.option("--limit", type=click.IntRange(0, 10_000), default=20, show_default=True, help="Examples.")
@click.option(
    "--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.pass_obj
def show_shadow(settings: Settings, since: int | None, limit: int, output_format: str) -> None:
    """Show the messages that the shadow policy ([policy] shadow) would have treated otherwise.

    Counts, then the newest examples; `icapd audit show TXN_ID` has all of each. The metric
    icapd_shadow_verdicts_total counts those that it would have treated alike as well.
    """
    url = settings.audit.database_url
    kinds, newest = counts(url, since), list(islice(examples(url, since, limit), limit))
    if output_format == "json":
        shown = {
            "counts": kinds,
            "examples": [
                {**msgspec.to_builtins(one), "occurred_at": instants.iso(one.occurred_at)} for one in newest
            ],
        }
        click.echo(msgspec.json.format(msgspec.json.encode(shown)).decode())
        return
    table = Table("messages", "done", "would be", "by")
    for kind in kinds:
        table.add_row(str(kind.count), kind.live_effect, kind.shadow_effect, kind.shadow_rules or "-")
    console().print(table)
    table = Table("when", "transaction", "method", "done", "by", "would be", "by")
    for one in newest:
        live = one.live_effect, one.live_rules or "-"
        table.add_row(
            instants.iso(one.occurred_at),
            one.txn_id,
            one.method_icap,
            *live,
            one.shadow_effect,
            one.shadow_rules or "-",
        )
    console().print(table)
