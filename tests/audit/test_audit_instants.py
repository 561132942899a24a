"""Points in time, as people write them and as they are stored."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.audit import instants

NOW = 1_779_012_000_000_000  # 2026-05-17T10:00:00Z
SECOND = 1_000_000

INSTANTS = st.integers(0, instants.LATEST)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("45s", NOW - 45 * SECOND, id="seconds"),
        pytest.param("10m", NOW - 600 * SECOND, id="minutes"),
        pytest.param("2h", NOW - 7_200 * SECOND, id="hours"),
        pytest.param("7d", NOW - 604_800 * SECOND, id="days"),
        pytest.param("1w", NOW - 604_800 * SECOND, id="weeks"),
        pytest.param("0s", NOW, id="now"),
        pytest.param("999999999w", 0, id="longer-ago-than-time-began"),
        pytest.param("2026-05-17T10:00:00Z", NOW, id="iso-z"),
        pytest.param("2026-05-17T12:00:00+02:00", NOW, id="iso-offset"),
        pytest.param("2026-05-17T10:00:00.000001", NOW + 1, id="iso-without-zone-is-utc"),
        pytest.param("2026-05-17 10:00", NOW, id="iso-with-a-space"),
        pytest.param("2026-05-17", NOW - 36_000 * SECOND, id="date"),
        pytest.param("0001-01-01", 0, id="before-the-epoch"),
        pytest.param("9999-12-31T23:59:59-14:00", instants.LATEST, id="after-the-last-datetime"),
    ],
)
def test_a_time_that_a_person_writes(text: str, expected: int) -> None:
    assert instants.parse(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    ["", "m", "10", "10x", "-5m", "1.5h", "\N{ARABIC-INDIC DIGIT ONE}m", "1" * 5000 + "m", "yesterday"],
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time; write a duration such as 10m .* 2026-05-17"):
        instants.parse(text, NOW)


@given(st.text() | st.integers().map(lambda n: f"{n}d") | st.datetimes().map(str))
def test_any_text_is_refused_or_an_instant_that_can_be_stored(text: str) -> None:
    try:
        instant = instants.parse(text, NOW)
    except ValueError:
        return
    assert instants.from_datetime(instants.to_datetime(instant)) == instant


@given(INSTANTS)
def test_an_instant_survives_datetime_and_both_texts(instant: int) -> None:
    assert instants.from_datetime(instants.to_datetime(instant)) == instant
    assert instants.parse(instants.iso(instant), NOW) == instant
    assert instants.parse(instants.sqlite_text(instant), NOW) == instant


@given(INSTANTS, INSTANTS)
def test_stored_text_sorts_as_time_does(one: int, other: int) -> None:
    assert (instants.sqlite_text(one) < instants.sqlite_text(other)) == (one < other)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=2)), None], ids=["utc", "east", "none"])
def test_a_datetime_s_own_zone_counts(zone: timezone | None) -> None:
    offset = zone.utcoffset(None) if zone else timedelta(0)
    moment = datetime(2026, 5, 17, 10, tzinfo=zone) + (offset or timedelta(0))
    assert instants.from_datetime(moment) == NOW
