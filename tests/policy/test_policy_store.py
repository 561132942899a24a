"""The store: one policy in force, exchanged whole or not at all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from icapd.errors import PolicyError
from icapd.policy import PolicyStore

PACK = """
[[rule]]
id = "site.word"
description = "a word"
targets = ["url"]
pattern = "{pattern}"
action = "log"
severity = "low"
match = ["{pattern}"]
"""


@pytest.fixture
def store(rule_files: Callable[..., Path]) -> PolicyStore:
    return PolicyStore(rule_files(site=PACK.format(pattern="one"), policy='packs = ["site"]'))


def test_a_reload_puts_the_new_policy_in_force(store: PolicyStore, rule_files: Callable[..., Path]) -> None:
    old = store.current()
    rule_files(site=PACK.format(pattern="two"))
    assert store.current() is old
    new = store.reload()
    assert store.current() is new
    assert new.istag != old.istag
    assert new.request.scan("url", b"one two")[0][1:3] == (4, 7)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("[[rule", id="no TOML"),
        pytest.param(PACK.format(pattern="("), id="no regular expression"),
        pytest.param(PACK.format(pattern="a.b").replace('["a.b"]', '["ab"]'), id="no proof"),
        pytest.param(PACK.format(pattern="one").replace("log", "lock"), id="no such action"),
    ],
)
def test_a_broken_file_leaves_the_old_policy(
    store: PolicyStore, rule_files: Callable[..., Path], broken: str
) -> None:
    old = store.current()
    rule_files(site=broken)
    with pytest.raises(PolicyError, match=r"site\.toml"):
        store.reload()
    assert store.current() is old
    rule_files(site=PACK.format(pattern="two"))
    assert store.reload() is store.current() is not old


def test_a_store_needs_a_policy_to_begin_with(rule_files: Callable[..., Path]) -> None:
    with pytest.raises(PolicyError, match=r"policy\.toml: can't be read"):
        PolicyStore(rule_files())


def test_packs_and_mode_of_the_caller_stay_in_force(rule_files: Callable[..., Path]) -> None:
    directory = rule_files(site=PACK.format(pattern="one"), policy='packs = ["other"]')
    store = PolicyStore(directory, packs=["site"], mode="monitor")
    assert (store.reload().packs, store.current().mode) == (("site",), "monitor")
