"""Validators of the numbers by which states know people, outside of Europe, and of travel documents."""

from collections.abc import Callable

import regex

from icapd.policy.check_digits import (
    SEPARATORS,
    digits_of,
    icao_holds,
    is_date,
    luhn_holds,
    number_of,
    verhoeff_holds,
    weighted,
)

# Numbers of advertisements, which the Social Security Administration has withdrawn, and those that everybody
# makes up.
_NO_SSN = frozenset({b"078051120", b"219099999", b"123456789", b"987654321"})


def us_ssn(secret: bytes) -> bool:
    """Social Security number: no area 000, 666 or from 900 on, no group 00, no serial number 0000."""
    number = secret.translate(None, SEPARATORS)
    if not digits_of(secret, 9) or number in _NO_SSN:
        return False
    area, group, serial = number[:3], number[3:5], number[5:]
    return area not in (b"000", b"666") and area < b"900" and group != b"00" and serial != b"0000"


def us_itin(secret: bytes) -> bool:
    """Individual taxpayer identification number: begins with 9, and the IRS gives out certain groups only."""
    digits = digits_of(secret, 9)
    group = number_of(digits[3:5]) if digits else 0
    return digits[:1] == [9] and (
        50 <= group <= 65 or 70 <= group <= 88 or (90 <= group <= 99 and group != 93)
    )


def ca_sin(secret: bytes) -> bool:
    """Social insurance number: Luhn; none begins with 0 or 8."""
    digits = digits_of(secret, 9)
    return bool(digits) and digits[0] not in (0, 8) and luhn_holds(digits)


def br_cpf(secret: bytes) -> bool:
    """Cadastro de Pessoas Físicas: two check digits modulo 11."""
    digits = digits_of(secret, 11)
    return bool(digits) and all(
        weighted(digits, range(places + 1, 1, -1)) * 10 % 11 % 10 == digits[places] for places in (9, 10)
    )


def br_cnpj(secret: bytes) -> bool:
    """Cadastro Nacional da Pessoa Jurídica: two check digits modulo 11."""
    digits = digits_of(secret, 14)
    weights = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)
    return bool(digits) and all(
        weighted(digits, weights[13 - places :]) * 10 % 11 % 10 == digits[places] for places in (12, 13)
    )


def in_aadhaar(secret: bytes) -> bool:
    """Aadhaar: twelve digits of which none of the first is 0 or 1, with Verhoeff's check digit."""
    digits = digits_of(secret, 12)
    return bool(digits) and digits[0] > 1 and verhoeff_holds(digits)


# GB 2260: the first two digits of a place.
_CN_PROVINCES = frozenset(
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81"
    " 82".split()
)


def cn_resident_id(secret: bytes) -> bool:
    """GB 11643: place, date, serial number, and ISO 7064 MOD 11-2."""
    number = secret.upper().decode("ascii", "replace")
    if len(number) != 18 or not number[:17].isdecimal() or number[:2] not in _CN_PROVINCES:
        return False
    if not 1900 <= int(number[6:10]) <= 2099 or not is_date(
        *map(int, (number[6:10], number[10:12], number[12:14]))
    ):
        return False
    total = sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17]


def jp_my_number(secret: bytes) -> bool:
    """個人番号: eleven digits and a check digit modulo 11."""
    digits = digits_of(secret, 12)
    rest = weighted(digits, (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return bool(digits) and (0 if rest <= 1 else 11 - rest) == digits[11]


def kr_rrn(secret: bytes) -> bool:
    """주민등록번호: a date, a digit for century and sex, and a check digit, random since October 2020."""
    digits = digits_of(secret, 13)
    if not digits or digits[6] not in range(1, 9):
        return False
    if not is_date(number_of(digits[:2]), number_of(digits[2:4]), number_of(digits[4:6])):
        return False
    check = (11 - weighted(digits, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10
    is_recent = digits[6] in (3, 4, 7, 8) and number_of(digits[:4]) >= 2010
    return is_recent or check == digits[12]


def au_tfn(secret: bytes) -> bool:
    """Tax file number: modulus 11."""
    digits = digits_of(secret, 9)
    return bool(digits) and weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def au_medicare(secret: bytes) -> bool:
    """Medicare card number: eight digits, their check digit, the number of the issue."""
    digits = digits_of(secret, 10)
    in_use = digits[:1] and 2 <= digits[0] <= 6 and digits[9] > 0
    return bool(in_use) and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == digits[8]


# The alphabet of the Registro Nacional de Población, Ñ behind N; bytes have no Ñ, and CURPs write X for it.
_CURP = regex.compile(rb"[A-Z]{4}[0-9]{6}[HMX][A-Z]{5}[A-Z0-9][0-9]")
_CURP_VALUES = {byte: value for value, byte in enumerate(b"0123456789ABCDEFGHIJKLMN?OPQRSTUVWXYZ")}


def mx_curp(secret: bytes) -> bool:
    """Clave Única de Registro de Población: the last digit checks the other seventeen."""
    if not _CURP.fullmatch(secret.upper()):
        return False
    values = [_CURP_VALUES[byte] for byte in secret.upper()]
    return (10 - weighted(values, range(18, 1, -1)) % 10) % 10 == values[17]


def cl_rut(secret: bytes) -> bool:
    """Rol Único Tributario: modulus 11, with a K for ten."""
    number = secret.translate(None, SEPARATORS).upper()
    if not 8 <= len(number) <= 9 or not number[:-1].isdigit() or len(set(number[:-1])) == 1:
        return False
    digits = [byte - ord("0") for byte in reversed(number[:-1])]
    return b"0K987654321"[weighted(digits, (2, 3, 4, 5, 6, 7, 2, 3)) % 11] == number[-1]


def tr_tckn(secret: bytes) -> bool:
    """The identity number of Turkey (T.C. kimlik no): two check digits."""
    digits = digits_of(secret, 11)
    if not digits or digits[0] == 0:
        return False
    tenth = (7 * sum(digits[0:9:2]) - sum(digits[1:8:2])) % 10
    return digits[9] == tenth and digits[10] == sum(digits[:10]) % 10


def za_id(secret: bytes) -> bool:
    """Identity number: a date, citizenship as 0, 1 or 2, and Luhn."""
    digits = digits_of(secret, 13)
    if not digits or not is_date(number_of(digits[:2]), number_of(digits[2:4]), number_of(digits[4:6])):
        return False
    return digits[10] <= 2 and luhn_holds(digits)


# ICAO Doc 9303 parts 4, 5 and 6: the last line of a passport (TD3), an identity card in two lines (TD2), and
# the first two of three lines (TD1).
_TD3 = regex.compile(rb"[A-Z0-9<]{9}[0-9][A-Z<]{3}[0-9]{7}[MFX<][0-9]{7}[A-Z0-9<]{14}[0-9<][0-9]")
_TD2 = regex.compile(rb"[A-Z0-9<]{9}[0-9][A-Z<]{3}[0-9]{7}[MFX<][0-9]{7}[A-Z0-9<]{7}[0-9]")
_TD1 = regex.compile(
    rb"[A-Z][A-Z<][A-Z<]{3}([A-Z0-9<]{9})([0-9<])[A-Z0-9<]{15}[0-9]{7}[MFX<][0-9]{7}[A-Z<]{3}[A-Z0-9<]{11}[0-9]"
)


def mrz(secret: bytes) -> bool:
    """Machine-readable lines of a travel document: every check digit, the composite one too."""
    lines = b"".join(secret.split())
    if _TD1.match(lines):
        fields = ((lines[5:14], lines[14:15]), (lines[30:36], lines[36:37]), (lines[38:44], lines[44:45]))
        composite, check = lines[5:30] + lines[30:37] + lines[38:45] + lines[48:59], lines[59:60]
        return all(icao_holds(*field) for field in fields) and icao_holds(composite, check)
    line = lines[-44:] if _TD3.fullmatch(lines[-44:]) else lines[-36:]
    if not _TD3.fullmatch(line) and not _TD2.fullmatch(line):
        return False
    composite = line[:10] + line[13:20] + line[21:-1]
    fields = ((line[:9], line[9:10]), (line[13:19], line[19:20]), (line[21:27], line[27:28]))
    return all(icao_holds(*field) for field in fields) and icao_holds(composite, line[-1:])


NATIONAL_IDS: dict[str, Callable[[bytes], bool]] = {
    function.__name__: function
    for function in (
        au_medicare,
        au_tfn,
        br_cnpj,
        br_cpf,
        ca_sin,
        cl_rut,
        cn_resident_id,
        in_aadhaar,
        jp_my_number,
        kr_rrn,
        mrz,
        mx_curp,
        tr_tckn,
        us_itin,
        us_ssn,
        za_id,
    )
}
