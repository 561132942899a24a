"""What stands in the audit tables for a secret that someone knows, and the keys that it is made with."""

import json
import sys
from pathlib import Path

import click

from icapd.audit import deeds
from icapd.audit.search import Filters, search
from icapd.cli import audit_view
from icapd.cli.audit_options import reading
from icapd.inspection.findings import Fingerprinter
from icapd.server.fingerprint_keys import add_key, load_keys
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
    """Print the fingerprint of a secret, which is read from standard input, less the end of its line: one for
    each key that is there, the newest key's first.

    \b
    Where did this key go?
        icapd audit fingerprint --search < key.txt
    By hand, unseen:
        icapd audit fingerprint

    The secret is what a rule matches: the token alone, not the line it stands in. It is never taken from the
    command line, where every user of the machine could read it. Needs the right to read [audit]
    fingerprint_key.
    """
    keys, secret = load_keys(Path(settings.audit.fingerprint_key)), _secret()
    found = tuple(Fingerprinter(key).fingerprint(secret) for key in keys)
    wanted = Filters(fingerprint=found)
    with reading(settings, "fingerprint", wanted, {"search": search_}) as read:
        if format_ == "table" or not search_:
            click.echo("\n".join(found))
        if search_:
            records = list(search(settings.audit.database_url, wanted))
            read.rows = len(records)
            if format_ == "jsonl":
                for record in records:
                    click.echo(audit_view.json_text(record))
            else:
                audit_view.print_table(records)


@click.command("rotate-fingerprint-key")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A line to read, or a JSON object: the id of the new key, and those of all.",
)
@click.pass_obj
def rotate_fingerprint_key(settings: Settings, format_: str) -> None:
    """Add a key to [audit] fingerprint_key; from the next `icapd reload` on, fingerprints are made with it.

    The older keys stay, so that `icapd audit fingerprint` still finds what they made; but fingerprints of
    different keys can't be compared with each other. The deed is on record in audit_admin, without the key.
    It needs the right to write to the key's directory and to [audit] outbox.
    """
    with deeds.on_record(settings.audit, "fingerprint-key-added", {}, is_long=False) as deed:
        keys = add_key(Path(settings.audit.fingerprint_key))
        ids = [Fingerprinter(key).key_id for key in keys]
        deed.outcome |= {"key": ids[0], "keys": ids}
    if format_ == "json":
        click.echo(json.dumps({"key": ids[0], "keys": ids}))
    else:
        click.echo(f"new key {ids[0]}, the {len(ids)}. in {settings.audit.fingerprint_key}")
        click.echo("`icapd reload` puts it in force", err=True)


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
