"""`icapd rules import`: other programs' rules as a pack."""

import re
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from icapd.cli.tables import console
from icapd.errors import ConfigurationError
from icapd.policy.importing import Imported, SourceFormat, format_of, import_rules
from icapd.policy.importing.pack_text import pack_text

#: Something was left out.
_EXIT_LEFT_OUT = 1
_PACK_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--from",
    "source",
    type=click.Choice(["gitleaks", "csv", "words"]),
    help="What FILE is; default: by its name (.toml gitleaks, .csv and .tsv csv, else words).",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="The pack's file, DIR/PACK.toml."
)
@click.option("--pack", help="The pack's name; default: that of the output's file, else of FILE.")
@click.option("--force", is_flag=True, help="Replace the output where it exists.")
@click.option(
    "--format", "report_format", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.pass_context
def import_(
    ctx: click.Context,
    file: Path,
    source: SourceFormat | None,
    output: Path | None,
    pack: str | None,
    force: bool,
    report_format: str,
) -> None:
    """Make a pack of a gitleaks configuration, a CSV table or a list of words.

    The pack goes to --output, else to standard output; what could not be carried over is listed on standard
    error. Exit code 0 when everything was carried over, 1 when something was left out.

    \b
    CSV has a column "word" and, where wanted, "action", "severity" and "description".
    """
    name = _pack_name(file, output, pack)
    if output is not None and output.exists() and not force:
        raise click.UsageError(f"{output} exists; --force replaces it")
    imported = import_rules(file, source or format_of(file), name)
    if imported.rules:
        _write(imported, file, output)
    _report(imported, report_format)
    if not imported.rules:
        raise ConfigurationError(f"{file}: none of its rules can be carried over; no pack was written")
    ctx.exit(_EXIT_LEFT_OUT if imported.left_out else 0)


def _pack_name(file: Path, output: Path | None, pack: str | None) -> str:
    if output is not None and pack is not None and output.name != f"{pack}.toml":
        raise click.UsageError(
            f"a pack is called by its file: write --output {output.with_name(f'{pack}.toml')}"
        )
    if output is not None and output.suffix != ".toml":
        raise click.UsageError(f"--output {output}: a pack's file ends in .toml")
    name = pack or (output.stem if output is not None else _slug(file.name.partition(".")[0] or file.stem))
    if not _PACK_NAME.fullmatch(name):
        raise click.UsageError(f'--pack "{name}": write lower-case letters, digits and dashes')
    if name == "policy":
        raise click.UsageError('a pack can\'t be called "policy": that file chooses the packs')
    return name


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "imported"


def _write(imported: Imported, file: Path, output: Path | None) -> None:
    head = [
        f"Imported from {file.name} by `icapd rules import`. The examples were drawn from the patterns.",
        'Start with mode = "monitor" in policy.toml, and see what the rules find.',
    ]
    text = pack_text(imported.rules, imported.description, head)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{output}: can't be written: {error.strerror}") from None


def _report(imported: Imported, report_format: str) -> None:
    """On standard error: standard output is the pack's."""
    if report_format == "json":
        document = {
            "rules": [rule.id for rule in imported.rules],
            "left_out": imported.left_out,
            "chosen": imported.chosen,
        }
        click.echo(msgspec.json.format(msgspec.json.encode(document)), err=True)
        return
    errors = Console(stderr=True, width=None if console().is_terminal else console().width)
    if imported.chosen:
        table = Table("rule", "key", "chosen", title="Chosen by the import", title_justify="left")
        for choice in imported.chosen:
            table.add_row(choice.rule, choice.key, choice.value)
        errors.print(table)
    if imported.left_out:
        table = Table("rule", "key", "why", title="Not carried over", title_justify="left")
        for left in imported.left_out:
            rule = f"{left.rule} (the whole rule)" if left.whole_rule else left.rule
            table.add_row(*map(_plain, (rule, left.key, left.why)))
        errors.print(table)
    lost = sum(left.whole_rule for left in imported.left_out)
    click.echo(f"{len(imported.rules)} rules imported, {lost} left out", err=True)


def _plain(text: str) -> str:
    """Square brackets of patterns are no styles."""
    return text.replace("[", r"\[")
