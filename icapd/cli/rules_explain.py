"""`icapd rules explain`: what the policy says about one kind of message, and why."""

import time
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
from rich.table import Table

from icapd.cli.addresses import address
from icapd.cli.tables import console
from icapd.configuration import rules_directory
from icapd.policy import Direction, Facts, facts_of, load_policy
from icapd.policy.explain import ExceptionAnswer, Explanation, RuleExplanation, explain, explain_rule
from icapd.settings import Settings


@click.command("explain")
@click.argument("rule_id", metavar="[RULE_ID]", required=False)
@click.option("--host", default="", metavar="NAME", help="The origin's host name.")
@click.option("--user", default="", metavar="NAME", help="The user that the proxy authenticated.")
@click.option("--client", default="", metavar="IP", callback=address, help="The client's address.")
@click.option("--group", "groups", multiple=True, metavar="NAME", help="A group of the user; repeatable.")
@click.option("--path", default="", metavar="PATH", help="The URL's path.")
@click.option("--method", default="", metavar="METHOD", help="The HTTP method.")
@click.option("--media-type", default="", metavar="TYPE", help="Of the message's body.")
@click.option(
    "--direction", type=click.Choice(get_args(Direction)), default="request", show_default=True, help="Of it."
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Rule files; default: those of the configuration.",
)
@click.option(
    "--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.pass_obj
def explain_rules(
    settings: Settings,
    /,
    rule_id: str | None,
    directory: Path | None,
    output_format: str,
    groups: tuple[str, ...],
    **facts: Any,
) -> None:
    """Show the policy that would apply to a message, and why; with RULE_ID, what that rule would do.

    What is not given is not known: a scope that asks for it does not apply.
    """
    policy = load_policy(directory or rules_directory(settings))
    asked: Facts = facts_of(groups=groups, **facts)
    now = time.time()
    found: Explanation | RuleExplanation
    found = explain_rule(policy, rule_id, asked, now) if rule_id else explain(policy, asked, now)
    if output_format == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    elif isinstance(found, Explanation):
        _show(found)
    else:
        _show_rule(found)


def _show(found: Explanation) -> None:
    facts = {
        "scope": found.scope or "none: the top of policy.toml",
        "mode": "skip: not inspected" if found.skip else found.mode,
        "audit": found.audit,
        "packs": ", ".join(found.packs) or "none",
        "rules": str(found.rules),
        "thresholds": _pairs(found.thresholds) or "none",
        "uninspected": _pairs({k: v for k, v in found.uninspected.items() if v != "fail mode"})
        or "all by the service's fail mode",
        "bodies not read": ", ".join(found.unread_bodies) or "none by policy",
        "digest": found.digest,
    }
    for key, value in facts.items():
        click.echo(f"{key + ':':<17}{value}")
    for rule, wanted in found.overridden.items():
        click.echo(f"{'override:':<17}{rule}: {_pairs(wanted)}")
    if found.scopes:
        table = Table("scope", "applies", "why")
        for scope in found.scopes:
            table.add_row(scope.name, _yes(scope.applies), scope.because)
        console().print(table)
    _show_exceptions(found.exceptions)


def _show_rule(found: RuleExplanation) -> None:
    click.echo(f"{found.rule}: {found.state}")
    click.echo(f"{'scope:':<17}{found.scope or 'none: the top of policy.toml'}")
    if found.action:
        watched = "" if found.enforced else " (only watched)"
        click.echo(f"{'action:':<17}{found.action}{watched}")
        click.echo(f"{'severity:':<17}{found.severity}, score {found.score}")
    if found.override:
        click.echo(f"{'override:':<17}{_pairs(found.override)}")
    _show_exceptions(found.exceptions)


def _show_exceptions(exceptions: tuple[ExceptionAnswer, ...]) -> None:
    if not exceptions:
        return
    table = Table("exception", "applies", "why", "rules", "until", "owner", "reason")
    for one in exceptions:
        more = f" and {len(one.rules) - _SHOWN} more" if len(one.rules) > _SHOWN else ""
        rules = ", ".join(one.rules[:_SHOWN]) + more
        table.add_row(
            f"#{one.number}", _yes(one.applies), one.because, rules, str(one.expires), one.owner, one.reason
        )
    console().print(table)


#: Rules of an exception that a table names.
_SHOWN = 4


def _pairs(table: Any) -> str:
    return ", ".join(f"{key} = {value}" for key, value in table.items())


def _yes(answer: bool) -> str:
    return "[green]yes[/]" if answer else "no"
