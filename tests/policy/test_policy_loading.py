"""A directory of rule files becomes a policy: packs, modes, overrides."""

from collections.abc import Callable
from pathlib import Path

import pytest

from icapd.errors import PolicyError
from icapd.policy import Action, Policy, load_policy

RULE = """
[[rule]]
id = "{pack}.{name}"
description = "finds {name}"
direction = "{direction}"
targets = ["body"]
pattern = '{name}'
action = "redact"
severity = "high"
score = 20
match = ["{name}"]
redacts = [{{ input = "{name}!", output = "[REDACTED]!" }}]
"""


def pack(name: str, *rules: str, direction: str = "both") -> str:
    return "".join(RULE.format(pack=name, name=rule, direction=direction) for rule in rules)


@pytest.fixture
def load(rule_files: Callable[..., Path]) -> Callable[[str], Policy]:
    """load('packs = ["one"]') is the policy that this policy.toml makes of the packs one, two and ordered."""
    files = {
        "one": pack("one", "alpha", "beta"),
        "two": pack("two", "gamma", direction="response"),
        "ordered": '[pack]\nredaction = "in-order"\n' + pack("ordered", "delta"),
    }
    return lambda policy: load_policy(rule_files(policy=policy, **files))


def test_rules_in_the_order_of_packs_and_files(load: Callable[[str], Policy]) -> None:
    policy = load('packs = ["two", "one"]')
    assert (policy.mode, policy.packs) == ("enforce", ("two", "one"))
    assert [rule.id for rule in policy.rules] == ["two.gamma", "one.alpha", "one.beta"]
    assert [rule.id for rule in policy.request.rules] == ["one.alpha", "one.beta"]
    assert policy.response.rules == policy.rules
    assert repr(policy) == f"<Policy {policy.istag} enforce two one>"


def test_no_packs_make_an_empty_policy(load: Callable[[str], Policy]) -> None:
    policy = load("packs = []")
    assert (policy.rules, policy.request.rules, policy.response.window) == ((), (), 0)


def test_packs_redact_in_order_when_they_say_so(load: Callable[[str], Policy]) -> None:
    policy = load('packs = ["one", "ordered"]')
    assert [rule.id for rule in policy.response.in_order_rules] == ["ordered.delta"]


def test_the_caller_may_choose_packs_and_mode(load: Callable[[str], Policy], tmp_path: Path) -> None:
    load('packs = ["one"]\n[override."one.alpha"]\nscore = 5')
    policy = load_policy(str(tmp_path), packs=["two"], mode="monitor")
    assert (policy.packs, policy.mode) == (("two",), "monitor")
    assert not any(rule.enforced for rule in policy.rules)


def test_with_chosen_packs_no_policy_file_is_needed(rule_files: Callable[..., Path]) -> None:
    assert load_policy(rule_files(one=pack("one", "alpha")), packs=["one"]).packs == ("one",)


def test_the_policy_of_the_directory_sets_the_mode_for_chosen_packs(
    load: Callable[[str], Policy], tmp_path: Path
) -> None:
    load('mode = "monitor"\npacks = []')
    assert load_policy(tmp_path, packs=["one"]).mode == "monitor"


OVERRIDES = [
    pytest.param("enabled = false", [("one.beta", Action.REDACT, "high", 20, True)], id="disabled"),
    pytest.param('action = "block"', [("one.alpha", Action.BLOCK, "high", 20, True)], id="action"),
    pytest.param('action = "log"', [("one.alpha", Action.LOG, "high", 20, True)], id="milder action"),
    pytest.param('severity = "low"', [("one.alpha", Action.REDACT, "low", 20, True)], id="severity"),
    pytest.param("score = 0", [("one.alpha", Action.REDACT, "high", 0, True)], id="score"),
    pytest.param('mode = "monitor"', [("one.alpha", Action.REDACT, "high", 20, False)], id="mode"),
]


@pytest.mark.parametrize(("override", "expected"), OVERRIDES)
def test_overrides(
    load: Callable[[str], Policy], override: str, expected: list[tuple[str, Action, str, int, bool]]
) -> None:
    (first, *_) = load(f'packs = ["one"]\n[override."one.alpha"]\n{override}').rules
    assert [(first.id, first.action, first.severity, first.score, first.enforced)] == expected


PROBLEMS = [
    pytest.param("", ': key "packs": missing: it has no default', id="no packs"),
    pytest.param(
        '[thresholds]\nblock = 90\npacks = ["one"]',
        ': key "packs": missing: it stands in the table "thresholds"; move it above the head of that',
        id="packs below a head",
    ),
    pytest.param('packs = ["on"]', ': key "packs": no pack "on" (did you mean "one"?)', id="unknown pack"),
    pytest.param(
        'packs = ["../one"]', ': key "packs": no pack "../one" (did you mean "one"?)', id="pack elsewhere"
    ),
    pytest.param(
        'packs = ["policy"]', ': key "packs": no pack "policy" (known: one, ordered, two)', id="no pack"
    ),
    pytest.param(
        'packs = ["one", "two", "one"]', ': key "packs": names "one" twice; once is enough', id="pack twice"
    ),
    pytest.param('pakcs = ["one"]', ': key "pakcs": unknown key (did you mean "packs"?)', id="unknown key"),
    pytest.param(
        'mode = "watch"\npacks = []',
        ': key "mode": unknown value "watch" (known: enforce, monitor)',
        id="unknown mode",
    ),
    pytest.param(
        'packs = ["one"]\n[override."one.alpa"]',
        ': rule "one.alpa": key "override": no such rule (did you mean "one.alpha"?)',
        id="override of an unknown rule",
    ),
    pytest.param(
        'packs = ["one"]\n[override."two.gamma"]',
        ': rule "two.gamma": key "override": pack "two" is not among packs (known: one)',
        id="override in a pack that is off",
    ),
    pytest.param(
        'packs = ["one"]\n[override.one.alpha]\nscore = 1',
        ': rule "one": key "override": is no id of a rule; write it in quotes: override."pack.rule"',
        id="override without quotes",
    ),
    pytest.param(
        'packs = ["one"]\n[override."one.alpha"]\nscor = 1',
        ': rule "one.alpha": key "scor": unknown key (did you mean "score"?)',
        id="unknown key of an override",
    ),
    pytest.param(
        'packs = ["one"]\n[override."one.alpha"]\naction = "blok"',
        ': rule "one.alpha": key "action": unknown value "blok" (did you mean "block"?)',
        id="unknown action of an override",
    ),
    pytest.param(
        'packs = ["one"]\n[override."one.alpha"]\nscore = 1001',
        ': rule "one.alpha": key "score": 1001 is out of range: 0 to 1000',
        id="override out of range",
    ),
    pytest.param(
        'packs = ["one"]\n[override]\n"one.alpha" = "off"',
        ': rule "one.alpha": expected `object`, got `str`; write a table, { key = value }',
        id="override that is no table",
    ),
]


@pytest.mark.parametrize(("policy", "problem"), PROBLEMS)
def test_broken_policy_file(load: Callable[[str], Policy], tmp_path: Path, policy: str, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(policy)
    assert str(caught.value) == f"{tmp_path / 'policy.toml'}{problem}"


def test_a_directory_without_a_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / "rules")
    assert str(caught.value) == f"{tmp_path}/rules/policy.toml: can't be read: No such file or directory"


OFF = pack("one", "alpha", "beta").replace('description = "finds beta"', 'description = "b"\nenabled = false')


@pytest.mark.parametrize(
    ("override", "in_force"),
    [
        ("", ["one.alpha"]),
        ('[override."one.beta"]\nenabled = true', ["one.alpha", "one.beta"]),
        ('[override."one.beta"]\nscore = 3', ["one.alpha"]),
        ('[override."one.alpha"]\nenabled = false', []),
    ],
)
def test_a_rule_that_ships_switched_off_is_switched_on_by_an_override(
    rule_files: Callable[..., Path], override: str, in_force: list[str]
) -> None:
    policy = load_policy(rule_files(one=OFF, policy=f'packs = ["one"]\n{override}'))
    assert [rule.id for rule in policy.rules] == in_force


def test_a_mask_is_a_matter_of_the_site(rule_files: Callable[..., Path]) -> None:
    override = '[override."one.alpha"]\nmask = "label"'
    policy = load_policy(rule_files(one=pack("one", "alpha"), policy=f'packs = ["one"]\n{override}'))
    # Its example in the pack shows another mask, and is no proof here.
    assert [(rule.rule.mask, rule.rule.redacts) for rule in policy.rules] == [("label", ())]
