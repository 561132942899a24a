"""Exceptions: rules that only watch for some messages, for a reason, until a day."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from icapd.errors import PolicyError
from icapd.policy import Policy, facts_of, load_policy
from icapd.policy.resolver import end_of

PACK = """
[[rule]]
id = "one.alpha"
description = "finds alpha"
targets = ["body"]
pattern = 'alpha'
action = "block"
severity = "high"
score = 20
match = ["alpha"]

[[rule]]
id = "one.beta"
description = "finds beta"
targets = ["body"]
pattern = 'beta'
action = "redact"
severity = "low"
score = 3
match = ["beta"]
"""
EXCEPTION = """
[[exception]]
rules = ["one.alpha"]
hosts = ["a"]
reason = "their API says so"
owner = "ann@example.org"
expires = 2027-01-31
"""
TODAY = date(2027, 1, 15)
LAST_SECOND = end_of(date(2027, 1, 31)) - 1


@pytest.fixture
def load(rule_files: Callable[..., Path]) -> Callable[..., Policy]:
    """load("...") is the policy with these lines under packs = ["one"]."""

    def make(lines: str, today: date = TODAY) -> Policy:
        return load_policy(rule_files(one=PACK, policy=f'packs = ["one"]\n{lines}'), today=today)

    return make


def watching(policy: Policy, host: str, now: float = LAST_SECOND) -> dict[str, int]:
    """The rules that are not enforced for a host, with their scores."""
    profile = policy.profile_for(facts_of("response", host=host), now)
    return {rule.id: rule.score for rule in profile.rules if not rule.enforced}


def test_rule_only_watches_where_it_is_excepted(load: Callable[..., Policy]) -> None:
    policy = load(EXCEPTION)
    assert watching(policy, "a") == {"one.alpha": 0}
    assert watching(policy, "b") == {}
    profile = policy.profile_for(facts_of("response", host="a"), LAST_SECOND)
    (match,) = profile.response.scan("body", b"an alpha")
    assert (match.rule.id, match.rule.enforced) == ("one.alpha", False), "it still finds"


def test_exception_ends_with_its_day_while_serving(load: Callable[..., Policy]) -> None:
    policy = load(EXCEPTION)
    assert policy.resolver.next_end == LAST_SECOND + 1
    assert watching(policy, "a", LAST_SECOND) == {"one.alpha": 0}
    assert watching(policy, "a", LAST_SECOND + 1) == {}
    assert watching(policy, "a", LAST_SECOND) == {"one.alpha": 0}, "an answer is remembered for its time"


def test_policy_with_an_expired_exception_is_one_without_it(load: Callable[..., Policy]) -> None:
    expired = load(EXCEPTION, date(2027, 2, 1))
    assert [str(exemption) for exemption in expired.expired] == [
        "exception #1 for one.alpha (ann@example.org: their API says so)"
    ]
    assert expired.digest == load("").digest
    assert load(EXCEPTION, date(2027, 1, 31)).digest != expired.digest
    assert watching(expired, "a") == {}


def test_exceptions_add_up_and_hold_within_scopes(load: Callable[..., Policy]) -> None:
    other = EXCEPTION.replace("one.alpha", "*.beta").replace('hosts = ["a"]', 'users = ["ann"]')
    scope = '[[scope]]\nname = "s"\nhosts = ["a"]\n[scope.override."one.alpha"]\naction = "redact"\n'
    policy = load(scope + EXCEPTION + other)
    profile = policy.profile_for(facts_of("response", host="a", user="ann"), LAST_SECOND)
    assert profile.name == "s"
    assert [(rule.id, rule.enforced) for rule in profile.rules] == [("one.alpha", False), ("one.beta", False)]


def test_excepted_rules_share_what_finds_them(load: Callable[..., Policy]) -> None:
    policy = load(EXCEPTION)
    profile = policy.profile_for(facts_of("response", host="a"), LAST_SECOND)
    mine, theirs = profile.response._prefilters["body"], policy.response._prefilters["body"]
    for (one, _), (other, _) in zip(mine._told, theirs._told, strict=True):
        assert one is other, "nothing is compiled while traffic waits"


def without(key: str) -> str:
    lines = EXCEPTION.splitlines()
    return "\n".join(line for line in lines if not line.startswith(key))


PROBLEMS = [
    pytest.param(without("rules"), 'exception #1: key "rules": missing', id="no rules"),
    pytest.param(without("reason"), 'exception #1: key "reason": missing', id="no reason"),
    pytest.param(without("owner"), 'exception #1: key "owner": missing', id="no owner"),
    pytest.param(without("expires"), 'exception #1: key "expires": missing', id="no end"),
    pytest.param(without("hosts"), "exception #1: has no condition", id="no condition"),
    pytest.param(EXCEPTION.replace("their API says so", " "), 'key "reason": is empty', id="empty reason"),
    pytest.param(EXCEPTION.replace('["one.alpha"]', "[]"), 'key "rules": is empty', id="empty rules"),
    pytest.param(
        EXCEPTION.replace("alpha", "alpa"),
        'exception #1: key "rules": no rule "one.alpa" is in force (did you mean "one.alpha"?)',
        id="unknown rule",
    ),
    pytest.param(EXCEPTION.replace("2027-01-31", '"soon"'), 'key "expires": invalid', id="no date"),
    pytest.param(EXCEPTION.replace("hosts", "host"), 'unknown key (did you mean "hosts"?)', id="key"),
]


@pytest.mark.parametrize(("lines", "problem"), PROBLEMS)
def test_fault_is_named_with_its_place(load: Callable[..., Policy], lines: str, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(lines)
    assert problem in str(caught.value)


def test_expired_exception_is_checked_all_the_same(load: Callable[..., Policy]) -> None:
    with pytest.raises(PolicyError, match="no rule"):
        load(EXCEPTION.replace("alpha", "alpa"), date(2028, 1, 1))
