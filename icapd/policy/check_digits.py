"""The arithmetic of check digits that many numbers share."""

from collections.abc import Iterable, Sequence
from datetime import date

#: What people write between the digits of a number.
SEPARATORS = b" -./"
_BASE36 = {byte: value for value, byte in enumerate(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")}


def digits_of(number: bytes, length: int) -> list[int]:
    """The digits of a number of that length, separators aside; [] for another, and for one repeated digit."""
    bare = number.translate(None, SEPARATORS)
    if len(bare) != length or not bare.isdigit() or len(set(bare)) == 1:
        return []
    return [byte - ord("0") for byte in bare]


def weighted(values: Iterable[int], weights: Iterable[int]) -> int:
    """The sum of the values, each times its weight; as many as there are weights."""
    return sum(value * weight for value, weight in zip(values, weights, strict=False))


def number_of(digits: Iterable[int]) -> int:
    return int("".join(map(str, digits)))


def luhn_holds(digits: Sequence[int]) -> bool:
    """ISO/IEC 7812-1 annex B, the check digit last."""
    doubled = (2 * digit - 9 if digit > 4 else 2 * digit for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def mod_11_10_holds(digits: Sequence[int]) -> bool:
    """ISO/IEC 7064 MOD 11,10, the check digit last."""
    product = 10
    for digit in digits[:-1]:
        product = ((product + digit) % 10 or 10) * 2 % 11
    return (product + digits[-1]) % 10 == 1


def _compose(a: int, b: int) -> int:
    """Two symmetries of the pentagon, one after the other: turns are 0 to 4, reflections 5 to 9."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b - 5) % 5
    return 5 + (a - 5 - b) % 5 if b < 5 else (a - b) % 5


# What is applied to a digit once more at each place (J. Verhoeff, Error detecting decimal codes, 1969).
_TURN = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def verhoeff_holds(digits: Sequence[int]) -> bool:
    """The check digit last."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        turned = digit
        for _ in range(place % 8):
            turned = _TURN[turned]
        check = _compose(check, turned)
    return check == 0


def is_date(year: int, month: int, day: int) -> bool:
    """Whether there is such a day; where the century is open, of years in this one or the last."""
    years = (year,) if year >= 100 else (1900 + year, 2000 + year)
    for full_year in years:
        try:
            date(full_year, month, day)
        except ValueError:
            continue
        return True
    return False


def icao_holds(field: bytes, check: bytes) -> bool:
    """The check digit of a field in a machine-readable document (ICAO Doc 9303 part 3 section 4.9)."""
    values = [0 if byte == ord("<") else _BASE36.get(byte, -1) for byte in field]
    if -1 in values or not check.isdigit():
        return False
    return sum(value * (7, 3, 1)[place % 3] for place, value in enumerate(values)) % 10 == int(check)
