"""One rule file: a pack of rules that are switched on together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from icapd.errors import PolicyError
from icapd.policy.checks import check_rule
from icapd.policy.decoding import decode, faults_as_errors, read_toml
from icapd.policy.rule import Rule

Redaction = Literal["merged", "in-order"]


class PackHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The [pack] table: what the pack is for, and how its redactions go together."""

    #: For people; rules go by the name of the file.
    name: str = ""
    #: What the pack is for.
    description: str = ""
    #: "merged": all matches are found in the original and overlapping ones become one replacement.
    #: "in-order": each rule is a substitution over what the rules before it made.
    redaction: Redaction = "merged"


class PackFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The top level of a rule file."""

    pack: dict[str, Any] = {}
    rule: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True)
class Pack:
    """The rules of one file, each checked by itself."""

    #: The file's name without `.toml`: what policy.toml and the rules' ids call it.
    name: str
    path: Path
    header: PackHeader
    rules: tuple[Rule, ...]


def load_pack(path: Path) -> Pack:
    """Read and check a rule file; PolicyError names the file, the rule and the key of the first fault."""
    content = decode(read_toml(path), PackFile, file=path)
    header = decode(content.pack, PackHeader, file=path)
    rules: dict[str, Rule] = {}
    for number, table in enumerate(content.rule, 1):
        rule = _load_rule(table, number, path)
        if rule.id in rules:
            raise PolicyError(
                "stands twice in the file; give one another name", file=path, rule=rule.id, key="id"
            )
        rules[rule.id] = rule
    return Pack(path.stem, path, header, tuple(rules.values()))


def _load_rule(table: dict[str, Any], number: int, path: Path) -> Rule:
    name = table.get("id")
    place = name if isinstance(name, str) else f"#{number}"
    rule = decode(table, Rule, file=path, rule=place)
    with faults_as_errors(path, place):
        check_rule(rule, path.stem)
    return rule
