"""The packs that come with icapd: they load, prove themselves, and leave ordinary traffic alone."""

import pytest

from icapd.policy import Action, default_rules_directory, load_policy, prove
from icapd.policy.checks import check_reach
from icapd.policy.matching import compile_rule
from icapd.policy.pack import load_pack

PACKS = sorted(path.stem for path in default_rules_directory().glob("*.toml") if path.stem != "policy")


@pytest.mark.parametrize("pack", PACKS)
def test_every_pack_proves_itself(pack: str) -> None:
    policy = load_policy(default_rules_directory(), packs=[pack])
    assert policy.rules
    for rule in policy.rules:
        assert prove(rule).failures == ()
        assert rule.rule.tags, f"{rule.id} has no tags to find it by"


@pytest.mark.parametrize("pack", PACKS)
def test_what_ships_switched_off_proves_itself_too(pack: str) -> None:
    off = [rule for rule in load_pack(default_rules_directory() / f"{pack}.toml").rules if not rule.enabled]
    for rule in off:
        check_reach(rule)
        assert prove(compile_rule(rule)).failures == ()
        assert rule.tags


@pytest.mark.parametrize("pack", ["content", "pii"])
def test_rules_say_where_it_is_published(pack: str) -> None:
    rules = load_pack(default_rules_directory() / f"{pack}.toml").rules
    assert [rule.id for rule in rules if not rule.reference and "size" not in rule.targets] == []


def test_the_policy_that_comes_with_icapd_loads() -> None:
    policy = load_policy(default_rules_directory())
    assert policy.mode == "enforce"
    assert "guide" not in policy.packs, "it blocks every request that holds an apostrophe"


DOWNLOADS = [
    "application/gzip",
    "application/java-archive",
    "application/json",
    "application/octet-stream",
    "application/pdf",
    "application/vnd.debian.binary-package",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/wasm",
    "application/x-bzip2",
    "application/x-rpm",
    "application/x-tar",
    "application/x-xz",
    "application/zip",
    "application/zstd",
    "font/woff2",
    "image/png",
    "text/html; charset=utf-8",
    "video/mp4",
]


@pytest.mark.parametrize("content_type", DOWNLOADS)
def test_ordinary_downloads_pass(content_type: str) -> None:
    rules = load_policy(default_rules_directory(), packs=["content"]).response
    found = rules.scan("content-type", content_type.encode())
    assert all(match.rule.action < Action.REDACT for match in found)
