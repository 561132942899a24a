"""What must stand near a match, and words that rule one out."""

from collections.abc import Callable
from time import monotonic

import pytest

from icapd.policy import CompiledRule
from icapd.policy.text import Text

NEAR = {"words": ["card", "social security"], "before": 20, "after": 10}


def found(rule: CompiledRule, text: str) -> list[str]:
    raw = text.encode()
    matches, _ = rule.find(Text(raw), 0, len(raw), monotonic() + 1)
    return [raw[match.start : match.end].decode() for match in matches]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("card 123", id="in-front"),
        pytest.param("CARD: 123", id="in-capitals"),
        pytest.param('"cardNumber": 123', id="part-of-a-name-with-a-hump"),
        pytest.param("creditCard=123", id="behind-a-hump"),
        pytest.param("my_card_no 123", id="between-underscores"),
        pytest.param("card123", id="touching-it"),
        pytest.param("123 is a card", id="behind"),
        pytest.param("social security: 123", id="two-words"),
        pytest.param("social-security: 123", id="two-words-with-a-dash"),
        pytest.param("socialSecurity: 123", id="two-words-with-a-hump"),
        pytest.param("card" + " " * 16 + "123", id="as-far-as-it-may-be"),
        pytest.param("123      card", id="as-far-behind-as-it-may-be"),
    ],
)
def test_a_word_stands_near(compiled: Callable[..., CompiledRule], text: str) -> None:
    assert found(compiled(pattern="[0-9]{3}", near=NEAR), text) == ["123"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("123", id="nothing"),
        pytest.param("discard 123", id="the-end-of-another-word"),
        pytest.param("cardinal 123", id="the-beginning-of-another-word"),
        pytest.param("CARDINAL 123", id="the-beginning-of-a-word-in-capitals"),
        pytest.param("card" + " " * 17 + "123", id="too-far"),
        pytest.param("123       card", id="too-far-behind"),
        pytest.param("dis" + "card".ljust(20) + "123", id="a-word-whose-beginning-is-out-of-reach"),
        pytest.param("social  security: 123", id="two-separators"),
    ],
)
def test_no_word_stands_near(compiled: Callable[..., CompiledRule], text: str) -> None:
    assert found(compiled(pattern="[0-9]{3}", near=NEAR), text) == []


def test_a_pattern_stands_near(compiled: Callable[..., CompiledRule]) -> None:
    rule = compiled(pattern="[0-9]{3}", near={"words": ["card"], "pattern": r"n(?:r|\xc2\xba)", "before": 6})
    assert found(rule, "nr 123, nº 456, card 789, no 000") == ["123", "456", "789"]


@pytest.mark.parametrize(
    ("near", "reach"), [({"before": 30}, 3 + 31), ({"after": 30}, 3 + 30), ({"before": 9, "after": 40}, 43)]
)
def test_what_is_near_counts_for_the_window(
    compiled: Callable[..., CompiledRule], near: dict[str, int], reach: int
) -> None:
    assert compiled(pattern="[0-9]{3}", near={"words": ["a"], **near}).max_length == reach


def test_words_of_any_script(compiled: Callable[..., CompiledRule]) -> None:
    rule = compiled(pattern="[0-9]{3}", near={"words": ["番号", "säkerhet nr"], "before": 16})
    assert found(rule, "番号 123, 番          456, SäKERHET-NR 789") == ["123", "789"]


def test_a_match_that_is_refused_hides_no_other(compiled: Callable[..., CompiledRule]) -> None:
    rule = compiled(pattern="[0-9]{3}", near={"words": ["card"], "before": 5})
    assert found(rule, "123 card 456 789") == ["456"]


def test_distances_are_bytes_in_rules_on_characters_too(compiled: Callable[..., CompiledRule]) -> None:
    rule = compiled(pattern="é{2}", unicode=True, near={"words": ["card"], "before": 8})
    assert found(rule, "card ü éé") == ["éé"]
    assert found(rule, "card üü éé") == []


@pytest.mark.parametrize(
    ("text", "secrets"),
    [("key-abc", ["key-abc"]), ("key-TESTing", []), ("key-atestb", []), ("test key-abc", ["key-abc"])],
)
def test_stop_words_rule_a_secret_out(
    compiled: Callable[..., CompiledRule], text: str, secrets: list[str]
) -> None:
    assert found(compiled(pattern=r"key-\w+", max_length=20, stop_words=["test"]), text) == secrets
