"""Named checks on what a pattern found: structure that a regular expression can't see.

A rule names them under `validator`; each one sees the secret alone and says whether it can be a real one.
"""

import itertools
import string
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable

import msgspec
import regex

from icapd.policy.alphabets import ENTROPIES, entropy
from icapd.policy.check_digits import luhn_holds
from icapd.policy.faults import RuleFault, suggest
from icapd.policy.national_ids import NATIONAL_IDS
from icapd.policy.national_ids_europe import EUROPEAN_IDS
from icapd.policy.payment import iban, payment_card
from icapd.policy.sql_fragment import sql_fragment

Validator = Callable[[bytes], bool]

_NAME = regex.compile(r"(?P<name>[a-z0-9_]+(?:\([a-z0-9]+\))?)(?:>=(?P<minimum>\d+(?:\.\d+)?))?")


def distinct(secret: bytes) -> float:
    """How many different bytes there are."""
    return len(set(secret))


_PLACEHOLDER_WORDS = regex.compile(
    rb"example|sample|dummy|placeholder|change[-_ ]?(?:me|it)|replace[-_ ]?(?:me|with|this)|insert[-_ ]|"
    rb"your[-_ ]|my[-_ ](?:api|secret|token|key|password)|redacted|todo|fixme|not[-_ ]?a?[-_ ]?real|"
    rb"x{4,}|\*{3,}|\.{3,}|_{4,}",
    regex.IGNORECASE,
)
# <name>, ${NAME}, $NAME, {{ name }}, {name}, %(name)s, %s, %NAME%, [name]: another program fills them in.
_TEMPLATE = regex.compile(
    rb".*(?:[$#]\{|\{\{).*|<[^<>]*>|\$[A-Za-z_]\w*|\{[^{}]*\}|%\(\w+\)[sd]|%[sdv]|%\w+%|\[[^\[\]]*\]",
    regex.DOTALL,
)
_REPEATED = regex.compile(rb"(.{1,8}?)\1{2,}.{0,7}", regex.DOTALL)
#: Neighbours like `12345678` or `abcdefgh`: nobody draws eight by chance (1 in 10^10 for a base64 token).
_SEQUENCE_LENGTH = 8


def not_placeholder(secret: bytes) -> bool:
    """Whether the secret is none of the stand-ins that documentation and templates use."""
    return not (
        _PLACEHOLDER_WORDS.search(secret)
        or _TEMPLATE.fullmatch(secret)
        or _REPEATED.fullmatch(secret)
        or _has_sequence(secret)
    )


def _has_sequence(secret: bytes) -> bool:
    run = 1
    for earlier, later in itertools.pairwise(secret):
        run = run + 1 if later == earlier + 1 else 1
        if run == _SEQUENCE_LENGTH:
            return True
    return False


def luhn(secret: bytes) -> bool:
    """The check digit of payment card numbers (ISO/IEC 7812-1 annex B), blanks and dashes aside."""
    digits = [byte - ord("0") for byte in secret.translate(None, b" -")]
    # ISO/IEC 7812-1: at most 19 digits; the shortest in use have 12.
    if not 12 <= len(digits) <= 19 or not all(0 <= digit <= 9 for digit in digits) or not any(digits):
        return False
    return luhn_holds(digits)


def jwt(secret: bytes) -> bool:
    """A JSON Web Token (RFC 7519): the first part is a JOSE header, base64url JSON with `alg`."""
    header, dot, _ = secret.partition(b".")
    try:
        decoded = msgspec.json.decode(urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except (ValueError, msgspec.DecodeError):
        return False
    return bool(dot) and isinstance(decoded, dict) and isinstance(decoded.get("alg"), str)


# IAM reference, "Unique identifiers": prefixes of ids that come with a secret; the rest is base32.
_AWS_KEY_ID = regex.compile(rb"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}")


def aws_key_id(secret: bytes) -> bool:
    """An access key id of AWS, but not one of its documentation, which end in EXAMPLE."""
    return bool(_AWS_KEY_ID.fullmatch(secret)) and not secret.endswith(b"EXAMPLE")


def base64(secret: bytes) -> bool:
    """Base64 in either alphabet (RFC 4648 sections 4 and 5), line breaks and missing padding allowed."""
    packed = secret.translate(bytes.maketrans(b"-_", b"+/"), b"\r\n").rstrip(b"=")
    try:
        b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except ValueError:
        return False
    return bool(packed)


def _has(alphabet: str) -> Validator:
    wanted = frozenset(alphabet.encode("ascii"))
    return lambda secret: not wanted.isdisjoint(secret)


has_digit = _has(string.digits)
has_letter = _has(string.ascii_letters)
has_lower = _has(string.ascii_lowercase)
has_upper = _has(string.ascii_uppercase)


def has_mixed_case(secret: bytes) -> bool:
    """Letters of both cases."""
    return has_lower(secret) and has_upper(secret)


def discord_id(secret: bytes) -> bool:
    """A bot token of Discord: its first part is the bot's id, a decimal number, in base64url.

    Discord's API reference, "Snowflakes" and "Authentication".
    """
    bot, _, _ = secret.partition(b".")
    try:
        return urlsafe_b64decode(bot.rstrip(b"=") + b"=" * (-len(bot.rstrip(b"=")) % 4)).isdigit()
    except ValueError:
        return False


# What stands for a user's password in documentation, tests and default installations.
_STOCK_PASSWORDS = frozenset(
    b"""abc admin bar baz changeit default demo foo foobar foobared guest host hostname key letmein login
    mongo mysql name pass passwd password passwort port postgres pw pwd rabbitmq redis root s3cr3t secret test
    testing tiger token user username xxx xyz yyy""".split()
)
#: `mysecretpassword`, `auth_password`, `SECRET_KEY`: what it is, said once more.
_STOCK_COMPOUND = regex.compile(
    rb"(?:my|your|our|the|a|an|some|super|very|auth|db|app|api|user|admin|root|redis|mysql|postgres|new|old|secret"
    rb"|strong|secure|[_\- ]){0,4}(?:password|passwd|passw|pass|pwd|secret)(?:[_\-]?(?:key|here|word))?"
)


def not_stock_password(secret: bytes) -> bool:
    """Not one of the words that everyone writes for a password, nor one of them with digits behind it."""
    lowered = secret.lower()
    bare = lowered.rstrip(b"0123456789!")
    return _STOCK_PASSWORDS.isdisjoint((lowered, bare)) and not _STOCK_COMPOUND.fullmatch(bare)


def basic_credentials(secret: bytes) -> bool:
    """User and password as RFC 7617 section 2 encodes them, the password none that documents use."""
    try:
        user, colon, password = b64decode(secret + b"=" * (-len(secret) % 4), validate=True).partition(b":")
    except ValueError:
        return False
    readable = (user + password).isascii() and (user + password).decode("ascii").isprintable()
    return (
        bool(colon and password) and readable and not_placeholder(password) and not_stock_password(password)
    )


#: Bits per byte that random letters and digits reach from about 12 bytes on; words and dates stay below.
_RANDOM_ENTROPY, _RANDOM_ENTROPY_OF_SHORT, _SHORT = 3.0, 2.7, 16
#: A generator changes between letters and digits every few characters; one change in twelve is its least.
_TURNS_PER_BYTE = 1 / 12
#: Of hexadecimal digits three in eight are letters; numbers in a row, as in a drawing, have fewer.
_LETTERS_PER_BYTE = 1 / 6
#: Hexadecimal digits, or a UUID, also behind what says whose they are: `sk_`, `api-`, `amzn1.oa2-cs.v1.`.
_HEXADECIMAL = regex.compile(
    rb"(?P<digits>[0-9A-Fa-f.\-]+)"
    rb"|(?:[A-Za-z][0-9A-Za-z]{0,11}[._\-]){1,3}(?P<digits>[0-9A-Fa-f][0-9A-Fa-f.\-]{15,})"
)
_VERSION = regex.compile(rb"[vV]?\d{1,4}(?:\.\d{1,5}){1,3}(?:[+~.\-].*)?")
# The hundred commonest pairs of letters in the names and words of programs and their documents.
_COMMON_PAIRS = frozenset(
    (first, second)
    for first, second in b"""
    ab ac ad al am an ap ar as at ba bl ca ce ch ck co ct da de di ea ec ed ef el em en er es et ex fi
    fo ge gi he ic ig il in io is it ke la le lf li ll lo ma me mp na nc nd ne ng no ns nt od ol om on
    op or pa pe pl po pr pt ra re ri ro rs rt se si so ss st ta te th ti to tr ts ty ul um un ur ut ve
    yp
    """.split()
)
#: The share of such pairs: 70 % in words, 15 % in drawn letters, 45 % in one drawn token of fifty or more.
_WORDLIKE, _WORDLIKE_WITH_A_NUMBER, _WORDLIKE_WITHOUT_DIGITS = 0.45, 0.25, 0.2
#: The share of runs of small letters: above 60 % in names with capitals, 55 % in one drawn token of hundreds.
_NAMELIKE = 0.55
_SMALL_LETTERS = regex.compile(rb"[a-z]{3,}")
#: Of fewer pairs the share says little: the letters stand between digits.
_FEW_PAIRS = 8
#: What has no digit: of its letters half are capitals in a drawn token, one in five in a name; nineteen in
#: twenty drawn tokens of this length do have a digit.
_CAPITALS, _LONG_ENOUGH_WITHOUT_DIGITS = 0.3, 16


# For each byte whether it is a digit, a letter, or neither.
_KINDS = bytes(b"-01"[chr(byte).isalnum() + (chr(byte) in string.digits)] for byte in range(256))
_NOT_LETTERS = bytes(byte for byte in range(256) if not chr(byte).isalpha())
_NOT_CAPITALS = bytes(byte for byte in range(256) if not chr(byte).isupper())
# For each byte whether it is a letter of a common pair's alphabet, in either case.
_ASCII_LETTERS = bytes(b"01"[chr(byte) in string.ascii_letters] for byte in range(256))


def random_token(secret: bytes) -> bool:
    """Letters and digits mixed as a generator draws them, not names and words with a number behind them."""
    letters = len(secret.translate(None, _NOT_LETTERS))
    if letters < max(1, len(secret) * _LETTERS_PER_BYTE) or not _is_mixed(secret, letters):
        return False
    return entropy(secret) >= (_RANDOM_ENTROPY if len(secret) >= _SHORT else _RANDOM_ENTROPY_OF_SHORT)


def _is_mixed(secret: bytes, letters: int) -> bool:
    """Whether the secret, with so many letters in it, changes as no name, version or path does."""
    if hexadecimal := _HEXADECIMAL.fullmatch(secret):
        digits = hexadecimal["digits"]
        return _turns(digits) >= max(2, len(digits) * _TURNS_PER_BYTE)
    if _VERSION.fullmatch(secret) or not (has_upper(secret) or _turns(secret)):
        return False
    if b"/" in secret and not has_mixed_case(secret):
        return False  # a path; base64 has capitals
    if has_upper(secret) and _share_of_words(secret) >= _NAMELIKE:
        return False
    if has_digit(secret):
        is_name = not has_upper(secret) and _turns(secret) == 1
        return _share_of_common_pairs(secret) <= (_WORDLIKE_WITH_A_NUMBER if is_name else _WORDLIKE)
    return (
        len(secret) >= _LONG_ENOUGH_WITHOUT_DIGITS
        and len(secret.translate(None, _NOT_CAPITALS)) >= letters * _CAPITALS
        and has_lower(secret)
        and b"." not in secret
        and _share_of_common_pairs(secret) <= _WORDLIKE_WITHOUT_DIGITS
    )


def _turns(text: bytes) -> int:
    """How often a letter follows a digit, or a digit a letter."""
    kinds = text.translate(_KINDS)
    return kinds.count(b"01") + kinds.count(b"10")


def _share_of_words(text: bytes) -> float:
    """The share of bytes in runs of small letters, as names in capitals and small letters have them."""
    return sum(map(len, _SMALL_LETTERS.findall(text))) / len(text)


def _share_of_common_pairs(text: bytes) -> float:
    """How word-like the letters are: the share of their pairs that are common in words."""
    letters = b"0" + text.translate(_ASCII_LETTERS)
    pairs = letters.count(b"1") - letters.count(b"01")  # one less than letters in each run
    common = sum(map(_COMMON_PAIRS.__contains__, itertools.pairwise(text.lower())))
    return common / max(_FEW_PAIRS, pairs)


#: Names for `validator = "name"`.
VALIDATORS: dict[str, Validator] = {
    "aws_key_id": aws_key_id,
    "base64": base64,
    "basic_credentials": basic_credentials,
    "discord_id": discord_id,
    "has_digit": has_digit,
    "has_letter": has_letter,
    "has_lower": has_lower,
    "has_mixed_case": has_mixed_case,
    "has_upper": has_upper,
    "iban": iban,
    "jwt": jwt,
    "luhn": luhn,
    "not_placeholder": not_placeholder,
    "not_stock_password": not_stock_password,
    "payment_card": payment_card,
    "random_token": random_token,
    "sql_fragment": sql_fragment,
    **EUROPEAN_IDS,
    **NATIONAL_IDS,
}

#: Names for `validator = "name>=minimum"`.
MEASURES: dict[str, Callable[[bytes], float]] = {"distinct": distinct, "entropy": entropy, **ENTROPIES}


def find_validator(name: str) -> Validator:
    """The function that a rule names; RuleFault when there is none."""
    parts = _NAME.fullmatch(name)
    if parts is not None and parts["minimum"] is None and parts["name"] in VALIDATORS:
        return VALIDATORS[parts["name"]]
    if parts is not None and parts["minimum"] is not None and parts["name"] in MEASURES:
        return _at_least(MEASURES[parts["name"]], float(parts["minimum"]))
    if name in MEASURES:
        raise RuleFault("validator", f'"{name}" needs a minimum: write "{name}>=3.5"')
    spellings = [*VALIDATORS, *(f"{measure}>=N" for measure in MEASURES)]
    raise RuleFault("validator", f'unknown validator "{name}"{suggest(name, spellings)}')


def _at_least(measure: Callable[[bytes], float], minimum: float) -> Validator:
    return lambda secret: measure(secret) >= minimum
