"""`icapd rules diff`: what two directories of rule files differ in, for people and for reviews."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec

from icapd.cli.batch import BatchLine, content_of
from icapd.errors import ConfigurationError
from icapd.http.headers import Headers
from icapd.http.heads import RequestHead, ResponseHead
from icapd.icap import Method, ModRequest
from icapd.inspection import Fingerprinter
from icapd.policy import load_policy
from icapd.policy.diff import Change, PolicyDiff, diff
from icapd.services.catalogue import make_catalogue
from icapd.services.configured import inspection_limits, service_options
from icapd.services.examination import encode, headers_from
from icapd.services.identity import Identity
from icapd.services.replay import Judgement, Seen, replay
from icapd.settings import Settings

_DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)
_decoder = msgspec.json.Decoder(BatchLine)


@click.command("diff")
@click.argument("old", type=_DIRECTORY)
@click.argument("new", type=_DIRECTORY)
@click.option(
    "--messages",
    type=click.File("rb"),
    help="Judge these messages by both, JSON lines as for `icapd scan --batch`; - is standard input.",
)
@click.option(
    "--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.pass_context
def diff_rules(
    ctx: click.Context, old: Path, new: Path, messages: BinaryIO | None, output_format: str
) -> None:
    """Show what NEW rule files change: rules, policy.toml, and the verdicts on given messages.

    \b
    Exit codes: 0 the same, 1 they differ, 3 one can't be loaded.
    """
    settings: Settings = ctx.obj
    policies = load_policy(old), load_policy(new)
    found = diff(*policies)
    verdicts: list[dict[str, Any]] = []
    judged = 0
    if messages is not None:
        fingerprinter = Fingerprinter.ephemeral()
        limits, options = inspection_limits(settings), service_options(settings)
        before, after = (make_catalogue(policy, fingerprinter, limits, options) for policy in policies)
        for name, seen in _messages(messages):
            judged += 1
            one, other = replay(before, seen), replay(after, seen)
            if one != other:
                verdicts.append({"id": name, "old": one, "new": other})
    if output_format == "json":
        shown = {**msgspec.to_builtins(found), "messages": judged, "verdicts": verdicts}
        click.echo(msgspec.json.format(msgspec.json.encode(shown)).decode())
    else:
        _show(found)
        if messages is not None:
            _show_verdicts(verdicts, judged)
    ctx.exit(0 if found.is_empty and not verdicts else 1)


def _messages(lines: BinaryIO) -> Iterator[tuple[object, Seen]]:
    """Each message with its id, or the number of its line."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            message = _decoder.decode(line)
            yield message.id if message.id is not None else number, _seen(message)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ConfigurationError(f"--messages: line {number}: {error}") from None


def _seen(line: BatchLine) -> Seen:
    body = content_of(line)
    headers = headers_from(line.headers)
    if headers.get(b"content-length") is None:
        headers = Headers((*headers.items, (b"Content-Length", b"%d" % len(body))))
    is_request = line.direction == "request"
    request_headers = headers if is_request else Headers()
    request = ModRequest(
        path="/reqmod" if is_request else "/respmod",
        headers=Headers(),
        method=Method.REQMOD if is_request else Method.RESPMOD,
        allow=frozenset(),
        preview=None,
        has_body=bool(body),
        request_head=RequestHead(encode(line.method), encode(line.url), headers=request_headers),
        response_head=None if is_request else ResponseHead(200, headers=headers),
    )
    return Seen(request, body, Identity(), time.time_ns() // 1000)


def _show(found: PolicyDiff) -> None:
    if found.is_empty:
        click.echo(f"the same: {found.new_digest}")
        return
    for sign, kind, names in (
        ("+", "rule", found.rules_added),
        ("-", "rule", found.rules_removed),
        ("+", "scope", found.scopes_added),
        ("-", "scope", found.scopes_removed),
        ("+", "exception", found.exceptions_added),
        ("-", "exception", found.exceptions_removed),
    ):
        for name in names:
            click.echo(f"{sign} {kind} {name}")
    _show_changes("policy.toml", found.top)
    for kind, changed in (("rule", found.rules_changed), ("scope", found.scopes_changed)):
        for name, changes in changed.items():
            _show_changes(f"{kind} {name}", changes)
    same = " (same verdicts)" if found.old_digest == found.new_digest else ""
    click.echo(f"digest {found.old_digest[:20]} -> {found.new_digest[:20]}{same}")


def _show_changes(name: str, changes: tuple[Change, ...]) -> None:
    if changes:
        click.echo(f"~ {name}")
    for change in changes:
        click.echo(f"    {change.key}: {_text(change.old)} -> {_text(change.new)}")


def _show_verdicts(verdicts: list[dict[str, Any]], judged: int) -> None:
    for one in verdicts:
        old, new = one["old"], one["new"]
        click.echo(f"! message {one['id']}: {_judged(old)} -> {_judged(new)}")
    click.echo(f"{judged} messages, {len(verdicts)} judged otherwise")


def _judged(judgement: Judgement) -> str:
    """`blocked by a, b`; `blocked (allowed) by ...` where the rules only watch."""
    done = f" ({judgement.effect})" if judgement.effect != judgement.verdict else ""
    return " by ".join(filter(None, (judgement.verdict + done, ", ".join(judgement.rules))))


def _text(value: Any) -> str:
    return "-" if value is None else msgspec.json.encode(value).decode()
