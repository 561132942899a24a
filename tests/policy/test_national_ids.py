"""Numbers of people: samples of the standards and authorities hold, and hardly anything else does."""

import random
import string

import pytest

from icapd.policy.national_ids import NATIONAL_IDS
from icapd.policy.national_ids_europe import EUROPEAN_IDS
from icapd.policy.validators import VALIDATORS

SAMPLES = {
    "at_social_number": ["1237 010180"],
    "au_medicare": ["2123 45670 1"],
    "au_tfn": ["123 456 782"],
    "be_national_number": ["85.07.30-033-28", "17.07.30-033-84"],
    "br_cnpj": ["11.222.333/0001-81"],
    "br_cpf": ["529.982.247-25", "111.444.777-35"],
    "ca_sin": ["130 692 544"],
    "ch_ahv": ["756.9217.0769.85", "756.1234.5678.97"],
    "cl_rut": ["12.345.678-5", "6.265.837-1", "10.000.013-K"],
    "cn_resident_id": ["11010519491231002X"],
    "de_document_number": ["T220001293", "L01X00T471"],
    "de_tax_id": ["86095742719", "47036892816"],
    "dk_cpr": ["211062-5629"],
    "es_dni": ["12345678Z", "X1234567L", "Y7654321G"],
    "fi_hetu": ["131052-308T", "010594Y9032"],
    "fr_nir": ["2 55 08 14 168 025 38", "1 51 02 46 102 043 25"],
    "in_aadhaar": ["2341 2341 2346"],
    "it_codice_fiscale": ["RSSMRA85T10A562S", "MRTMTT25D09F205Z"],
    "jp_my_number": ["123456789018"],
    "kr_rrn": ["900101-1234568", "210101-3000000"],
    "mrz": [
        "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
        "D231458907UTO7408122F1204159<<<<<<<6",
        "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6",
    ],
    "mx_curp": ["HEGG560427MVZRRL04"],
    "nl_bsn": ["111222333", "123456782"],
    "no_birth_number": ["15076500565"],
    "pl_pesel": ["44051401359", "02070803628"],
    "pt_nif": ["123456789"],
    "se_personal_number": ["811228-9874", "19811228-9874"],
    "tr_tckn": ["10000000146"],
    "uk_nhs_number": ["943 476 5919"],
    "uk_nino": ["QQ123456C".replace("QQ", "AB"), "JG 10 37 59 A"],
    "us_itin": ["912-70-1234"],
    "us_ssn": ["536-90-4399"],
    "za_id": ["8001015009087"],
}
#: Where nothing checks the others, a change of a digit goes unnoticed.
WITHOUT_CHECK = {"dk_cpr", "uk_nino", "us_itin", "us_ssn", "kr_rrn"}


def test_every_number_has_samples() -> None:
    assert set(SAMPLES) == {*EUROPEAN_IDS, *NATIONAL_IDS}


@pytest.mark.parametrize(("name", "number"), [(name, n) for name, all_ in SAMPLES.items() for n in all_])
def test_samples_hold(name: str, number: str) -> None:
    assert VALIDATORS[name](number.encode())


@pytest.mark.parametrize(("name", "number"), [(name, n) for name, all_ in SAMPLES.items() for n in all_])
def test_one_wrong_digit_is_noticed(name: str, number: str) -> None:
    if name in WITHOUT_CHECK:
        pytest.skip("has no check digit that is always kept to")
    wrong = [
        number[:at] + digit + number[at + 1 :]
        for at, old in enumerate(number)
        if old.isdigit()
        for digit in string.digits
        if digit != old
    ]
    unnoticed = [other for other in wrong if VALIDATORS[name](other.encode())]
    # Under modulus 10 a weight of 2 or 5 lets some slip.
    assert len(unnoticed) <= len(wrong) / 6, unnoticed


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_hostile_bytes_are_refused_without_an_error(name: str) -> None:
    draw = random.Random(name)
    alphabet = b"0123456789ABCXYZ<-. /\n\x00\xff\xe9"
    validator = VALIDATORS[name]
    for length in range(60):
        validator(bytes(draw.choices(alphabet, k=length)))
        assert not validator(b"0" * length)
        assert not validator(b"\xff" * length)


@pytest.mark.parametrize(
    "number",
    ["078-05-1120", "123-45-6789", "000-12-3456", "666-12-3456", "900-12-3456", "536-00-4399", "536-90-0000"],
)
def test_numbers_that_nobody_has(number: str) -> None:
    assert not VALIDATORS["us_ssn"](number.encode())
