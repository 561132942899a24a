"""Card numbers by issuer and length, bank accounts by country."""

import pytest

from icapd.policy.payment import iban, payment_card

# The test numbers that the schemes and their processors publish.
CARDS = """4111111111111111 4012888888881881 4222222222222 5555555555554444 5105105105105100 2223003122003222
    378282246310005 371449635398431 6011111111111117 30569309025904 38520000023237 3530111333300000
    6200000000000005 6759649826438453 4111-1111-1111-1111 3782 822463 10005""".split()


@pytest.mark.parametrize("number", [*CARDS[:-3], "3782 822463 10005"])
def test_card(number: str) -> None:
    assert payment_card(number.encode())


@pytest.mark.parametrize(
    "number",
    [
        pytest.param("4111111111111112", id="check-digit"),
        pytest.param("41111111111111113", id="length-of-no-visa"),
        pytest.param("1234567812345670", id="no-issuer"),
        pytest.param("9111111111111110", id="no-issuer-either"),
        pytest.param("0000000000000000", id="zeros"),
        pytest.param("4444444444444444", id="one-digit-repeated"),
        pytest.param("2721000000000004", id="beyond-mastercard"),
        pytest.param("", id="nothing"),
        pytest.param("\xff411111111111111", id="no-digit"),
    ],
)
def test_no_card(number: str) -> None:
    assert not payment_card(number.encode("latin-1"))


@pytest.mark.parametrize(
    ("number", "right"),
    [
        ("DE89 3704 0044 0532 0130 00", True),
        ("GB82WEST12345698765432", True),
        ("NO9386011117947", True),
        ("MT84MALT011000012345MTLCAST001S", True),
        ("fr1420041010050500013m02606", True),
        ("DE89 3704 0044 0532 0130 01", False),
        ("GB82WEST123456987654320", False),
        ("ZZ82WEST12345698765432", False),
        ("DE", False),
        ("", False),
    ],
)
def test_iban(number: str, right: bool) -> None:
    assert iban(number.encode()) is right
