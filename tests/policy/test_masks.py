"""What stands in the place of a secret."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy import REDACTED, CompiledRule, mask_of
from icapd.policy.masks import Mask

KEEP, SAME = Mask("keep-last-4", shown=4), Mask("same-length", characters=6)


@pytest.mark.parametrize(
    ("mask", "secret", "masked"),
    [
        ("redacted", "4111111111111111", "[REDACTED]"),
        ("label", "4111111111111111", "[REDACTED:rule:0f0f0f0f]"),
        ("keep-last-4", "4111 1111 1111 1234", "****1234"),
        ("keep-last-4", "GB82 WEST 1234 5698 7654 32", "****5432"),
        ("keep-last-4", "123456789012", "****012"),
        ("keep-last-4", "123", "****"),
        ("keep-last-4", "abcdefghijkl]}>&", "****ijkl"),
        ("same-length", "abcéé", "*****"),
        ("same-length", "a\udcffb", "***"),
    ],
)
def test_masks(compiled: Callable[..., CompiledRule], mask: str, secret: str, masked: str) -> None:
    raw = secret.encode("utf-8", "surrogateescape")
    rule = compiled(pattern="a", mask=mask).rule
    assert mask_of(rule, raw, "0f0f0f0f").over(raw).decode() == masked


def test_the_usual_mask_is_always_the_same_object(compiled: Callable[..., CompiledRule]) -> None:
    assert mask_of(compiled(pattern="a").rule, b"a", "") is REDACTED


@pytest.mark.parametrize(
    ("mask", "number", "masked"),
    [
        (REDACTED, b"4111111111111111", b"0"),
        (Mask("label", label=b"[REDACTED:x:y]"), b"4111111111111111", b"0"),
        (KEEP, b"4111111111111234", b"1234"),
        (KEEP, b"4111111111110034", b"34"),
        (KEEP, b"4111111111110000", b"0"),
        (KEEP, b"41111111.1111e12", b"0"),
        (SAME, b"411111", b"0     "),
    ],
)
def test_numbers_stay_numbers(mask: Mask, number: bytes, masked: bytes) -> None:
    assert mask.over_number(number) == masked


@given(secret=st.binary(min_size=1, max_size=40), spelling=st.binary(min_size=1, max_size=60))
def test_never_more_than_a_quarter_is_shown(secret: bytes, spelling: bytes) -> None:
    mask = Mask("keep-last-4", shown=min(4, len(secret) // 4))
    shown = len(mask.over(spelling)) - len(b"****")
    assert shown <= len(secret) // 4
    assert shown <= len(spelling) // 4
