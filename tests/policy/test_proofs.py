"""Proofs: what an example must do, and what is said when it does not."""

from collections.abc import Callable

import pytest

from icapd.policy import CompiledRule, Failure, prove

LONG = "secret=" + "a" * 40
NO_MATCH = "is not found: the pattern does not match"
REFUSED = (
    "is not found: the pattern matches, but near, validator, allow, stop_words or a limit on values refuses"
    " it"
)
FAR_KEYWORD = "is not found: the pattern matches, but further than max_length (5) away from a keyword"

CASES = [
    pytest.param({"pattern": "a+", "match": ["xax"], "no_match": ["b"]}, [], id="as it should be"),
    pytest.param(
        {"targets": ["url", "header:A"], "pattern": "a", "match": ["a", {"text": "a", "target": "header:A"}]},
        [],
        id="another target",
    ),
    pytest.param({"targets": ["header-exact:X-A"], "pattern": r"\A", "match": [""]}, [], id="presence"),
    pytest.param({"targets": ["header"], "pattern": "a", "match": ["a"]}, [], id="any header"),
    pytest.param({"pattern": "a", "redacts": [{"input": "bab", "output": "b[REDACTED]b"}]}, [], id="redacts"),
    pytest.param(
        {"pattern": "a", "match": ["a", "b"]},
        [("match", f"example 2 ('b') {NO_MATCH}")],
        id="no match",
    ),
    pytest.param(
        {"pattern": "é", "unicode": True, "match": ["è"]},
        [("match", f"example 1 ('è') {NO_MATCH}")],
        id="no match of characters",
    ),
    pytest.param(
        {"pattern": "a", "keywords": ["key"], "match": ["a"]},
        [("match", "example 1 ('a') is not found: it holds none of the keywords")],
        id="no keyword",
    ),
    pytest.param(
        {"pattern": "[0-9]+", "validator": "luhn", "match": ["12"]},
        [("match", f"example 1 ('12') {REFUSED}")],
        id="refused",
    ),
    pytest.param(
        {"targets": ["field"], "pattern": "a", "max_value_length": 2, "match": ["aaa"]},
        [("match", f"example 1 ('aaa') {REFUSED}")],
        id="too long a value",
    ),
    pytest.param(
        {"pattern": "a+", "max_length": 3, "match": ["aaaa"]},
        [("match", "example 1 ('aaaa') spans 4 bytes, but max_length is 3")],
        id="longer than it may be",
    ),
    pytest.param(
        {"pattern": "a", "keywords": ["key"], "max_length": 5, "match": ["key  a", "key a"]},
        [("match", f"example 1 ('key  a') {FAR_KEYWORD}")],
        id="keyword out of reach",
    ),
    pytest.param(
        {"pattern": "a", "near": {"words": ["key"], "before": 4}, "match": ["key a", "a"]},
        [("match", f"example 2 ('a') {REFUSED}")],
        id="nothing near",
    ),
    pytest.param(
        {"pattern": "a+", "near": {"words": ["key"], "before": 4}, "max_length": 3, "match": ["key aaaa"]},
        [("match", "example 1 ('key aaaa') spans 4 bytes, but max_length is 3")],
        id="longer than it may be, without what is near",
    ),
    pytest.param(
        {
            "pattern": "[a-f]+",
            "mask": "label",
            "redacts": [{"input": "1a2", "output": "1[REDACTED:rule:TAG]2"}],
        },
        [],
        id="redacts with a label",
    ),
    pytest.param(
        {"targets": ["magic"], "pattern": r"\A\xcf\xfa", "match": [{"hex": "cf fa ed fe"}]}, [], id="bytes"
    ),
    pytest.param(
        {"targets": ["magic"], "pattern": "a", "match": [{"hex": "cffa"}]},
        [("match", f"example 1 ('cffa') {NO_MATCH}")],
        id="other bytes",
    ),
    pytest.param(
        {"pattern": "a", "no_match": ["xax"]}, [("no_match", "example 1 ('xax') is found")], id="false alarm"
    ),
    pytest.param(
        {"pattern": "a", "redacts": [{"input": "bab", "output": "bb"}]},
        [("redacts", "example 1 ('bab') becomes 'b[REDACTED]b'")],
        id="another output",
    ),
    pytest.param(
        {"pattern": "b", "redacts": [{"input": LONG + "b", "output": LONG}]},
        [
            (
                "redacts",
                "example 1 ('secret=aaaaa'... of 48 characters) becomes 'secret=aaaaa'... of 57 characters,"
                " which is not the output from character 48 on",
            )
        ],
        id="another output that is long",
    ),
    pytest.param(
        {"pattern": "b", "match": [LONG]},
        [("match", f"example 1 ('secret=aaaaa'... of 47 characters) {NO_MATCH}")],
        id="a long example is shortened",
    ),
]


@pytest.mark.parametrize(("keys", "failures"), CASES)
def test_prove(
    compiled: Callable[..., CompiledRule], keys: dict[str, object], failures: list[tuple[str, str]]
) -> None:
    rule = compiled(**keys)
    proof = prove(rule)
    assert proof.failures == tuple(Failure(*failure) for failure in failures)
    assert proof.examples == len(rule.rule.match) + len(rule.rule.no_match) + len(rule.rule.redacts)


def test_an_example_that_takes_too_long(compiled: Callable[..., CompiledRule]) -> None:
    (failure,) = prove(compiled(pattern="(a|a)+(?=b)", targets=["url"], no_match=["a" * 40])).failures
    assert failure.problem.endswith("takes too long; make the pattern simpler")
