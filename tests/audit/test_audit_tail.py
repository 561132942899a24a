"""What is new in the audit tables: told by number, whatever its time."""

from pathlib import Path

import pytest
from audit_records import FINDING, NOON, make_record
from support.trail import Trail

from icapd.audit import AuditRecord
from icapd.audit.search import Filters
from icapd.audit.tail import Tail

DAY = 86_400_000_000


@pytest.fixture
def trail(empty_url: str, tmp_path: Path) -> Trail:
    return Trail.make(tmp_path, empty_url)


def look(tail: Tail) -> list[AuditRecord]:
    return [event.record for event in tail.look()]


def test_each_record_is_told_once_when_it_comes(trail: Trail) -> None:
    first, second, third = make_record(), make_record(findings=(FINDING, FINDING)), make_record()
    with trail.writer() as one, trail.writer() as another:
        one.write(first)
        trail.ship()
        tail = Tail(trail.url, Filters())
        assert look(tail) == []
        one.write(second)
        another.note("policy-taken", {})
        trail.ship()
        assert look(tail) == [second]
        assert look(tail) == []
        another.write(third)
        trail.ship()
        assert look(tail) == [third]


def test_filters_hold(trail: Trail) -> None:
    tail = Tail(trail.url, Filters(user="bob", severity="high"))
    wanted = make_record(client_user="bob", findings=(FINDING,))
    trail.write(make_record(findings=(FINDING,)), make_record(client_user="bob"), wanted)
    trail.ship()
    assert look(tail) == [wanted]


@pytest.mark.parametrize("age", [0, DAY, 400 * DAY], ids=["now", "a day", "a year"])
def test_a_message_that_took_long_is_told_when_it_comes(trail: Trail, age: int) -> None:
    with trail.writer() as writer:
        writer.write(make_record())
        trail.ship()
        tail = Tail(trail.url, Filters())
        late, newer = make_record(occurred_at=NOON - age), make_record(occurred_at=NOON + 1)
        writer.write(newer)
        writer.write(late)
        trail.ship()
        # In the order of time.
        assert look(tail) == [late, newer]


def test_since_still_holds_for_what_comes_late(trail: Trail) -> None:
    with trail.writer() as writer:
        writer.write(make_record())
        trail.ship()
        tail = Tail(trail.url, Filters(since=NOON))
        writer.write(make_record(occurred_at=NOON - DAY))
        writer.write(newer := make_record(occurred_at=NOON + 1))
        trail.ship()
        assert look(tail) == [newer]
