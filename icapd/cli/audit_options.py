"""What the commands of `icapd audit` have in common: filters, arrival, and that each read is on record."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import click

from icapd.audit import instants
from icapd.audit.evidence.verify import read_verifiers
from icapd.audit.outbox.directory import as_owner
from icapd.audit.reads import Read, on_record
from icapd.audit.record import SEVERITIES, Verdict
from icapd.audit.retention.keys import Keys
from icapd.audit.search import Filters
from icapd.audit.shipping.arrival import outstanding
from icapd.cli.addresses import address
from icapd.cli.times import instant
from icapd.settings import Settings

#: What every database takes for a number.
_MAX_LIMIT = 2**31 - 1

#: As records have them; those of a time before keys had ids are the digest alone.
_FINGERPRINT = re.compile(r"(?:[0-9a-f]{8}-)?[0-9a-f]{32}", re.ASCII | re.IGNORECASE)
#: A URL, or a port behind the name: not the colons of an IPv6 address.
_NO_HOST = re.compile(r"://|^(?:[^:]+|\[.*\]):[0-9]*$", re.ASCII)

#: Seconds that records may take from an outbox to the database before they are searched without.
_ARRIVAL = 2.0


def printable_text(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text == "":
        # As of a variable that is not set: it would find, or hold, nothing.
        raise click.BadParameter("is empty; leave it out to ask for all")
    # An argument that is no UTF-8 arrives with surrogates in it, which no database takes.
    if text is not None and not text.isprintable():
        raise click.BadParameter(f"{text!a} holds what is no printable text")
    return text


def client_address(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    return address(context, parameter, printable_text(context, parameter, text))


def _host(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    checked = printable_text(context, parameter, text)
    if checked is None:
        return None
    if _NO_HOST.search(checked):
        # A URL may hold a password.
        raise click.BadParameter("is no host's name alone; leave out scheme, path and port")
    if "*" in checked or "?" in checked:
        # A client may have sent just that.
        click.echo(f"--host {checked} is no pattern: texts are compared exactly", err=True)
    return checked.lower().removeprefix("[").removesuffix("]")


def _fingerprints(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...] | None:
    for text in texts:
        if not _FINGERPRINT.fullmatch(text):
            # It may be the secret itself.
            raise click.BadParameter(
                "is no fingerprint; `icapd audit fingerprint` prints that of a secret, whole"
            )
    return tuple(map(str.lower, texts)) or None


def limit_option(help_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--limit", type=click.IntRange(1, _MAX_LIMIT), help=help_)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that are the fields of `search.Filters`, under the same names, but for the limit."""
    # The last one first, as decorators are applied.
    for option in (
        click.option("--txn", metavar="ID", callback=printable_text, help="One transaction: both halves."),
        click.option(
            "--fingerprint",
            metavar="TEXT",
            multiple=True,
            callback=_fingerprints,
            help="The fingerprint of a secret: where else did it go? Repeatable, for one of several keys; see"
            " `icapd audit fingerprint`.",
        ),
        click.option(
            "--severity", type=click.Choice(SEVERITIES), help="A finding that is at least as grave."
        ),
        click.option("--verdict", type=click.Choice(get_args(Verdict)), help="What the policy decided."),
        click.option("--rule", metavar="ID", callback=printable_text, help="A rule that found something."),
        click.option("--client", metavar="IP", callback=client_address, help="The client's address."),
        click.option(
            "--user", metavar="NAME", callback=printable_text, help="The user that the proxy authenticated."
        ),
        click.option("--host", metavar="NAME", callback=_host, help="The origin's host name."),
        click.option("--until", metavar="TIME", callback=instant, help="Before this time."),
        click.option(
            "--since",
            metavar="TIME",
            callback=instant,
            help="From this time on: 10m, 2h, 7d ago, or ISO 8601 such as 2026-05-17T09:30Z.",
        ),
    ):
        command = option(command)
    return command


@contextmanager
def reading(
    settings: Settings, command: str, filters: Filters, asked: Mapping[str, object] | None = None
) -> Iterator[Read]:
    """A read of the audit tables, which have the records of just now, as far as a moment brings them.

    It is on record (`recorded`), with the filters and what else was `asked`.
    """
    await_arrival(settings)
    with recorded(settings, command, {**as_asked(filters), **(asked or {})}) as read:
        yield read


@contextmanager
def recorded(settings: Settings, command: str, asked: Mapping[str, object]) -> Iterator[Read]:
    """A read that is on record; where it can't be, that is said."""
    with on_record(Path(settings.audit.outbox), settings.audit.mode, command, asked) as read:
        if read.problem:
            click.echo(f"this read is not on record: {read.problem}", err=True)
        yield read


def as_asked(filters: Filters) -> dict[str, object]:
    """The filters that ask for something, for people to read."""
    return {
        name: instants.iso(value) if name in ("since", "until") else value
        for name in Filters.__dataclass_fields__
        if (value := getattr(filters, name)) is not None
    }


public_key_option = click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    metavar="FILE|KEY",
    help="An older key of this trail, as `icapd audit key` printed it; a file has one a line. May be given"
    " more than once.",
)


def keys_of(settings: Settings, public_keys: tuple[str, ...]) -> Keys:
    """Those that sign, and are trusted, when retention does something."""
    return Keys.load(Path(settings.audit.signing_key), read_verifiers(list(public_keys)))


def confirm(what: str, *, yes: bool) -> None:
    """Ask before what can't be undone; a program has to say --yes."""
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(
                f"{what}: can't be undone; say --yes, or --dry-run to see what it would do"
            )
        click.confirm(f"{what}. This can't be undone. Go on?", abort=True, err=True)


def print_outcome(format_: str, values: dict[str, object], text: str) -> None:
    """Of a deed: for a program, or for people."""
    click.echo(json.dumps(values) if format_ == "json" else text)


def await_arrival(settings: Settings) -> None:
    """Give the newest records a moment to come to the database; tells of those that did not."""
    outbox = Path(settings.audit.outbox)
    if not os.access(outbox, os.R_OK | os.X_OK, effective_ids=True):
        return
    with as_owner(outbox):
        missing = outstanding(settings.audit, _ARRIVAL)
    if missing.entries:
        why = f": {missing.problem}" if missing.problem else "; `icapd status` says why"
        click.echo(f"{missing.entries} newer records are not in the database yet{why}", err=True)
