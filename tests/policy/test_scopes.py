"""Scopes: whom each is for, what it changes, and what is refused."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.errors import PolicyError
from icapd.policy import Action, Policy, default_rules_directory, facts_of, load_policy
from icapd.policy.facts import plain_path

NOW = 1_800_000_000.0  # 2027-01-15
TODAY = date(2027, 1, 15)

SHIPPED = load_policy(default_rules_directory())

RULE = """
[[rule]]
id = "{pack}.{name}"
description = "finds {name}"
targets = ["body"]
pattern = '{name}'
action = "redact"
severity = "high"
score = 20
match = ["{name}"]
"""


def pack(name: str, *rules: str) -> str:
    return "".join(RULE.format(pack=name, name=rule) for rule in rules)


@pytest.fixture
def load(rule_files: Callable[..., Path]) -> Callable[[str], Policy]:
    """load("...") is the policy with these lines under packs = ["one"], of the packs one and two."""
    files = {"one": pack("one", "alpha", "beta"), "two": pack("two", "gamma")}
    return lambda lines: load_policy(rule_files(policy=f'packs = ["one"]\n{lines}', **files), today=TODAY)


def scope(conditions: str, name: str = "some", effect: str = 'mode = "monitor"') -> str:
    return f'[[scope]]\nname = "{name}"\n{conditions}\n{effect}\n'


def named(policy: Policy, direction: Any = "request", **facts: Any) -> str:
    return policy.profile_for(facts_of(direction, **facts), NOW).name


HOLDS = [
    pytest.param('clients = ["192.0.2.0/24"]', {"client": "192.0.2.9"}, id="network"),
    pytest.param('clients = ["192.0.2.9"]', {"client": "192.0.2.9"}, id="address"),
    pytest.param('clients = ["2001:db8::/32"]', {"client": "2001:db8::1"}, id="IPv6 network"),
    pytest.param('users = ["Ann"]', {"user": "ann"}, id="user in any case"),
    pytest.param("users = ['CORP\\*']", {"user": "CORP\\ann"}, id="users of a domain"),
    pytest.param('users = ["*"]', {"user": "ann"}, id="anyone who has a name"),
    pytest.param('groups = ["finance", "audit"]', {"groups": ("staff", "Finance")}, id="group"),
    pytest.param('hosts = ["Example.com"]', {"host": "example.COM."}, id="host"),
    pytest.param('hosts = [".example.com"]', {"host": "example.com"}, id="domain itself"),
    pytest.param('hosts = [".example.com"]', {"host": "a.b.example.com"}, id="host in a domain"),
    pytest.param('hosts = ["*.example.com"]', {"host": "a.example.com"}, id="host by a glob"),
    pytest.param('hosts = ["::1"]', {"host": "::1"}, id="IPv6 host"),
    pytest.param('paths = ["/api/*"]', {"path": "/api/v1/users"}, id="path"),
    pytest.param('paths = ["/api/*"]', {"path": "/%61pi/x"}, id="path that is written otherwise"),
    pytest.param('paths = ["/api/*"]', {"path": "/open/../api/x"}, id="path that leads there"),
    pytest.param('paths = ["/a[1]*"]', {"path": "/a[1]b"}, id="brackets are not wild"),
    pytest.param('methods = ["PUT", "POST"]', {"method": "POST"}, id="method"),
    pytest.param('media_types = ["text/*"]', {"media_type": "text/html"}, id="media type"),
    pytest.param('direction = "request"', {}, id="direction"),
    pytest.param('users = ["a?n"]\nhosts = ["h"]', {"user": "ann", "host": "h"}, id="all of several"),
]
FAILS = [
    pytest.param('clients = ["192.0.2.0/24"]', {"client": "192.0.3.9"}, id="another network"),
    pytest.param('clients = ["0.0.0.0/0"]', {"client": "2001:db8::1"}, id="another version of IP"),
    pytest.param('clients = ["0.0.0.0/0"]', {"client": ""}, id="unknown address"),
    pytest.param('users = ["*"]', {}, id="nobody"),
    pytest.param('users = ["ann"]', {"user": "anna"}, id="longer name"),
    pytest.param('groups = ["finance"]', {"user": "finance"}, id="user named as a group"),
    pytest.param('hosts = [".example.com"]', {"host": "badexample.com"}, id="host that ends like a domain"),
    pytest.param('hosts = ["*.example.com"]', {"host": "example.com"}, id="glob without its dot"),
    pytest.param('paths = ["/api/*"]', {"path": "/api/../admin"}, id="path that leads elsewhere"),
    pytest.param('methods = ["POST"]', {"method": "post"}, id="methods have a case"),
    pytest.param('direction = "response"', {}, id="other direction"),
    pytest.param('users = ["ann"]\nhosts = ["h"]', {"user": "ann", "host": "g"}, id="only one of two"),
]


@pytest.mark.parametrize(("conditions", "facts"), HOLDS)
def test_scope_applies(load: Callable[[str], Policy], conditions: str, facts: dict[str, Any]) -> None:
    assert named(load(scope(conditions)), **facts) == "some"


@pytest.mark.parametrize(("conditions", "facts"), FAILS)
def test_scope_does_not_apply(load: Callable[[str], Policy], conditions: str, facts: dict[str, Any]) -> None:
    assert named(load(scope(conditions)), **facts) == ""


def test_first_scope_that_holds_wins(load: Callable[[str], Policy]) -> None:
    policy = load(scope('hosts = ["a"]\nusers = ["ann"]', "both") + scope('hosts = ["a"]', "host"))
    assert named(policy, host="a", user="ann") == "both"
    assert named(policy, host="a", user="bob") == "host"
    assert named(policy, host="b", user="ann") == ""


EFFECTS = [
    pytest.param('packs = ["two"]', ["two.gamma redact"], id="packs replaced"),
    pytest.param(
        'add_packs = ["two"]', ["one.alpha redact", "one.beta redact", "two.gamma redact"], id="added"
    ),
    pytest.param('add_packs = ["two"]\nremove_packs = ["one"]', ["two.gamma redact"], id="exchanged"),
    pytest.param('mode = "monitor"', ["one.alpha redact off", "one.beta redact off"], id="mode"),
    pytest.param(
        '[scope.override."one.alpha"]\naction = "block"',
        ["one.alpha block", "one.beta redact"],
        id="override",
    ),
    pytest.param('[scope.override."one.alpha"]\nenabled = false', ["one.beta redact"], id="rule off"),
    pytest.param("skip = true", [], id="skip"),
]


@pytest.mark.parametrize(("effect", "rules"), EFFECTS)
def test_what_a_scope_changes(load: Callable[[str], Policy], effect: str, rules: list[str]) -> None:
    policy = load(scope('hosts = ["a"]', effect=effect))
    profile = policy.profile_for(facts_of("request", host="a"), NOW)
    shown = [
        f"{rule.id} {rule.action.name.lower()}{'' if rule.enforced else ' off'}" for rule in profile.rules
    ]
    assert shown == rules
    assert profile.skip == ("skip" in effect)
    assert [rule.action for rule in policy.rules] == [Action.REDACT] * 2, "all others are as they were"


def test_scope_builds_on_the_top(load: Callable[[str], Policy]) -> None:
    policy = load(
        '[override."one.alpha"]\nscore = 5\naction = "log"\n[thresholds]\nlog = 10\nblock = 50\n'
        '[uninspected]\nrange = "block"\n'
        + scope('hosts = ["a"]', effect='[scope.override."one.alpha"]\naction = "block"\n')
        + '[scope.thresholds]\nblock = 20\n[scope.uninspected]\nbudget = "pass"\n'
    )
    profile = policy.profile_for(facts_of("request", host="a"), NOW)
    (alpha, _) = profile.rules
    assert (alpha.score, alpha.action) == (5, Action.BLOCK)
    assert (profile.thresholds.log, profile.thresholds.block) == (10, 20)
    assert profile.uninspected == {"range": "block", "budget": "pass"}
    assert (policy.profile.thresholds.block, policy.profile.uninspected) == (50, {"range": "block"})


def test_profiles_with_equal_rules_share_them(load: Callable[[str], Policy]) -> None:
    policy = load(scope('hosts = ["a"]', effect="[scope.thresholds]\nblock = 20"))
    profile = policy.profile_for(facts_of("request", host="a"), NOW)
    assert profile is not policy.profile
    assert profile.request is policy.request and profile.response is policy.response


@given(facts=st.fixed_dictionaries({key: st.text(max_size=20) for key in ("user", "host", "path", "method")}))
def test_without_scopes_everybody_has_the_same(facts: dict[str, str]) -> None:
    assert SHIPPED.profile_for(facts_of("request", **facts), NOW) is SHIPPED.profile


PATHS = [
    ("/a/b", "/a/b"),
    ("", ""),
    ("*", "*"),
    ("/a/./b", "/a/b"),
    ("/a/../b", "/b"),
    ("/../../b", "/b"),
    ("/a/b/..", "/a/"),
    ("/a/.", "/a/"),
    ("/a/%2e%2E/b", "/b"),
    ("/a%2F..%2fb", "/b"),
    ("/.hidden", "/.hidden"),
    ("/a/...", "/a/..."),
]


@pytest.mark.parametrize(("written", "meant"), PATHS)
def test_path_as_an_origin_reads_it(written: str, meant: str) -> None:
    assert plain_path(written) == meant


PROBLEMS = [
    pytest.param('[[scope]]\nname = "a"', 'scope "a": has no condition', id="no condition"),
    pytest.param('[[scope]]\nhosts = ["a"]', 'scope "#1": key "name": missing', id="no name"),
    pytest.param(scope('hosts = ["a"]', "A b"), 'scope "A b": key "name": write lower-case', id="name"),
    pytest.param(
        scope('host = ["a"]'), 'scope "some": key "host": unknown key (did you mean "hosts"?)', id="key"
    ),
    pytest.param(scope("hosts = []"), 'scope "some": key "hosts": is empty and would never hold', id="empty"),
    pytest.param(scope('hosts = ["a/b"]'), 'key "hosts": "a/b" is no host', id="host"),
    pytest.param(scope('paths = ["api"]'), 'key "paths": "api" never matches', id="path"),
    pytest.param(scope('methods = ["Post"]'), 'key "methods": "Post" is no method', id="method"),
    pytest.param(scope('media_types = ["text"]'), 'key "media_types": "text" is no media type', id="type"),
    pytest.param(
        scope('clients = ["192.0.2.1/24"]'),
        'scope "some": key "clients": "192.0.2.1/24" is an address within a network; write 192.0.2.0/24',
        id="host bits",
    ),
    pytest.param(scope('clients = ["office"]'), 'key "clients": "office" is no network', id="no network"),
    pytest.param(
        scope('hosts = ["a"]', effect='packs = ["too"]'),
        'scope "some": key "packs": no pack "too" (did you mean "two"?)',
        id="unknown pack",
    ),
    pytest.param(
        scope('hosts = ["a"]', effect='add_packs = ["one"]'), 'key "add_packs": "one" is on anyway', id="on"
    ),
    pytest.param(
        scope('hosts = ["a"]', effect='remove_packs = ["two"]'), '"two" is not on anyway', id="not on"
    ),
    pytest.param(
        scope('hosts = ["a"]', effect='[scope.override."one.alpa"]\nscore = 1'),
        'scope "some": rule "one.alpa": key "override": no such rule (did you mean "one.alpha"?)',
        id="unknown rule",
    ),
    pytest.param(
        scope('hosts = ["a"]', effect='skip = true\nmode = "monitor"'),
        'scope "some": key "skip": leaves nothing but audit',
        id="skip and more",
    ),
    pytest.param(
        scope('hosts = ["a"]') + scope('hosts = ["a"]\nusers = ["ann"]', "other"),
        'scope "other": never applies: scope "some" before it takes all its messages',
        id="unreachable",
    ),
    pytest.param(
        scope('clients = ["192.0.2.0/24"]') + scope('clients = ["192.0.2.0/28", "192.0.2.99"]', "other"),
        "never applies",
        id="unreachable by network",
    ),
    pytest.param(
        scope('hosts = [".example.com"]') + scope('hosts = ["*.example.com", "a.example.com"]', "other"),
        "never applies",
        id="unreachable by domain",
    ),
    pytest.param(scope('hosts = ["a"]') + scope('hosts = ["b"]'), "stands twice", id="name twice"),
    pytest.param(
        "[uninspected]\nrnage = 'block'", 'uninspected: key "rnage": unknown reason (did', id="reason"
    ),
    pytest.param(
        "[uninspected]\nrange = 'stop'", """'stop' is no remedy; write "pass" or "block\"""", id="remedy"
    ),
    pytest.param("[thresholds]\nblock = 0", 'thresholds: key "block": 0 is out of range', id="threshold"),
    pytest.param(
        '[[body]]\nname = "x"\naction = "block"', 'body "x": key "media_types": say which', id="body"
    ),
    pytest.param(
        '[[body]]\nname = "x"\nover = 1\naction = "block"\n' * 2,
        'key "body": two are called "x"',
        id="bodies",
    ),
    pytest.param(
        "".join(scope(f'hosts = ["{n}"]', f"s{n}") for n in range(101)), "the most are 100", id="many"
    ),
]


@pytest.mark.parametrize(("lines", "problem"), PROBLEMS)
def test_fault_is_named_with_its_place(load: Callable[[str], Policy], lines: str, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load(lines)
    assert problem in str(caught.value)
    assert "policy.toml: " in str(caught.value)


NOT_SHADOWED = [
    pytest.param('hosts = ["a"]', 'users = ["ann"]', id="other conditions"),
    pytest.param('hosts = ["a"]\nusers = ["ann"]', 'hosts = ["a"]', id="narrower one first"),
    pytest.param('hosts = ["*.example.com"]', 'hosts = [".example.com"]', id="the domain itself is more"),
    pytest.param('paths = ["/a?"]', 'paths = ["/a*"]', id="a star is more than one character"),
    pytest.param('clients = ["192.0.2.0/28"]', 'clients = ["192.0.2.0/24"]', id="larger network"),
    pytest.param('clients = ["0.0.0.0/0"]', 'clients = ["::/0"]', id="another version"),
]


@pytest.mark.parametrize(("first", "second"), NOT_SHADOWED)
def test_scope_that_can_apply_is_no_fault(load: Callable[[str], Policy], first: str, second: str) -> None:
    assert len(load(scope(first) + scope(second, "other")).scopes) == 2


DIGESTS = [
    scope('hosts = ["a"]'),
    scope('hosts = ["b"]'),
    scope('hosts = ["a"]', effect="skip = true"),
    scope('hosts = ["a"]', effect='[scope.override."one.alpha"]\nscore = 1'),
    scope('hosts = ["a"]', effect="[scope.thresholds]\nblock = 1"),
    scope('hosts = ["a"]', "x") + scope('hosts = ["b"]', "y", effect="skip = true"),
    scope('hosts = ["b"]', "y", effect="skip = true") + scope('hosts = ["a"]', "x"),
    "[thresholds]\nblock = 1",
    "[thresholds]\nlog = 1",
    '[uninspected]\nrange = "pass"',
    '[[body]]\nname = "x"\nover = 5\naction = "skip"',
    '[[body]]\nname = "x"\nover = 6\naction = "skip"',
    '[[body]]\nname = "x"\nover = 6\naction = "log"',
    "",
]


def test_digest_tells_all_of_them_apart(load: Callable[[str], Policy]) -> None:
    digests = [load(lines).digest for lines in DIGESTS]
    assert len(set(digests)) == len(digests)
    renamed = load(scope('hosts = ["a"]', "other")).digest
    assert renamed == digests[0], "a name changes no verdict"
    assert load(scope('hosts = ["a", "c"]')).digest == load(scope('hosts = ["c", "a"]')).digest


def test_answers_are_remembered_without_end_of_memory(load: Callable[[str], Policy]) -> None:
    policy = load(scope('paths = ["/a*"]'))
    for number in range(5000):
        assert named(policy, path=f"/b{number}") == ""
    assert named(policy, path="/a" + "x" * 100_000) == "some"
    assert len(policy.resolver._by_facts) <= 4096
