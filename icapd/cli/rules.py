"""`icapd rules`: look at the rules, check them, prove them."""

from pathlib import Path

import click
import msgspec
from rich.table import Table

from icapd.cli.rules_check import check_rules
from icapd.cli.rules_diff import diff_rules
from icapd.cli.rules_explain import explain_rules
from icapd.cli.rules_import import import_
from icapd.cli.rules_shadow import show_shadow
from icapd.cli.tables import console
from icapd.configuration import rules_directory
from icapd.errors import ConfigurationError
from icapd.policy import CompiledRule, load_policy, prove
from icapd.policy.schema import SCHEMAS, schema_text
from icapd.settings import Settings

_DIRECTORY = click.Path(path_type=Path, exists=True, file_okay=False)
_SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}


@click.group()
def rules() -> None:
    """The rules in force: list, check and prove them."""


rules.add_command(check_rules)
rules.add_command(import_)


@rules.command("list")
@click.option("--directory", type=_DIRECTORY, help="Rule files; default: those of the configuration.")
@click.option("--pack", "packs", multiple=True, help="This pack instead of those of policy.toml; repeatable.")
@click.option(
    "--tag", "tags", multiple=True, help="Only rules with this tag; repeatable, any of them will do."
)
@click.option(
    "--format", "output_format", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.pass_obj
def list_rules(
    settings: Settings,
    directory: Path | None,
    packs: tuple[str, ...],
    tags: tuple[str, ...],
    output_format: str,
) -> None:
    """Show the rules in force."""
    policy = load_policy(directory or rules_directory(settings), packs or None)
    chosen = [rule for rule in policy.rules if not tags or not set(tags).isdisjoint(rule.rule.tags)]
    if output_format == "json":
        click.echo(msgspec.json.format(msgspec.json.encode([_as_json(rule) for rule in chosen])))
        return
    table = Table("rule", "severity", "action", "direction", "targets", "what it finds")
    for rule in chosen:
        action = rule.action.name.lower() + ("" if rule.enforced else " (monitor)")
        severity = f"[{_SEVERITY_STYLES[rule.severity]}]{rule.severity}[/]"
        source = rule.rule
        table.add_row(
            rule.id, severity, action, source.direction, ", ".join(source.targets), source.description
        )
    console().print(table)
    click.echo(f"{len(chosen)} rules of {', '.join(policy.packs)}; mode {policy.mode}; {policy.istag}")


@rules.command("test")
@click.option("--directory", type=_DIRECTORY, help="Rule files; default: those of the configuration.")
@click.option("--pack", "packs", multiple=True, help="This pack instead of those of policy.toml; repeatable.")
@click.pass_obj
def test_rules(settings: Settings, directory: Path | None, packs: tuple[str, ...]) -> None:
    """Run every example that the rules carry: what must be found, what must not, what becomes of it."""
    policy = load_policy(directory or rules_directory(settings), packs or None)
    examples = 0
    for rule in policy.rules:
        proof = prove(rule)
        examples += proof.examples
        for failure in proof.failures:
            raise ConfigurationError(f'rule "{rule.id}": key "{failure.key}": {failure.problem}')
    click.echo(f"{len(policy.rules)} rules, {examples} examples: all hold")


@rules.command("schema")
@click.argument("file", type=click.Choice(list(SCHEMAS)), default="rules")
def print_schema(file: str) -> None:
    """Print the JSON Schema of rule files or of policy.toml, for editors."""
    click.echo(schema_text(file), nl=False)


for command in (explain_rules, diff_rules, show_shadow):
    rules.add_command(command)


def _as_json(rule: CompiledRule) -> dict[str, object]:
    """The rule as its file has it, and what became of it in this policy."""
    fields = msgspec.to_builtins(rule.rule)
    return {
        **fields,
        "action": rule.action.name.lower(),
        "enforced": rule.enforced,
        "max_length": rule.max_length,
    }
