"""Points in time as options of commands."""

import time

import click

from icapd.audit import instants


def instant(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """The callback of an option: microseconds since 1970-01-01 UTC, from `10m`, `7d` or ISO 8601."""
    try:
        return None if text is None else instants.parse(text, now=time.time_ns() // 1000)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
