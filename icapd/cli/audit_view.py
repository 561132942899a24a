"""How audit records look: JSON for programs, tables for people.

Much of a record comes from the wire, and may hold what a terminal takes for a command. JSON is ASCII, with
everything else escaped; tables show what can't be printed by its escapes.
"""

import json
from collections import Counter
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from icapd.audit import instants
from icapd.audit.formats.text import printable
from icapd.audit.record import AuditRecord, as_json
from icapd.cli.tables import console

_DEFAULT_PORTS = {"http": 80, "https": 443}

_VERDICT_STYLES = {"allowed": "green", "logged": "yellow", "redacted": "magenta", "blocked": "bold red"}
#: Dispositions under which a verdict took nothing out and stopped nothing.
_NOTHING_DONE = ("unmodified", "echoed", "normalised")


def json_text(record: AuditRecord) -> str:
    """The record as one line of JSON."""
    return json.dumps(as_json(record))


def line(record: AuditRecord) -> str:
    """The record on one line, without colours."""
    cells = (
        instants.iso(record.occurred_at)[:19].replace("T", " "),
        f"{record.method_icap:7}",
        f"{_verdict(record, with_outcome=True).plain:8}",
        str(record.http_status or "-"),
        record.client_ip or "-",
        record.client_user or "-",
        _request(record),
        _rules(record),
    )
    return printable("  ".join(cells)).rstrip()


def print_table(records: Sequence[AuditRecord]) -> None:
    """One row per record."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("time (UTC)", "method", "verdict", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("client", "user", "request", "findings"):
        table.add_column(name, overflow="fold")
    for record in records:
        table.add_row(
            Text(instants.iso(record.occurred_at)[:19].replace("T", " ")),
            as_text(record.method_icap),
            _verdict(record, with_outcome=True),
            as_text(record.http_status),
            as_text(record.client_ip),
            as_text(record.client_user),
            as_text(_request(record)),
            as_text(_rules(record)),
        )
    console().print(table)


def print_details(records: Sequence[AuditRecord]) -> None:
    """Every field of each record, and its findings."""
    output = console()
    for record in records:
        fields = Table(box=None, show_header=False)
        for name, value in as_json(record).items():
            if name != "findings" and value not in (None, ""):
                shown = _verdict(record) if name == "verdict" else as_text(value)
                fields.add_row(Text(name, style="bold"), shown)
        output.print(fields)
        if record.findings:
            findings = Table("rule", "severity", "action", "target", "excerpt", "fingerprint", box=None)
            for finding in record.findings:
                cells = (finding.rule_id, finding.severity, finding.action, finding.target, finding.excerpt)
                findings.add_row(*map(as_text, cells), as_text(finding.fingerprint))
            output.print(findings)
        output.print()


def as_text(value: object) -> Text:
    """A value for a table, printable; of None nothing."""
    # A Text and not a str, in which rich would look for its markup.
    return Text("" if value is None else printable(str(value)))


def _verdict(record: AuditRecord, with_outcome: bool = False) -> Text:
    """The verdict; on wish with a word where it changed nothing, as of rules that only watch."""
    undone = record.verdict in ("redacted", "blocked") and record.disposition in _NOTHING_DONE
    suffix = " (not done)" if with_outcome and undone else ""
    return Text(printable(record.verdict) + suffix, style=_VERDICT_STYLES.get(record.verdict, ""))


def _request(record: AuditRecord) -> str:
    """The HTTP method and the URL, as far as they are known."""
    usual = _DEFAULT_PORTS.get(record.scheme or "")
    port = f":{record.port}" if record.port and record.port != usual else ""
    return (
        f"{record.http_method or '?'} {record.scheme or '?'}://{record.host or '?'}{port}{record.path or ''}"
    )


def _rules(record: AuditRecord) -> str:
    """The rules that found something, each with how often when more than once; why something was not read.

    And of how many equal transactions that is told, when of more than one.
    """
    counts = Counter(finding.rule_id for finding in record.findings)
    rules = [rule if count == 1 else f"{rule} x{count}" for rule, count in counts.items()]
    if record.skip_reason:
        rules.append(f"({record.skip_reason})")
    if record.repeats > 1:
        rules.append(f"({record.repeats:,} transactions)")
    return ", ".join(rules)
