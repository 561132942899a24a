"""Each validator against values that its standard or its vendor defines."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy.faults import RuleFault
from icapd.policy.national_ids import NATIONAL_IDS
from icapd.policy.national_ids_europe import EUROPEAN_IDS
from icapd.policy.validators import MEASURES, VALIDATORS, entropy, find_validator

JOSE = b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"  # {"alg":"HS256","typ":"JWT"}
CASES = {
    "luhn": {
        # Numbers that card networks publish for tests.
        True: [b"4111111111111111", b"4111 1111 1111 1111", b"5500-0000-0000-0004", b"378282246310005"],
        False: [b"4111111111111112", b"0000000000000000", b"4111", b"411111111111111x", b"", b"1" * 20],
    },
    "iban": {
        # The examples of the IBAN registry.
        True: [b"GB29NWBK60161331926819", b"DE89 3704 0044 0532 0130 00", b"no9386011117947"],
        False: [b"GB30NWBK60161331926819", b"GB29", b"2929NWBK60161331926819", b""],
    },
    "jwt": {
        True: [JOSE + b".eyJzdWIiOiIxIn0.c2ln", JOSE + b"."],
        False: [
            JOSE,
            b"eyJ0eXAiOiJKV1QifQ.e30.c2ln",  # no alg
            b"WzFd.e30.c2ln",  # a list
            b"com.example.package",
            b"\xff.x",
            b"",
        ],
    },
    "aws_key_id": {
        True: [b"AKIAIOSFODNN7EXAMPLQ", b"ASIAQWERTYUIOP234567"],
        False: [b"AKIAIOSFODNN7EXAMPLE", b"AKIA1234567890123456", b"AKIAIOSFODNN7", b"AIDAIOSFODNN7ABCDEFG"],
    },
    "base64": {
        True: [b"aGVsbG8=", b"aGVsbG8", b"-_-_", b"aGVs\r\nbG8="],
        False: [b"a", b"a b c d", b"", b"===", b"\xc3\xa9\xc3\xa9"],
    },
    "discord_id": {
        True: [b"MTIzNDU2Nzg5MDEyMzQ1Njc4.Gabcde.x", b"MTIzNDU2Nzg5MDEyMzQ1Njc4"],
        False: [b"YWJjZGVm.Gabcde.x", b"M.x", b"\xc3\xa9.x", b""],
    },
    "not_stock_password": {
        True: [b"hV7kQ2mZx9", b"passwordless", b"2024", b"passage7Kq2", b"the-secretary", b"mypasswordq7Lm2"],
        False: [
            b"password",
            b"root123",
            b"Admin!",
            b"s3cr3t",
            b"foobared",
            b"mysecretpassword1",
            b"My_Secret_Password!",
            b"SECRET_KEY",
            b"auth_pass",
            b"password-here",
        ],
    },
    "random_token": {
        True: [
            b"a8F3k2Zq9LmX4vB7",
            b"3f9a1c7e5b2d8064",
            b"46adacee-76f7-31c7-34e8-44b923494aa6",
            b"kLGJ/SAkiiDIeDU2bvLnvvQC",
            b"hRsODMzQnPdKtBsQ",  # one in twenty has no digit
            b"sk_9f86d081884c7d659a2feaa0c55ad015",
            b"amzn1.oa2-cs.v1.d2207eefaa1deb84b34a25325d59a992e1f4a35de241593e4e58a3ad0fc262b8",
            b"3f9a1c7e.5b2d8064",
            b"xk7wqzvbtrpj",
        ],
        False: [
            b"customer-invoice-2024",
            b"abcdefghijklmnop",
            b"1234567890123456",
            b"aaaa1111",
            b"getAuthorizationTokenV2",
            b"SyntaxKind.DotDotDotToken",
            b"diffbot/lib/policy2.js",
            b"HubspotV1DealUpdateParams",
            b"sk_1234567890123456789abc",
            b"v1.22.3-rc.1+exp.sha.5114f85",
            b"2.6.12-1deb12u3",
            b"authentication7",  # a word with a number
            b"hzkqwvbxtrpjmnwc",  # no turn between letters and digits
            b"hRsODMzQnPdKtBs",  # no digit, and short
            b"getRsodMzqnpdktbsq",  # too few capitals
            b"",
        ],
    },
    "basic_credentials": {
        True: [b"Y2k6N3NZZ213bGx5bkFmYXQ=", b"Y2k6N3NZZ213bGx5bkFmYXQ"],
        False: [
            b"dXNlcjpwYXNzd29yZA==",  # user:password
            b"authentication",
            b"Y2k6",
            b"",
        ],
    },
    "sql_fragment": {True: [b"' or 1=1--", b"1 and sleep(5)"], False: [b"it's fine", b"1 and 2", b""]},
    "has_digit": {True: [b"a1"], False: [b"ab", b""]},
    "has_letter": {True: [b"1a", b"A"], False: [b"12", b"\xc3\xa9"]},
    "has_lower": {True: [b"Aa"], False: [b"A1"]},
    "has_upper": {True: [b"aA"], False: [b"a1"]},
    "has_mixed_case": {True: [b"aB"], False: [b"ab", b"AB", b"12"]},
    "not_placeholder": {
        True: [b"hV7kQ2mZx9", b"correct horse battery", b"p@ssw0rd!", b"$2b$12$qJ3", b"a{2}b", b"12345670"],
        False: [
            b"changeme",
            b"change-it",
            b"your_api_key",
            b"my-secret",
            b"AKIAIOSFODNN7EXAMPLE",
            b"xxxxxxxx",
            b"sk_live_XXXXXXXXXXXX",
            b"********",
            b"<password>",
            b"${DB_PASSWORD}",
            b"prefix-${TOKEN}",
            b"$DB_PASSWORD",
            b"{{ vault.token }}",
            b"{token}",
            b"%(token)s",
            b"%TOKEN%",
            b"%s",
            b"[token]",
            b"#{token}",
            b"aaaaaaaaaa",
            b"abcabcabcabc",
            b"0123456789abcdef",
            b"token-12345678",
        ],
    },
}  # fmt: skip


def test_every_validator_has_cases() -> None:
    elsewhere = {*EUROPEAN_IDS, *NATIONAL_IDS, "payment_card"}
    assert set(CASES) == set(VALIDATORS) - elsewhere


@pytest.mark.parametrize(
    ("name", "expected", "secret"),
    [
        pytest.param(name, expected, secret, id=f"{name}-{secret!r}")
        for name, outcomes in CASES.items()
        for expected, secrets in outcomes.items()
        for secret in secrets
    ],
)
def test_validator(name: str, expected: bool, secret: bytes) -> None:
    assert find_validator(name)(secret) is expected


@pytest.mark.parametrize("name", [*VALIDATORS, *(f"{measure}>=2.5" for measure in MEASURES)])
@given(secret=st.binary(max_size=40))
def test_validators_take_any_bytes(name: str, secret: bytes) -> None:
    assert find_validator(name)(secret) in (True, False)


@pytest.mark.parametrize(
    ("secret", "bits"), [(b"", 0), (b"aaaa", 0), (b"abab", 1), (b"abcd", 2), (bytes(range(256)), 8)]
)
def test_entropy_in_bits_per_byte(secret: bytes, bits: float) -> None:
    assert math.isclose(entropy(secret), bits, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("name", "secret", "expected"),
    [
        ("entropy>=2", b"abcd", True),
        ("entropy>=2.1", b"abcd", False),
        ("distinct>=4", b"abcdabcd", True),
        ("distinct>=5", b"abcdabcd", False),
    ],
)
def test_a_measure_has_a_minimum(name: str, secret: bytes, expected: bool) -> None:
    assert find_validator(name)(secret) is expected


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("luhm", 'unknown validator "luhm" (did you mean "luhn"?)'),
        ("entropy", '"entropy" needs a minimum: write "entropy>=3.5"'),
        ("entropi>=3", 'unknown validator "entropi>=3" (did you mean "entropy>=N"?)'),
        ("luhn>=3", 'unknown validator "luhn>=3" (did you mean "luhn"?)'),
        ("entropy >= 3", 'unknown validator "entropy >= 3" (did you mean "entropy>=N"?)'),
    ],
)
def test_unknown_validator(name: str, problem: str) -> None:
    with pytest.raises(RuleFault) as caught:
        find_validator(name)
    assert (caught.value.key, caught.value.problem) == ("validator", problem)
