"""Points in time: integers of microseconds since 1970-01-01 UTC inside, text and datetimes at the edges.

Integers, because a record's time is part of its key and of what is compared: no zone, no rounding, no float.
"""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: The last instant that a datetime, and so any of the databases, can hold.
LATEST = (datetime.max - _EPOCH) // _MICROSECOND

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
#: More digits than any sensible duration; also keeps int() from being given a book.
_MOST_DIGITS = 9


def to_datetime(instant: int) -> datetime:
    """The instant as an aware datetime in UTC."""
    return _EPOCH_UTC + timedelta(microseconds=instant)


def from_datetime(moment: datetime) -> int:
    """The instant of a datetime; one without a zone is taken as UTC."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH_UTC) // _MICROSECOND


def iso(instant: int) -> str:
    """ISO 8601 with microseconds and Z, as in the JSON of audit records."""
    return (_EPOCH + timedelta(microseconds=instant)).isoformat(timespec="microseconds") + "Z"


def sqlite_text(instant: int) -> str:
    """UTC as SQLAlchemy writes it to SQLite: sorts as time does, and compares with datetime('now')."""
    return (_EPOCH + timedelta(microseconds=instant)).isoformat(" ", "microseconds")


def parse(text: str, now: int) -> int:
    """The instant that a person means: `10m`, `2h`, `7d` before `now`, or an ISO 8601 date or time.

    The latter is in UTC unless it says otherwise. Raises ValueError, which says what could have been written.
    """
    count, unit = text[:-1], text[-1:]
    if unit in _SECONDS and count.isascii() and count.isdecimal() and len(count) <= _MOST_DIGITS:
        return max(0, now - int(count) * _SECONDS[unit] * 1_000_000)
    try:
        instant = from_datetime(datetime.fromisoformat(text))
    except ValueError:
        units = ", ".join(_SECONDS)
        raise ValueError(
            f"{text!r} is no time; write a duration such as 10m (units: {units}) or a date or time such as"
            " 2026-05-17 or 2026-05-17T09:30:00Z"
        ) from None
    return min(max(0, instant), LATEST)
