"""Whatever is on the wire, its record can be stored."""

from dataclasses import fields

import pytest
from audit_records import FINDING, NOON, make_record
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Integer, String

from icapd.audit import AuditRecord, FindingRecord
from icapd.audit.storable import fit_text, storable
from icapd.audit.tables import audit_event, audit_finding

MiB = 1024 * 1024

# Hypothesis leaves surrogates out unless asked.
ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text("\0\ud800\udc00a", max_size=600)
ANY_NUMBER = st.integers() | st.none()


def test_a_record_that_fits_is_left_alone() -> None:
    record = make_record(findings=(FINDING,))
    assert storable(record) is record


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        pytest.param("plain", 5, "plain", id="ascii-of-just-the-limit"),
        pytest.param("plainer", 5, "plai…", id="cut"),
        pytest.param("a\0b", 5, "a\ufffdb", id="nul"),
        pytest.param("a\ud800b", 5, "a\ufffdb", id="lone-high-surrogate"),
        pytest.param("a\udcffb", 5, "a\ufffdb", id="undecodable-byte"),
        pytest.param("\U0001f600" * 5, 5, "\U0001f600" * 5, id="characters-not-bytes-count"),
        pytest.param("bücher", 6, "bücher", id="beyond-ascii"),
        pytest.param("x" * MiB, 5, "xxxx…", id="a-mebibyte"),
        pytest.param("", 5, "", id="empty"),
    ],
)
def test_a_text_becomes_storable(text: str, limit: int, expected: str) -> None:
    assert fit_text(text, limit) == expected


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        pytest.param("port", 2**70, 2**31 - 1, id="huge-port"),
        pytest.param("port", -1, 0, id="negative-port"),
        pytest.param("request_bytes", 2**70, 2**63 - 1, id="huge-size"),
        pytest.param("request_bytes", 5 * 2**32, 5 * 2**32, id="size-of-20-gib"),
        pytest.param("http_status", None, None, id="absent"),
    ],
)
def test_a_number_is_kept_within_its_column(field: str, value: int | None, expected: int | None) -> None:
    assert getattr(storable(make_record(**{field: value})), field) == expected


FINDINGS = st.builds(FindingRecord, *[ANY_TEXT] * len(fields(FindingRecord)))
RECORDS = st.builds(
    AuditRecord,
    occurred_at=st.just(NOON),
    findings=st.lists(FINDINGS, max_size=3).map(tuple),
    **{
        column.name: ANY_TEXT if isinstance(column.type, String) else ANY_NUMBER
        for column in audit_event.c
        if column.name in AuditRecord.__slots__ and column.name != "occurred_at"
    },
)


@given(RECORDS)
def test_any_record_becomes_storable_and_then_stays_as_it_is(record: AuditRecord) -> None:
    fitted = storable(record)
    assert storable(fitted) == fitted
    rows = [(fitted, audit_event), *((finding, audit_finding) for finding in fitted.findings)]
    assert len(fitted.findings) == len(record.findings)
    for row, table in rows:
        for column in table.c:
            value = getattr(row, column.name, None)
            match column.type:
                case String(length=int(limit)) if value is not None:
                    assert len(value) <= limit
                    assert "\0" not in value
                    value.encode()
                case BigInteger() if value is not None:
                    assert 0 <= value < 2**63
                case Integer() if value is not None:
                    assert 0 <= value < 2**31
