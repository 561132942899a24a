"""What `icapd scan` prints: tables for people, lines of JSON, SARIF."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from icapd.cli.batch import report
from icapd.cli.sarif import sarif
from icapd.cli.scan_results import Result
from icapd.cli.tables import console
from icapd.policy import Policy


class Printer(Protocol):
    """Takes the results as they come; returns them, so that they can be counted."""

    def __call__(self, results: Iterable[Result], policy: Policy) -> Iterator[Result]: ...


def print_text(results: Iterable[Result], policy: Policy) -> Iterator[Result]:
    """A table for each message with findings; of files that were named, also that there are none."""
    for result in results:
        _print_text(result)
        yield result


def print_json(results: Iterable[Result], policy: Policy) -> Iterator[Result]:
    """A line for each message that was scanned."""
    for result in results:
        if result.examined is not None:
            click.echo(msgspec.json.encode(_document(result)).decode())
        yield result


def print_sarif(results: Iterable[Result], policy: Policy) -> Iterator[Result]:
    """One document for all, behind the last."""
    kept = []
    for result in results:
        if result.findings or result.problem:
            kept.append(result)
        yield result
    click.echo(msgspec.json.format(msgspec.json.encode(sarif(kept, policy.rules)), indent=1).decode())


PRINTERS: dict[str, Printer] = {"text": print_text, "json": print_json, "sarif": print_sarif}


def _document(result: Result) -> dict[str, object]:
    assert result.examined is not None
    document = report(result.examined)
    for finding, place in zip(document["findings"], result.places, strict=True):
        if place is not None:
            finding |= {"line": place.line, "column": place.column}
    return {
        "file": result.source.name,
        **document,
        "inspection": "skipped" if result.skipped else "complete",
        "skip_reason": result.skipped or None,
    }


def _print_text(result: Result) -> None:
    name = result.source.name
    if not result.findings:
        if result.source.named and not result.problem:
            reason = f"not inspected ({result.skipped})" if result.skipped else "nothing found"
            click.echo(f"{name}: {reason}")
        return
    table = Table(
        "rule",
        "severity",
        "action",
        "in",
        "line",
        "at byte",
        "what (masked)",
        title=escape(name),
        title_justify="left",
    )
    for finding, place in zip(result.findings, result.places, strict=True):
        line = f"{place.line}:{place.column}" if place is not None else ""
        action, excerpt = finding.action.name.lower(), escape(finding.excerpt)
        table.add_row(
            finding.rule_id, finding.severity, action, finding.target, line, str(finding.start), excerpt
        )
    console().print(table)
