"""The digest changes when a verdict could, and at no other time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from icapd.policy import load_policy

PACK = """
# A comment.
[[rule]]
id = "one.alpha"
description = "finds alpha"
targets = ["body", "url"]
pattern = 'alpha'
keywords = ["alp", "pha"]
action = "redact"
severity = "high"
score = 20
tags = ["word"]
match = ["alpha"]

[[rule]]
id = "one.beta"
description = "finds beta"
targets = ["body"]
pattern = 'beta'
action = "log"
severity = "low"
match = ["beta"]
"""
POLICY = 'packs = ["one"]\n'
FIRST, SECOND = PACK.split("\n\n")


def swap(old: str, new: str) -> tuple[str, str]:
    assert old in PACK
    return PACK.replace(old, new), POLICY


SAME = [
    pytest.param(*swap("# A comment.", "# Another one."), id="comment"),
    pytest.param(*swap("finds alpha", "finds the first letter"), id="description"),
    pytest.param(*swap('["word"]', "[]"), id="tags"),
    pytest.param(*swap('match = ["alpha"]', 'match = ["an alpha"]\nno_match = ["a"]'), id="examples"),
    pytest.param(*swap('["body", "url"]', '["url", "body"]'), id="order of targets"),
    pytest.param(*swap('["alp", "pha"]', '["pha", "alp"]'), id="order of keywords"),
    pytest.param(*swap("score = 20", 'score = 20\ndirection = "both"\nvalidator = []'), id="defaults"),
    pytest.param(*swap("score = 20", "score = 20\nmax_length = 5"), id="the bound it has anyway"),
    pytest.param(*swap("score = 20", 'score = 20\nblock_message = "No."'), id="what people read"),
    pytest.param(*swap("score = 20", 'score = 20\nmask = "redacted"\nenabled = true'), id="more defaults"),
    pytest.param(PACK, POLICY + '[override."one.alpha"]\nscore = 20', id="override that changes nothing"),
    pytest.param(PACK, POLICY + 'mode = "enforce"', id="the default mode"),
]
OTHER = [
    pytest.param(*swap("'alpha'", "'alph'"), id="pattern"),
    pytest.param(*swap('["body", "url"]', '["body"]'), id="targets"),
    pytest.param(*swap('["alp", "pha"]', '["alp"]'), id="keywords"),
    pytest.param(*swap('"redact"', '"block"'), id="action"),
    pytest.param(*swap('"high"', '"low"'), id="severity"),
    pytest.param(*swap("score = 20", "score = 21"), id="score"),
    pytest.param(*swap("score = 20", "score = 20\nmax_length = 50"), id="bound"),
    pytest.param(*swap("score = 20", 'score = 20\nvalidator = "has_letter"'), id="validator"),
    pytest.param(*swap("score = 20", "score = 20\nignore_case = true"), id="case"),
    pytest.param(*swap("score = 20", 'score = 20\nmode = "monitor"'), id="mode of a rule"),
    pytest.param(*swap("score = 20", 'score = 20\nmask = "label"'), id="mask"),
    pytest.param(*swap("score = 20", 'score = 20\nstop_words = ["x"]'), id="stop words"),
    pytest.param(
        *swap('["alpha"]', '["a alpha"]\nnear = { words = ["a"], before = 9 }'), id="what must be near"
    ),
    pytest.param(*swap("score = 20", "score = 20\nenabled = false"), id="not enabled"),
    pytest.param(*swap("one.beta", "one.gamma"), id="name"),
    pytest.param("\n\n".join([SECOND, FIRST]), POLICY, id="order of rules"),
    pytest.param(FIRST, POLICY, id="a rule less"),
    pytest.param('[pack]\nredaction = "in-order"\n' + PACK, POLICY, id="how redactions go together"),
    pytest.param(PACK, POLICY + 'mode = "monitor"', id="mode"),
    pytest.param(PACK, POLICY + '[override."one.beta"]\nenabled = false', id="override"),
]


@pytest.fixture
def digest(rule_files: Callable[..., Path]) -> Callable[[str, str], str]:
    return lambda pack, policy: load_policy(rule_files(one=pack, policy=policy)).digest


@pytest.mark.parametrize(("pack", "policy"), SAME)
def test_no_verdict_changes(digest: Callable[[str, str], str], pack: str, policy: str) -> None:
    assert digest(pack, policy) == digest(PACK, POLICY)


@pytest.mark.parametrize(("pack", "policy"), OTHER)
def test_a_verdict_may_change(digest: Callable[[str, str], str], pack: str, policy: str) -> None:
    assert digest(pack, policy) != digest(PACK, POLICY)


def test_the_digest_is_the_same_on_every_machine(digest: Callable[[str, str], str]) -> None:
    # A change here voids what every Squid remembers: right when verdicts change, a pity otherwise.
    assert digest(PACK, POLICY) == "54a6644af278c6a30b6b5cd4d30470beae4cdaf1103d575fc88fe7159fe161e2"


def test_the_istag_is_short_enough(rule_files: Callable[..., Path]) -> None:
    policy = load_policy(rule_files(one=PACK, policy=POLICY))
    assert policy.istag == f"icapd-{policy.digest[:20]}"
    # RFC 3507 section 4.7: at most 32 characters, the quotes among them.
    assert len(policy.istag) <= 30
