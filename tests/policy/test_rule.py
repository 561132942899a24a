"""The words of a rule file."""

from collections.abc import Callable

import msgspec
import pytest

from icapd.policy import SEVERITIES, Action, Rule

MINIMAL = {"id": "a.b", "description": "x", "targets": ["body"], "action": "log", "severity": "low"}


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("allow", "allowed"), ("log", "logged"), ("redact", "redacted"), ("block", "blocked")],
)
def test_actions_have_a_verdict(name: str, verdict: str) -> None:
    assert Action.parse(name).verdict == verdict


def test_actions_are_ordered_by_what_they_do() -> None:
    assert sorted(Action) == [Action.ALLOW, Action.LOG, Action.REDACT, Action.BLOCK]


def test_severities_rise() -> None:
    assert SEVERITIES == ("info", "low", "medium", "high", "critical")


@pytest.mark.parametrize(
    ("direction", "covered"),
    [("request", {"request"}), ("response", {"response"}), ("both", {"request", "response"})],
)
def test_directions(direction: str, covered: set[str]) -> None:
    rule = msgspec.convert({**MINIMAL, "direction": direction}, Rule)
    assert {way for way in ("request", "response") if rule.covers(way)} == covered


@pytest.mark.parametrize(
    ("validator", "names"), [((), ()), ("luhn", ("luhn",)), (["luhn", "iban"], ("luhn", "iban"))]
)
def test_validators_are_one_name_or_several(validator: object, names: tuple[str, ...]) -> None:
    assert msgspec.convert({**MINIMAL, "validator": validator}, Rule).validators == names


@pytest.mark.parametrize(
    ("rule_mode", "policy_mode", "enforced"),
    [
        (None, "enforce", True),
        (None, "monitor", False),
        ("monitor", "enforce", False),
        ("enforce", "monitor", True),
    ],
)
def test_the_mode_of_the_rule_wins(
    compiled: Callable[..., object], rule_mode: str | None, policy_mode: str, enforced: bool
) -> None:
    assert compiled(pattern="a", mode=rule_mode, policy_mode=policy_mode).enforced is enforced
