"""The guide pack against its origin: GUIDE.txt's two classes, written here from its text, are the oracle."""

import re
import sys
from itertools import chain

import pytest
import regex
from hypothesis import example, given, settings
from support.guide import (
    BLOCKED_CONTENT_TYPES,
    BLOCKED_PATTERNS,
    HEADERS,
    MAX_CHARACTERS,
    SENSITIVE_PATTERNS,
    SQL_PATTERNS,
    TEXTS,
    XXE_PATTERNS,
    filter_response,
    inspect_request,
)

from icapd.policy import REPLACEMENT, Policy, RuleSet, default_rules_directory, load_policy


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def issues_and_score(rules: RuleSet, headers: dict[str, str], body: str) -> tuple[int, int]:
    found = [match.rule for match in rules.scan("body", to_bytes(body))]
    for name, value in headers.items():
        found += [match.rule for match in rules.scan_header(to_bytes(name), to_bytes(value))]
    raw = to_bytes(body)
    found += rules.scan_size(len(raw), raw)
    scores = {rule.id: rule.score for rule in found}
    return len(scores), sum(scores.values())


@pytest.fixture(scope="module")
def guide() -> Policy:
    return load_policy(default_rules_directory(), packs=["guide"])


@given(HEADERS, TEXTS)
@example({}, "<scr\u0131pt></script>")
@example({"X-Real-IP": ""}, "key\x1c=\x1f'\ud83d'")
@settings(max_examples=400, deadline=None)
def test_requests_agree_with_content_inspector(guide: Policy, headers: dict[str, str], body: str) -> None:
    issues = inspect_request(headers, body)
    assert issues_and_score(guide.request, headers, body) == (issues, 10 * issues)


@given(HEADERS, TEXTS)
@example({"Content-Type": "Application/Octet-Stream; q"}, "token='" + "a" * 40 + "'")
@settings(max_examples=400, deadline=None)
def test_responses_agree_with_response_filter(guide: Policy, headers: dict[str, str], body: str) -> None:
    issues, filtered = filter_response(headers, body)
    assert issues_and_score(guide.response, headers, body) == (issues, 10 * issues)
    text = to_bytes(body)
    for rule in guide.response.in_order_rules:
        text = guide.response.substitute(rule, text, REPLACEMENT)
    assert text == to_bytes(filtered)


@pytest.mark.parametrize(
    ("character", "count"),
    [("a", MAX_CHARACTERS), ("a", MAX_CHARACTERS + 1), ("é", MAX_CHARACTERS), ("é", MAX_CHARACTERS + 1)],
)
def test_sizes_are_counted_in_characters(guide: Policy, character: str, count: int) -> None:
    raw = (character * count).encode()
    exceeded = [rule.id for rule in guide.response.scan_size(len(raw), raw)]
    assert exceeded == (["guide.response-size"] if count > MAX_CHARACTERS else [])


@pytest.mark.parametrize("media_type", ["", "application/octet-stream", "image/png", "text/html"])
def test_the_guide_looks_at_bodies_of_every_type(guide: Policy, media_type: str) -> None:
    assert guide.request.for_media_type(media_type).body_rules == guide.request.body_rules
    assert guide.response.for_media_type(media_type).body_rules == guide.response.body_rules


# From here on: agreement for every text there is, not only for those that were generated. Each pattern of the
# pack is its origin with two constructs respelled, and each construct takes the same characters in both.

RESPELLED = {r"\s": r"[\s\x1c-\x1f]", "i": r"[i\u0131]", "I": r"[i\u0131]", r"\"": '"', r"\'": "'"}
ORIGINS = {
    "guide.script": BLOCKED_PATTERNS[:1],
    "guide.request-credential": BLOCKED_PATTERNS[1:2],
    "guide.dangerous-call": BLOCKED_PATTERNS[2:],
    "guide.sql-injection": SQL_PATTERNS,
    "guide.xxe": XXE_PATTERNS,
    "guide.response-credential": SENSITIVE_PATTERNS[:1],
    "guide.private-key": SENSITIVE_PATTERNS[1:2],
    "guide.base64": SENSITIVE_PATTERNS[2:],
}
EVERY_CHARACTER = "".join(map(chr, range(sys.maxunicode + 1)))


def respelled(origin: str) -> str:
    return re.sub(r"\\.|[iI]", lambda found: RESPELLED.get(found[0], found[0]), origin)


@pytest.mark.parametrize("rule_id", ORIGINS)
def test_each_pattern_is_its_origin_respelled(guide: Policy, rule_id: str) -> None:
    (rule,) = [rule for rule in guide.rules if rule.id == rule_id]
    assert rule.rule.pattern == "|".join(map(respelled, ORIGINS[rule_id]))
    assert (rule.unicode, rule.rule.ignore_case, rule.rule.keywords) == (True, True, ())


CLASSES = [".", "[^>]", "[^\"']", "[\"']", "[:=]", "[_-]", "[A-Za-z0-9+/]", r"\s"]
LETTERS = sorted(set(re.sub(r"\\.|[^a-zA-Z_]", "", "".join(chain.from_iterable(ORIGINS.values())))))
SIGNS = [re.escape(sign) for sign in "<>/!-#'=\\("]


@pytest.mark.parametrize("construct", [*CLASSES, *LETTERS, *SIGNS])
def test_each_construct_takes_the_same_characters(construct: str) -> None:
    python = re.findall(construct, EVERY_CHARACTER, re.IGNORECASE)
    ours = regex.findall(RESPELLED.get(construct, construct), EVERY_CHARACTER, regex.IGNORECASE)
    assert python == ours


@pytest.mark.parametrize("blocked_type", BLOCKED_CONTENT_TYPES)
def test_types_are_lower_cased_alike(guide: Policy, blocked_type: str) -> None:
    related = [character for character in EVERY_CHARACTER if set(character.lower()) & set(blocked_type)]
    for position in range(len(blocked_type)):
        for character in related:
            value = blocked_type[:position] + character + blocked_type[position + 1 :]
            found = guide.response.scan_header(b"Content-Type", to_bytes(value))
            assert bool(found) == (blocked_type in value.lower()), ascii(value)
