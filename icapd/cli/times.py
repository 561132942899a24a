"""Points in time as options of commands."""

import time

import click

from icapd.audit import instants

_NOW = f"{__name__}.now"


def instant(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """The callback of an option: microseconds since 1970-01-01 UTC, from `10m`, `7d` or ISO 8601.

    Of `since` and `until`, the one that is read later has to fit the other.
    """
    try:
        # One for all options.
        now = context.meta.setdefault(_NOW, time.time_ns() // 1000)
        moment = None if text is None else instants.parse(text, now)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    times = {**context.params, parameter.name: moment}
    since, until = times.get("since"), times.get("until")
    if since is not None and until is not None and since >= until:
        raise click.BadParameter(
            f"--since, {instants.iso(since)}, is not before --until, {instants.iso(until)}"
        )
    return moment
