"""`icapd audit fingerprint`: what stands in the audit tables for a secret that someone knows."""

import sys
from pathlib import Path

import click

from icapd.audit.search import Filters, search
from icapd.cli import audit_view
from icapd.cli.audit_options import reading
from icapd.inspection.findings import Fingerprinter
from icapd.server.fingerprint_key import load_key
from icapd.settings import Settings

#: Bytes; more than any rule's match.
_LONGEST = 1024 * 1024


@click.command()
@click.option("--search", "search_", is_flag=True, help="List the records that have it, newest first.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "jsonl"]),
    default="table",
    show_default=True,
    help="How --search lists them.",
)
@click.pass_obj
def fingerprint(settings: Settings, search_: bool, format_: str) -> None:
    """Print the fingerprint of a secret, which is read from standard input, less the end of its line.

    \b
    Where did this key go?
        icapd audit fingerprint --search < key.txt
    By hand, unseen:
        icapd audit fingerprint

    The secret is what a rule matches: the token alone, not the line it stands in. It is never taken from the
    command line, where every user of the machine could read it. Needs the right to read [audit]
    fingerprint_key; fingerprints of another key do not compare.
    """
    key = load_key(Path(settings.audit.fingerprint_key))
    found = Fingerprinter(key).fingerprint(_secret())
    wanted = Filters(fingerprint=found)
    with reading(settings, "fingerprint", wanted, {"search": search_}) as read:
        if format_ == "table" or not search_:
            click.echo(found)
        if search_:
            records = list(search(settings.audit.database_url, wanted))
            read.rows = len(records)
            if format_ == "jsonl":
                for record in records:
                    click.echo(audit_view.json_text(record))
            else:
                audit_view.print_table(records)


def _secret() -> bytes:
    if sys.stdin.isatty():
        return str(click.prompt("secret", hide_input=True, err=True)).encode()
    # One byte more than may be.
    data = sys.stdin.buffer.read(_LONGEST + 1)
    if len(data) > _LONGEST:
        raise click.UsageError(f"standard input holds more than {_LONGEST} bytes, which is no secret")
    secret = data.removesuffix(b"\n").removesuffix(b"\r")
    if not secret:
        raise click.UsageError("no secret came on standard input; write it there, as in `... < key.txt`")
    return secret
