"""How much is kept: at the top of a policy and in a scope, and where a change of it shows."""

from collections.abc import Callable
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from icapd.errors import PolicyError
from icapd.policy import KEPT, AuditLevel, Policy, facts_of, load_policy
from icapd.policy.diff import Change, diff
from icapd.policy.explain import explain

SCOPE = '[[scope]]\nname = "some"\nhosts = ["h"]\n'


@pytest.fixture
def load(rule_files: Callable[..., Path]) -> Callable[[str], Policy]:
    """load("...") is the policy with these lines under `packs = []`."""
    return lambda lines: load_policy(rule_files(policy=f"packs = []\n{lines}"))


def levels(policy: Policy) -> tuple[AuditLevel, AuditLevel]:
    """Where no scope applies, and in the scope."""
    facts = facts_of("request", host="h"), facts_of("request", host="other")
    scoped, other = (policy.profile_for(one, 0.0).audit for one in facts)
    return other, scoped


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(SCOPE + "skip = true", ("full", "full"), id="default"),
        pytest.param('audit = "none"\n' + SCOPE + 'mode = "monitor"', ("none", "none"), id="of-the-top"),
        pytest.param('audit = "none"\n' + SCOPE + 'audit = "full"', ("none", "full"), id="more-in-a-scope"),
        pytest.param(SCOPE + 'audit = "findings"', ("full", "findings"), id="less-in-a-scope"),
        pytest.param(SCOPE + 'skip = true\naudit = "metadata"', ("full", "metadata"), id="beside-skip"),
    ],
)
def test_level_of_a_message(
    load: Callable[[str], Policy], lines: str, expected: tuple[AuditLevel, AuditLevel]
) -> None:
    assert levels(load(lines)) == expected


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('audit = "some"', 'key "audit": unknown value "some" (known: none, metadata'),
        ("audit = false", 'key "audit": expected `str`'),
        (SCOPE + 'audit = "ful"', 'scope "some": key "audit": unknown value "ful" (did you mean "full"?)'),
        ("[audit]", 'key "audit": expected `str`'),
    ],
)
def test_fault_is_named_with_its_place(load: Callable[[str], Policy], lines: str, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(lines)
    assert problem in str(caught.value)


def test_every_level_keeps_what_the_one_before_keeps() -> None:
    assert tuple(KEPT) == get_args(AuditLevel)
    for less, more in pairwise(KEPT.values()):
        assert all(kept <= too for kept, too in zip(astuple(less), astuple(more), strict=True))
    assert all(astuple(KEPT["full"])) and not any(astuple(KEPT["none"]))


def test_change_of_what_is_kept_is_a_change_of_the_policy(load: Callable[[str], Policy]) -> None:
    texts = ["", *(f'audit = "{level}"' for level in KEPT if level != "full"), SCOPE + 'audit = "none"']
    assert len({load(text).digest for text in texts}) == len(texts)
    assert load('audit = "full"').digest == load("").digest, "what it was before there were levels"
    found = diff(load(SCOPE + 'audit = "full"'), load('audit = "none"\n' + SCOPE + 'audit = "metadata"'))
    assert found.top == (Change("audit", "full", "none"),)
    assert found.scopes_changed == {"some": (Change("audit", "full", "metadata"),)}


def test_explanation_tells_it(load: Callable[[str], Policy]) -> None:
    policy = load(SCOPE + 'audit = "none"')
    assert explain(policy, facts_of("request", host="h"), 0.0).audit == "none"
    assert explain(policy, facts_of("request"), 0.0).audit == "full"
