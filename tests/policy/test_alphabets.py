"""Entropy over an alphabet: what is outside of it counts against the secret."""

import random
import string

import pytest

from icapd.policy.validators import MEASURES, find_validator


@pytest.mark.parametrize(
    ("measure", "secret", "bits"),
    [
        ("entropy(hex)", b"0123456789abcdef", 4.0),
        ("entropy(hex)", b"0123456789ABCDEF", 4.0),
        ("entropy(hex)", b"00ff00FF", 1.0),
        ("entropy(hex)", b"0123-4567-89ab-cdef", 4.0),
        ("entropy(hex)", b"01234567ghijkl", 0.0),
        ("entropy(hex)", b"", 0.0),
        ("entropy(digits)", b"01234567", 3.0),
        ("entropy(base32)", b"abcdefgh", 3.0),
        ("entropy(base36)", b"aAbB", 1.0),
        ("entropy(base62)", b"aAbB", 2.0),
        ("entropy(base64)", b"+/-_", 2.0),
        ("entropy(base64)", b"....+/-_", 0.0),
    ],
)
def test_entropy_over_an_alphabet(measure: str, secret: bytes, bits: float) -> None:
    assert MEASURES[measure](secret) == pytest.approx(bits)


@pytest.mark.parametrize(
    ("name", "alphabet", "length"),
    [
        ("entropy(hex)>=3.0", "0123456789abcdef", 32),
        ("entropy(base64)>=4.2", string.ascii_letters + string.digits + "+/", 40),
    ],
)
def test_usual_bounds_take_what_generators_make(name: str, alphabet: str, length: int) -> None:
    draw = random.Random(5)
    validator = find_validator(name)
    assert all(validator("".join(draw.choices(alphabet, k=length)).encode()) for _ in range(1000))
