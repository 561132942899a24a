"""The published schemas say what the loader says."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import jsonschema
import pytest
from click.testing import CliRunner

from icapd.cli import main
from icapd.errors import PolicyError
from icapd.policy import Rule, default_rules_directory, load_policy
from icapd.policy.pack import PackHeader
from icapd.policy.policy_tables import PolicyFile
from icapd.policy.rule import Near
from icapd.policy.schema import SCHEMAS, TABLES, schema_text

RULES = default_rules_directory()
SOUND: dict[str, Any] = {
    "id": "site.word",
    "description": "a word",
    "targets": ["body"],
    "pattern": "abc",
    "action": "redact",
    "severity": "low",
    "match": ["abc"],
}


def validator(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(schema_text(name)))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schema_is_the_one_that_is_made(name: str) -> None:
    published = (RULES / "schema" / f"{name}.json").read_text("utf-8")
    assert published == schema_text(name), f"run: icapd rules schema {name} > rules/schema/{name}.json"
    jsonschema.Draft7Validator.check_schema(json.loads(published))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_command_prints_it(name: str) -> None:
    result = CliRunner().invoke(main, ["rules", "schema", name])
    assert (result.exit_code, result.output) == (0, schema_text(name))


@pytest.mark.parametrize("path", sorted(RULES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_file_is_valid(path: Path) -> None:
    kind = "policy" if path.stem == "policy" else "rules"
    errors = [error.message for error in validator(kind).iter_errors(tomllib.loads(path.read_text("utf-8")))]
    assert errors == []


WRONG = [
    pytest.param({"patern": "abc"}, id="unknown-key"),
    pytest.param({"severity": None}, id="missing-key"),
    pytest.param({"action": "redcat"}, id="unknown-action"),
    pytest.param({"score": "ten"}, id="a-word-for-a-number"),
    pytest.param({"targets": ["bdy"]}, id="unknown-target"),
    pytest.param({"targets": ["header:"]}, id="header-without-a-name"),
    pytest.param({"validator": "luhm"}, id="unknown-validator"),
    pytest.param({"validator": ["luhn", "entropy"]}, id="measure-without-a-minimum"),
    pytest.param({"mask": "stars"}, id="unknown-mask"),
    pytest.param({"near": {"words": ["a"], "bfore": 3}}, id="unknown-key-within"),
    pytest.param({"match": [1]}, id="example-that-is-no-text"),
]


@pytest.mark.parametrize("changes", WRONG)
def test_what_the_loader_refuses_is_invalid(tmp_path: Path, changes: dict[str, Any]) -> None:
    rule = {key: value for key, value in {**SOUND, **changes}.items() if value is not None}
    lines = [f"{key} = {toml(value)}" for key, value in rule.items()]
    (tmp_path / "site.toml").write_text("\n".join(["[[rule]]", *lines]), encoding="utf-8")
    with pytest.raises(PolicyError):
        load_policy(tmp_path, packs=["site"])
    assert not validator("rules").is_valid({"rule": [rule]})


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


@pytest.mark.parametrize(
    "keys",
    [
        {"targets": ["header:X-Key", "header-exact:Cookie", "field"]},
        {"validator": "luhn"},
        {"validator": ["luhn", "entropy(hex)>=3.5", "distinct>=4"]},
        {"near": {"words": ["a"], "before": 3}},
        {"match": ["a", {"text": "b", "target": "body"}, {"hex": "00"}]},
    ],
)
def test_what_rules_may_say_is_valid(keys: dict[str, Any]) -> None:
    assert validator("rules").is_valid({"rule": [{**SOUND, **keys}]})


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"packs": "one"},
        {"packs": [], "mode": "off"},
        {"packs": [], "override": {"a.b": {"act": 1}}},
        {"packs": [], "thresholds": {"blok": 1}},
        {"packs": [], "uninspected": {"oversized": "pass"}},
        {"packs": [], "uninspected": {"oversize": "let"}},
        {"packs": [], "body": [{"name": "large", "action": "shrink"}]},
        {"packs": [], "scope": [{"hosts": ["example.com"]}]},
        {"packs": [], "scope": [{"name": "one", "uninspected": {"oversized": "pass"}}]},
        {"packs": [], "exception": [{"rules": ["a.b"], "owner": "me"}]},
    ],
)
def test_wrong_policies_are_invalid(policy: dict[str, Any]) -> None:
    assert not validator("policy").is_valid(policy)


def test_every_table_of_the_policy_has_its_schema() -> None:
    loose = {key for key, hint in get_type_hints(PolicyFile).items() if "typing.Any" in str(hint)}
    assert loose == {*TABLES, "uninspected"}


def undescribed(definitions: dict[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        for key, about in definitions[name]["properties"].items():
            if not about.get("description"):
                yield f"{name}.{key}"


def test_editors_get_the_comments() -> None:
    definitions = json.loads(schema_text("rules"))["$defs"]
    names = (Rule.__name__, Near.__name__, PackHeader.__name__)
    assert list(undescribed(definitions, names)) == []
