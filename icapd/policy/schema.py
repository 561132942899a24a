"""JSON Schemas of rule files and of policy.toml, for editors: made from the types that decode them."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec

from icapd.policy.pack import PackHeader
from icapd.policy.policy_tables import Body, ExceptionTable, Override, PolicyFile, ScopeTable, Thresholds
from icapd.policy.rule import PLAIN_TARGETS, Rule
from icapd.policy.uninspected import REASONS, Remedy
from icapd.policy.validators import MEASURES, VALIDATORS

# What editors for TOML know; newer drafts have nothing that is needed here.
_DRAFT = "http://json-schema.org/draft-07/schema#"
_FIELD = re.compile(r"    (?P<name>\w+): ")
_COMMENT = re.compile(r"    #: ?(?P<text>.*)")
#: Tables of policy.toml that are decoded one by one, so that the error names the table.
TABLES: dict[str, type[msgspec.Struct]] = {
    "body": Body,
    "exception": ExceptionTable,
    "override": Override,
    "scope": ScopeTable,
    "thresholds": Thresholds,
}


class RuleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pack of icapd's rules."""

    #: What the pack is for, and how its redactions go together.
    pack: PackHeader = PackHeader()
    #: The rules, in their order.
    rule: tuple[Rule, ...] = ()


def rules_schema() -> dict[str, Any]:
    """The schema of a rule file."""
    schema = _schema_of(RuleFile, (RuleFile,), "Rules of icapd")
    properties = schema["$defs"]["Rule"]["properties"]
    properties["targets"]["items"] = {
        "anyOf": [
            {"enum": list(PLAIN_TARGETS)},
            {"type": "string", "pattern": r"^header(-exact)?:[!#$%&'*+.^_`|~0-9A-Za-z-]+$"},
        ]
    }
    measures = "|".join(map(re.escape, MEASURES))
    validator = {
        "anyOf": [
            {"enum": sorted(VALIDATORS)},
            {"type": "string", "pattern": rf"^({measures})>=[0-9]+(\.[0-9]+)?$"},
        ]
    }
    about = properties["validator"]["description"]
    choices = [validator, {"type": "array", "items": validator}]
    properties["validator"] = {"anyOf": choices, "default": [], "description": about}
    return schema


def policy_schema() -> dict[str, Any]:
    """The schema of policy.toml."""
    schema = _schema_of(PolicyFile, (PolicyFile, *TABLES.values()), "Policy of icapd")
    reasons = {reason: {"enum": list(get_args(Remedy))} for reason in REASONS}
    for table in (schema, schema["$defs"][ScopeTable.__name__]):
        properties = table["properties"]
        properties["uninspected"] |= {"properties": reasons, "additionalProperties": False}
        for key, kind in TABLES.items():
            reference = {"$ref": f"#/$defs/{kind.__name__}"}
            if key not in properties:
                continue
            if key == "override":
                properties[key]["additionalProperties"] = reference
            elif properties[key]["type"] == "array":
                properties[key]["items"] = reference
            else:
                properties[key]["allOf"] = [reference]
    return schema


#: By the word that the command takes.
SCHEMAS = {"rules": rules_schema, "policy": policy_schema}


def schema_text(name: str) -> str:
    """One of the schemas as it is published."""
    return msgspec.json.format(msgspec.json.encode(SCHEMAS[name]()), indent=2).decode() + "\n"


def _schema_of(
    top: type[msgspec.Struct], types: tuple[type[msgspec.Struct], ...], title: str
) -> dict[str, Any]:
    _, definitions = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    for kind in {found for given in types for found in _structs_in(given)}:
        definition = definitions[kind.__name__]
        definition["description"] = inspect.cleandoc(kind.__doc__ or "")
        for name, about in _comments(kind):
            definition["properties"][name]["description"] = about
    # In draft 7 nothing beside a $ref counts, so the top level stands for itself.
    return {**definitions.pop(top.__name__), "$schema": _DRAFT, "title": title, "$defs": definitions}


def _structs_in(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """The struct types that a type is made of, itself among them."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for hint in get_type_hints(kind).values():
            yield from _structs_in(hint)
    for part in get_args(kind):
        yield from _structs_in(part)


def _comments(kind: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """Each field that has a comment `#:` above it, with the comment."""
    comment: list[str] = []
    for line in textwrap.dedent(inspect.getsource(kind)).splitlines():
        about, field = _COMMENT.match(line), _FIELD.match(line)
        if about is not None:
            comment.append(about["text"])
            continue
        if field is not None and comment:
            yield field["name"], " ".join(comment)
        comment = []
