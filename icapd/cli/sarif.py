"""Findings in SARIF 2.1.0 (OASIS), which code hosts and editors read."""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from icapd import __version__
from icapd.cli.scan_results import Place, Result
from icapd.inspection import Finding
from icapd.policy import CompiledRule, Severity

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#: By severity: SARIF's level, and the number by which code hosts sort (CVSS's scale).
_LEVELS: dict[Severity, tuple[Literal["error", "warning", "note"], str]] = {
    "critical": ("error", "9.5"),
    "high": ("error", "8.0"),
    "medium": ("warning", "5.5"),
    "low": ("note", "3.0"),
    "info": ("note", "0.0"),
}


def sarif(results: Sequence[Result], rules: Iterable[CompiledRule]) -> dict[str, Any]:
    """The document: the rules that found something, the findings, and what could not be scanned."""
    found = {finding.rule_id for result in results for finding in result.findings}
    known = [rule for rule in rules if rule.id in found]
    numbers = {rule.id: number for number, rule in enumerate(known)}
    seen: Counter[str] = Counter()
    failed = [result for result in results if result.problem]
    run = {
        "tool": {
            "driver": {"name": "icapd", "version": __version__, "rules": [_rule(rule) for rule in known]}
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not failed,
                "toolExecutionNotifications": [_notification(result) for result in failed],
            }
        ],
        "results": [
            _result(result, finding, place, numbers, seen)
            for result in results
            for finding, place in zip(result.findings, result.places, strict=True)
        ],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: CompiledRule) -> dict[str, Any]:
    level, number = _LEVELS[rule.severity]
    source = rule.rule
    text = f"{source.description}. The policy's action: {rule.action.name.lower()}."
    described: dict[str, Any] = {
        "id": rule.id,
        "shortDescription": {"text": source.description},
        "help": {"text": f"{text} {source.reference}".rstrip()},
        "defaultConfiguration": {"level": level},
        "properties": {
            "tags": ["security", *source.tags],
            "severity": rule.severity,
            "security-severity": number,
        },
    }
    if source.reference.startswith("https://") and " " not in source.reference:
        described["helpUri"] = source.reference
    return described


def _result(
    result: Result, finding: Finding, place: Place | None, numbers: dict[str, int], seen: Counter[str]
) -> dict[str, Any]:
    # What is the same in the next run, whatever moved: never made of the secret, which a hash would betray.
    same = f"{finding.rule_id}\n{result.source.name}\n{finding.target}\n{finding.excerpt}"
    seen[same] += 1
    fingerprint = sha256(f"{same}\n{seen[same]}".encode()).hexdigest()[:32]
    what = f": {finding.excerpt}" if finding.excerpt else ""
    return {
        "ruleId": finding.rule_id,
        "ruleIndex": numbers[finding.rule_id],
        "level": _LEVELS[finding.severity][0],
        "message": {"text": f"{finding.rule_id} in {finding.target}{what}"},
        "locations": [_location(result, place)],
        "partialFingerprints": {"icapdFinding/v1": fingerprint},
    }


def _notification(result: Result) -> dict[str, Any]:
    return {"level": "error", "message": {"text": result.problem}, "locations": [_location(result, None)]}


def _location(result: Result, place: Place | None) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(result.source.path)}}
    # Within a HAR file the lines are those of the message, not of the file.
    if place is not None and not result.source.part:
        physical["region"] = {
            "startLine": place.line,
            "startColumn": place.column,
            "endLine": place.end_line,
            "endColumn": place.end_column,
            "byteOffset": place.offset,
            "byteLength": place.length,
        }
    location: dict[str, Any] = {"physicalLocation": physical}
    if result.source.part:
        location["logicalLocations"] = [{"name": result.source.part}]
    return location


def _uri(path: str) -> str:
    """RFC 3986: relative to where the scan ran, unless the path is absolute."""
    posix = Path(path).as_posix()
    return f"file://{quote(posix)}" if posix.startswith("/") else quote(posix)
