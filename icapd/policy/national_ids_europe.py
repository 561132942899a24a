"""Validators of the numbers by which the states of Europe know people."""

from collections import Counter
from collections.abc import Callable

import regex

from icapd.policy.check_digits import (
    SEPARATORS,
    digits_of,
    icao_holds,
    is_date,
    luhn_holds,
    mod_11_10_holds,
    number_of,
    weighted,
)


def uk_nhs_number(secret: bytes) -> bool:
    """NHS Data Dictionary: ten digits, modulus 11."""
    digits = digits_of(secret, 10)
    return bool(digits) and (weighted(digits, range(10, 1, -1)) + digits[9]) % 11 == 0


def de_tax_id(secret: bytes) -> bool:
    """Steuerliche Identifikationsnummer: one digit of the first ten stands two or three times."""
    digits = digits_of(secret, 11)
    if not digits or digits[0] == 0:
        return False
    repeated = [count for count in Counter(digits[:10]).values() if count > 1]
    return len(repeated) == 1 and repeated[0] <= 3 and mod_11_10_holds(digits)


# Without vowels and letters that look like digits; since 2010 a letter stands in front.
_DE_SERIAL = regex.compile(rb"[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}[0-9]")


def de_document_number(secret: bytes) -> bool:
    """Personalausweis and Reisepass: nine characters and their check digit, by ICAO Doc 9303."""
    return _DE_SERIAL.fullmatch(secret.upper()) is not None and icao_holds(secret[:9].upper(), secret[9:])


def fr_nir(secret: bytes) -> bool:
    """Numéro d'inscription au répertoire (INSEE): thirteen characters and 97 less their remainder."""
    number = secret.translate(None, SEPARATORS).upper()
    if len(number) != 15 or number[:1] not in b"12":
        return False
    # Corsica's two departments count as 19 and 18.
    department = {b"2A": b"19", b"2B": b"18"}.get(number[5:7], number[5:7])
    bare = number[:5] + department + number[7:]
    return bare.isdigit() and 97 - int(bare[:13]) % 97 == int(bare[13:])


_DNI_LETTERS = b"TRWAGMYFPDXBNJZSQVHLCKE"


def es_dni(secret: bytes) -> bool:
    """Documento nacional de identidad, and NIE, whose X, Y or Z stands for 0, 1 or 2: a letter modulo 23."""
    number = secret.translate(bytes.maketrans(b"XYZxyz", b"012012"), SEPARATORS)[:-1]
    return len(number) == 8 and number.isdigit() and _DNI_LETTERS[int(number) % 23] == secret[-1:].upper()[0]


# Decreto ministeriale 23 dicembre 1976: what characters at odd places count, by their value in base 36.
_ODD_DIGITS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
_CODICE_ODD = (*_ODD_DIGITS, *_ODD_DIGITS, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def it_codice_fiscale(secret: bytes) -> bool:
    """Sixteen characters, the last of which checks the others."""
    number = secret.upper()
    if len(number) != 16 or not number.isalnum():
        return False
    values = [int(chr(byte), 36) for byte in number[:15]]
    even = sum(value - 10 if value > 9 else value for value in values[1::2])
    return (sum(_CODICE_ODD[value] for value in values[::2]) + even) % 26 == number[15] - ord("A")


def nl_bsn(secret: bytes) -> bool:
    """Burgerservicenummer: the elfproef."""
    digits = digits_of(secret, 9)
    return bool(digits) and (weighted(digits, range(9, 1, -1)) - digits[8]) % 11 == 0


def be_national_number(secret: bytes) -> bool:
    """Rijksregisternummer: a date, and 97 less the remainder; from 2000 on with a 2 in front."""
    digits = digits_of(secret, 11)
    if not digits or not is_date(number_of(digits[:2]), number_of(digits[2:4]), number_of(digits[4:6])):
        return False
    number, check = number_of(digits[:9]), number_of(digits[9:])
    return check in (97 - number % 97, 97 - (number + 2_000_000_000) % 97)


def pl_pesel(secret: bytes) -> bool:
    """PESEL: the month tells the century."""
    digits = digits_of(secret, 11)
    if not digits:
        return False
    century, month = divmod(number_of(digits[2:4]), 20)
    year = (1900, 2000, 2100, 2200, 1800)[century] + number_of(digits[:2])
    weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
    return is_date(year, month, number_of(digits[4:6])) and weighted(digits, weights) % 10 == 0


def se_personal_number(secret: bytes) -> bool:
    """Personnummer: a date, with century or without, and Luhn; 60 more days make a samordningsnummer."""
    bare = secret.translate(None, b" -+")
    digits = digits_of(bare[-10:], 10)
    if not digits or bare[:-10] not in (b"", b"18", b"19", b"20"):
        return False
    day = number_of(digits[4:6])
    return is_date(
        number_of(digits[:2]), number_of(digits[2:4]), day - 60 if day > 60 else day
    ) and luhn_holds(digits)


_HETU_CHECKS = b"0123456789ABCDEFHJKLMNPRSTUVWXY"


def fi_hetu(secret: bytes) -> bool:
    """Henkilötunnus: a date, a sign for the century, three digits, and a character modulo 31."""
    number = secret.upper()
    if len(number) != 11 or not (number[:6] + number[7:10]).isdigit():
        return False
    is_day = is_date(int(number[4:6]), int(number[2:4]), int(number[:2]))
    return is_day and _HETU_CHECKS[int(number[:6] + number[7:10]) % 31] == number[10]


def no_birth_number(secret: bytes) -> bool:
    """Fødselsnummer, and D-nummer, whose day has 40 added: two check digits modulo 11."""
    digits = digits_of(secret, 11)
    if not digits:
        return False
    day = number_of(digits[:2])
    is_day = is_date(number_of(digits[4:6]), number_of(digits[2:4]), day - 40 if day > 40 else day)
    first = weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1))
    second = weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1))
    return is_day and first % 11 == 0 and second % 11 == 0


def dk_cpr(secret: bytes) -> bool:
    """CPR-nummer: a date in front. Its check digit is not kept to since 2007."""
    digits = digits_of(secret, 10)
    return bool(digits) and is_date(number_of(digits[4:6]), number_of(digits[2:4]), number_of(digits[:2]))


def pt_nif(secret: bytes) -> bool:
    """Número de identificação fiscal of a person: modulus 11."""
    digits = digits_of(secret, 9)
    check = (11 - weighted(digits, range(9, 1, -1)) % 11) % 11 % 10
    return bool(digits) and digits[0] in (1, 2, 3) and check == digits[8]


def at_social_number(secret: bytes) -> bool:
    """Sozialversicherungsnummer: the fourth digit checks the others, six of which are a date."""
    digits = digits_of(secret, 10)
    if not digits or digits[0] == 0:
        return False
    is_day = is_date(number_of(digits[8:]), number_of(digits[6:8]), number_of(digits[4:6]))
    return is_day and weighted(digits, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == digits[3]


def ch_ahv(secret: bytes) -> bool:
    """AHV-Nummer: an EAN-13 that begins with the country's 756."""
    digits = digits_of(secret, 13)
    return digits[:3] == [7, 5, 6] and weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0


_NINO = regex.compile(rb"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][0-9]{6}[A-D]")


def uk_nino(secret: bytes) -> bool:
    """National Insurance number, in the letters that HMRC gives out."""
    return _NINO.fullmatch(secret.translate(None, SEPARATORS).upper()) is not None


EUROPEAN_IDS: dict[str, Callable[[bytes], bool]] = {
    function.__name__: function
    for function in (
        at_social_number,
        be_national_number,
        ch_ahv,
        de_document_number,
        de_tax_id,
        dk_cpr,
        es_dni,
        fi_hetu,
        fr_nir,
        it_codice_fiscale,
        nl_bsn,
        no_birth_number,
        pl_pesel,
        pt_nif,
        se_personal_number,
        uk_nhs_number,
        uk_nino,
    )
}
