"""`icapd rules explain` and `icapd rules diff`: what holds for whom, and what a change would change."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.policies import RULES

from icapd.cli import main

POLICY = """
packs = ["demo"]

[override."demo.note"]
enabled = false

[[scope]]
name = "pilot"
groups = ["pilot"]
hosts = [".example.com"]
mode = "monitor"
[scope.thresholds]
block = 90
[scope.uninspected]
range = "block"

[[scope]]
name = "bank"
hosts = ["bank.example", "www.example.com"]
skip = true

[[exception]]
rules = ["demo.mal*"]
hosts = ["samples.example"]
reason = "samples of malware"
owner = "ann"
expires = 9000-12-31
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return made(tmp_path / "old", POLICY)


def made(directory: Path, policy: str, rules: str = RULES) -> Path:
    directory.mkdir()
    (directory / "demo.toml").write_text(rules)
    (directory / "policy.toml").write_text(policy)
    return directory


def run(*arguments: object, **options: Any) -> Result:
    return CliRunner().invoke(main, ["rules", *map(str, arguments)], **options)


def explained(directory: Path, *arguments: str) -> dict[str, Any]:
    result = run("explain", *arguments, "--directory", directory, "--format", "json")
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_scope_that_applies_and_those_that_do_not(directory: Path) -> None:
    answer = explained(directory, "--group", "Pilot", "--host", "www.example.com")
    assert (answer["scope"], answer["mode"], answer["rules"]) == ("pilot", "monitor", 5)
    assert answer["thresholds"] == {"block": 90}
    assert (answer["uninspected"]["range"], answer["uninspected"]["budget"]) == ("block", "fail mode")
    assert answer["overridden"] == {"demo.note": {"enabled": False}}
    assert [(scope["name"], scope["because"]) for scope in answer["scopes"]] == [
        ("pilot", "applies"),
        ("bank", "would apply, but pilot comes first"),
    ]


def test_first_condition_that_does_not_hold_is_named(directory: Path) -> None:
    answer = explained(directory, "--host", "other.example", "--user", "ann")
    assert (answer["scope"], answer["mode"]) == ("", "enforce")
    assert [scope["because"] for scope in answer["scopes"]] == [
        "groups: not known, so it is none of pilot",
        "hosts: other.example is none of bank.example, www.example.com",
    ]


RULES_EXPLAINED = [
    pytest.param(["--host", "a"], ("in force", "block", True, 50, []), id="in force"),
    pytest.param(["--host", "samples.example"], ("in force", "block", False, 0, [1]), id="excepted"),
    pytest.param(
        ["--host", "bank.example"], ("off: the message is not inspected", "", False, 0, []), id="skipped"
    ),
    pytest.param(
        ["--host", "a.example.com", "--group", "pilot"], ("in force", "block", False, 50, []), id="monitored"
    ),
]


@pytest.mark.parametrize(("facts", "expected"), RULES_EXPLAINED)
def test_what_one_rule_does(directory: Path, facts: list[str], expected: tuple[object, ...]) -> None:
    answer = explained(directory, "demo.malware", *facts)
    numbers = [exception["number"] for exception in answer["exceptions"]]
    found = (answer["state"], answer["action"], answer["enforced"], answer["score"], numbers)
    assert found == expected


ABSENT = [
    ("demo.note", "off: enabled = false in an override"),
    ("demo.nothing", "unknown: pack demo has no such rule"),
    ("guide.script", "off: pack guide is not among the packs"),
]


@pytest.mark.parametrize(("rule", "state"), ABSENT)
def test_why_a_rule_does_nothing(directory: Path, rule: str, state: str) -> None:
    assert explained(directory, rule)["state"] == state
    assert state in run("explain", rule, "--directory", directory).output


def test_tables_say_the_same(directory: Path) -> None:
    output = run(
        "explain", "--host", "samples.example", "--directory", directory, env={"COLUMNS": "200"}
    ).output
    for text in ("none: the top of policy.toml", "demo.note: enabled = False", "samples of malware", "pilot"):
        assert text in output


def test_what_is_no_address_is_refused(directory: Path) -> None:
    result = run("explain", "--client", "office", "--directory", directory)
    assert (result.exit_code, "'office' is no address" in result.output) == (2, True)


def changed(tmp_path: Path, directory: Path, policy: str = POLICY, rules: str = RULES, *more: object) -> Any:
    result = run("diff", directory, made(tmp_path / "new", policy, rules), "--format", "json", *more)
    assert result.exit_code == 1, result.output
    return json.loads(result.stdout)


def test_same_files_differ_in_nothing(directory: Path) -> None:
    result = run("diff", directory, directory)
    assert result.exit_code == 0
    assert result.output.startswith("the same: ")


def test_changed_rules(tmp_path: Path, directory: Path) -> None:
    rules = RULES.replace("demo.size", "demo.length").replace('action = "block"', 'action = "log"', 1)
    answer = changed(tmp_path, directory, rules=rules)
    assert (answer["rules_added"], answer["rules_removed"]) == (["demo.length"], ["demo.size"])
    assert answer["rules_changed"] == {"demo.attack": [{"key": "action", "old": "block", "new": "log"}]}
    assert answer["old_digest"] != answer["new_digest"]


def test_description_is_a_change_but_no_other_digest(tmp_path: Path, directory: Path) -> None:
    answer = changed(tmp_path, directory, rules=RULES.replace("Demonstration key", "A key"))
    assert [change["key"] for change in answer["rules_changed"]["demo.key"]] == ["description"]
    assert answer["old_digest"] == answer["new_digest"]


POLICIES = [
    pytest.param('packs = ["demo"]', 'mode = "monitor"\npacks = ["demo"]', "top", "mode", id="mode"),
    pytest.param("enabled = false", "score = 3", "top", "override.demo.note", id="override"),
    pytest.param('mode = "monitor"', 'mode = "enforce"', "pilot", "mode", id="mode of a scope"),
    pytest.param('["pilot"]', '["pilot", "it"]', "pilot", "groups", id="condition"),
    pytest.param("block = 90", "block = 91", "pilot", "thresholds.block", id="threshold"),
    pytest.param('range = "block"', 'budget = "block"', "pilot", "uninspected.range", id="remedy"),
    pytest.param("skip = true", 'mode = "monitor"', "bank", "skip", id="skip"),
]


@pytest.mark.parametrize(("old", "new", "place", "key"), POLICIES)
def test_changed_policy(tmp_path: Path, directory: Path, old: str, new: str, place: str, key: str) -> None:
    answer = changed(tmp_path, directory, POLICY.replace(old, new, 1))
    changes = answer["top"] if place == "top" else answer["scopes_changed"][place]
    assert key in [change["key"] for change in changes]


def test_scopes_that_change_places(tmp_path: Path, directory: Path) -> None:
    top, first, rest = POLICY.split("[[scope]]")
    second, exception = rest.split("[[exception]]")
    policy = f"{top}[[scope]]{second}[[scope]]{first}[[exception]]{exception}"
    answer = changed(tmp_path, directory, policy)
    assert answer["scopes_changed"]["bank"] == [{"key": "place", "old": 2, "new": 1}]


def test_exceptions_and_scopes_that_come_and_go(tmp_path: Path, directory: Path) -> None:
    policy = POLICY.replace('name = "bank"', 'name = "banks"').replace("9000-12-31", "9000-12-30")
    answer = changed(tmp_path, directory, policy)
    assert (answer["scopes_added"], answer["scopes_removed"]) == (["banks"], ["bank"])
    (added,), (removed,) = answer["exceptions_added"], answer["exceptions_removed"]
    assert added.replace("9000-12-30", "9000-12-31") == removed


def test_verdicts_on_messages(tmp_path: Path, directory: Path) -> None:
    messages = tmp_path / "messages.jsonl"
    lines = [
        {"id": "a", "direction": "response", "url": "http://samples.example/", "body": "MALWARE!"},
        {"id": "b", "direction": "response", "url": "http://a.example/", "body": "clean"},
        {"direction": "response", "url": "http://bank.example/", "body": "MALWARE!"},
    ]
    messages.write_text("\n".join(map(json.dumps, lines)))
    policy = POLICY.replace("samples.example", "other.example").replace('"bank.example", ', "")
    answer = changed(tmp_path, directory, policy, RULES, "--messages", messages)
    assert answer["messages"] == 3
    seen = [(one["id"], one["old"]["effect"], one["new"]["effect"]) for one in answer["verdicts"]]
    assert seen == [("a", "allowed", "blocked"), (3, "allowed", "blocked")]
    assert answer["verdicts"][0]["old"] == {
        "verdict": "blocked",
        "effect": "allowed",
        "rules": ["demo.malware"],
    }


def test_message_that_is_none_is_named(tmp_path: Path, directory: Path) -> None:
    result = run("diff", directory, directory, "--messages", "-", input=b'{"url": 1}\n')
    assert result.exit_code == 3
    assert "--messages: line 1: " in result.output


def test_check_reports_exceptions_that_end(directory: Path) -> None:
    policy = directory / "policy.toml"
    assert "note" not in run("check", directory).output
    policy.write_text(POLICY.replace("9000-12-31", "2020-01-01"))
    result = run("check", directory)
    assert result.exit_code == 0
    assert "      exception #1 for demo.mal* (ann: samples of malware) expired on 2020-01-01" in result.output
