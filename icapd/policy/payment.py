"""Validators of numbers that money moves by: payment cards and bank accounts."""

import regex

from icapd.policy.check_digits import digits_of, luhn_holds

# ISO/IEC 7812 issuer ranges as the schemes publish them: first and last number of the range, and the lengths.
# Those of 19 digits are left out where a scheme issues none: they would take in the ids of many APIs.
_ISSUERS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("4", "4", (13, 16)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("6011", "6011", (16,)),  # Discover
    ("644", "649", (16,)),
    ("65", "65", (16,)),
    ("300", "305", (14,)),  # Diners Club
    ("3095", "3095", (14,)),
    ("36", "36", (14,)),
    ("38", "39", (14,)),
    ("3528", "3589", (16,)),  # JCB
    ("62", "62", (16, 17, 18, 19)),  # UnionPay
    ("5018", "5018", (16, 18, 19)),  # Maestro
    ("5020", "5020", (16, 18, 19)),
    ("5038", "5038", (16, 18, 19)),
    ("5893", "5893", (16, 18, 19)),
    ("6304", "6304", (16, 18, 19)),
    ("6759", "6759", (16, 18, 19)),
    ("6761", "6763", (16, 18, 19)),
)


_RANGES: dict[int, tuple[tuple[str, str], ...]] = {
    length: tuple((first, last) for first, last, lengths in _ISSUERS if length in lengths)
    for length in range(13, 20)
}


def payment_card(secret: bytes) -> bool:
    """The number of a payment card: a known issuer's range and length, and the check digit (Luhn)."""
    number = secret.translate(None, b" -").decode("ascii", "replace")
    ranges = _RANGES.get(len(number), ())
    if not any(first <= number[: len(first)] <= last for first, last in ranges):
        return False
    digits = digits_of(secret, len(number))
    return bool(digits) and luhn_holds(digits)


# The SWIFT registry of ISO 13616: the length of an IBAN in each country.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
_IBAN = regex.compile(rb"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")


def iban(secret: bytes) -> bool:
    """An international bank account number: its country's length, and the check digits (MOD 97-10)."""
    number = secret.translate(None, b" -").upper()
    if not _IBAN.fullmatch(number) or _IBAN_LENGTHS.get(number[:2].decode()) != len(number):
        return False
    # A is 10, B is 11, ... as base 36 has it.
    return int("".join(str(int(chr(byte), 36)) for byte in number[4:] + number[:4])) % 97 == 1
