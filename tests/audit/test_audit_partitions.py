"""Partitions in PostgreSQL: made ahead and once, wherever rows are, and nothing is lost on the way."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from audit_records import FINDING, NOON, make_record
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from support.trail import Trail

from icapd.audit import instants, migrations, partitions
from icapd.audit.database import Database
from icapd.audit.partitions import Period, Span
from icapd.errors import AuditBusyError

NOW = datetime(2026, 5, 17, 10, tzinfo=UTC)


def day(month: int, number: int, year: int = 2026) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "now", "bounds"),
    [
        pytest.param("month", NOW, [day(5, 1), day(6, 1), day(7, 1), day(8, 1)], id="months"),
        pytest.param(
            "month",
            datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC),
            [day(11, 1), day(12, 1), day(1, 1, 2027), day(2, 1, 2027)],
            id="months-into-the-next-year",
        ),
        pytest.param(
            "month",
            datetime.fromisoformat("2026-06-01T01:00:00+02:00"),
            [day(5, 1), day(6, 1), day(7, 1), day(8, 1)],
            id="months-of-utc",
        ),
        pytest.param(
            "day", day(5, 26), [day(5, n) for n in range(26, 32)] + [day(6, n) for n in (1, 2, 3)], id="days"
        ),
    ],
)
def test_what_is_made_ahead_goes_on_without_a_hole(
    period: Period, now: datetime, bounds: list[datetime]
) -> None:
    assert partitions.ahead(period, now) == list(itertools.pairwise(bounds))


HOURS = st.integers(0, 60).map(lambda hours: NOW + timedelta(hours=hours))
SPANS = st.tuples(HOURS, HOURS).filter(lambda span: span[0] < span[1])


@given(SPANS, st.lists(SPANS, max_size=6))
def test_pieces_are_just_what_is_not_covered(wanted: Span, taken: list[Span]) -> None:
    pieces = list(partitions.uncovered(wanted, taken))

    def holds(spans: list[Span], moment: datetime) -> bool:
        return any(since <= moment < until for since, until in spans)

    for hour in range(61):
        moment = NOW + timedelta(hours=hour)
        assert holds(pieces, moment) == (holds([wanted], moment) and not holds(taken, moment))
    assert all(since < until for since, until in pieces)


pg = pytest.mark.postgresql


@pytest.fixture
def trail(postgresql_url: str, tmp_path: Path) -> Trail:
    return Trail.make(tmp_path, postgresql_url)


@pytest.fixture
def database(trail: Trail) -> Database:
    return Database.parse(trail.url)


def at(moment: datetime) -> int:
    return instants.from_datetime(moment)


def spread(trail: Trail, *moments: datetime) -> None:
    """A record with two findings at each."""
    with trail.writer() as writer:
        for moment in moments:
            writer.write(make_record(occurred_at=at(moment), findings=(FINDING, FINDING)))
    trail.ship()


def places(trail: Trail, table: str = "audit_event") -> dict[str, int]:
    """How many rows each partition holds, of those that hold any."""
    return dict(trail.rows(f"SELECT tableoid::regclass::text, count(*) FROM {table} GROUP BY 1 ORDER BY 1"))


def everything(trail: Trail) -> list[list[tuple[object, ...]]]:
    return [trail.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4") for table in partitions.TABLES]


def migrate(trail: Trail, how: Callable[..., None], revision: str) -> None:
    with migrations.locked(Database.parse(trail.url)) as config:
        how(config, revision)


@pg
def test_rows_that_exist_move_to_partitions_and_back(trail: Trail) -> None:
    spread(trail, NOW, NOW + timedelta(days=40), day(1, 1, 1970), day(1, 1, 2999))
    with Database.parse(trail.url).write() as connection:
        connection.execute(text("CREATE INDEX site_type ON audit_event (content_type)"))
    before = everything(trail)
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'audit_event' ORDER BY 1"
    names = trail.rows(indexes)
    migrate(trail, command.downgrade, "0003")
    assert everything(trail) == before
    assert places(trail) == {"audit_event": 4}
    assert trail.rows("SELECT count(*) FROM pg_partitioned_table") == [(0,)]
    assert trail.rows(indexes) == names
    migrate(trail, command.upgrade, "head")
    assert everything(trail) == before
    assert places(trail) == {
        "audit_event_default": 1,
        "audit_event_p19700101": 1,
        "audit_event_p20260501": 1,
        "audit_event_p20260601": 1,
    }
    assert places(trail, "audit_finding")["audit_finding_p20260501"] == 2
    assert trail.rows(indexes) == names
    migrations.check(trail.url)


@pg
def test_partitions_are_made_once_and_take_what_comes(trail: Trail, database: Database) -> None:
    made = partitions.make(database, "month", NOW)
    assert made == [f"{table}_p2026{month}01" for table in partitions.TABLES for month in ("05", "06", "07")]
    assert partitions.make(database, "month", NOW) == []
    assert partitions.make(database, "month", day(6, 1)) == [
        f"{table}_p20260801" for table in partitions.TABLES
    ]
    spread(trail, NOW, day(6, 1) - timedelta(microseconds=1), day(6, 1), day(8, 31))
    assert places(trail) == {
        "audit_event_p20260501": 2,
        "audit_event_p20260601": 1,
        "audit_event_p20260801": 1,
    }
    assert places(trail, "audit_finding") == {
        "audit_finding_p20260501": 4,
        "audit_finding_p20260601": 2,
        "audit_finding_p20260801": 2,
    }
    migrations.check(trail.url)


@pg
def test_another_period_leaves_neither_holes_nor_overlaps(trail: Trail, database: Database) -> None:
    partitions.make(database, "day", day(5, 28))
    # Days to June 4th are there: the rest of June is one partition.
    made = partitions.make(database, "month", day(5, 28))
    of_events = [name for name in made if name.startswith("audit_event_")]
    assert of_events == ["audit_event_p20260501", "audit_event_p20260605", "audit_event_p20260701"]
    assert partitions.make(database, "day", day(7, 28)) == [
        f"{table}_p2026080{number}" for table in partitions.TABLES for number in (1, 2, 3, 4)
    ]
    spread(trail, *(day(5, 1) + timedelta(days=number) for number in range(95)))
    assert "audit_event_default" not in places(trail)
    assert sum(places(trail).values()) == 95


@pg
def test_a_clock_that_is_far_off_costs_no_row_and_is_told_of(trail: Trail, database: Database) -> None:
    partitions.make(database, "month", NOW)
    assert partitions.problem(database) == ""
    off = [day(1, 1, 1970), day(3, 3, 2031), day(3, 4, 2031), day(12, 31, 9998)]
    spread(trail, NOW, *off)
    assert places(trail) == {"audit_event_default": 4, "audit_event_p20260501": 1}
    problem = partitions.problem(database)
    assert "audit_event_default holds 4 rows of 1970-01-01 to 9998-12-31" in problem
    assert "audit_finding_default holds 8 rows" in problem
    before = everything(trail)
    made = partitions.make(database, "month", NOW, for_strays=True)
    assert {"audit_event_p19700101", "audit_event_p20310301", "audit_event_p99981201"} < set(made)
    assert partitions.problem(database) == ""
    assert everything(trail) == before
    assert "audit_event_default" not in places(trail)


@pg
def test_rows_that_came_before_their_partition_move_into_it(trail: Trail, database: Database) -> None:
    spread(trail, NOW, NOW, day(6, 30), day(8, 1))
    assert places(trail) == {"audit_event_default": 4}
    partitions.make(database, "month", NOW)
    assert places(trail) == {"audit_event_default": 1, "audit_event_p20260501": 2, "audit_event_p20260601": 1}
    assert "audit_event_default holds 1 rows of 2026-08-01" in partitions.problem(database)


@pg
def test_many_strays_are_not_all_counted(
    trail: Trail, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "MOST", 3)
    spread(trail, *[NOW] * 5)
    assert "audit_event_default holds 3 or more rows" in partitions.problem(database)


@pg
def test_three_who_make_them_at_once_while_rows_come_make_them_once(trail: Trail, database: Database) -> None:
    done = threading.Event()

    def write() -> None:
        with trail.writer() as writer:
            while not done.is_set():
                for number in range(20):
                    writer.write(make_record(occurred_at=NOON + number * 86_400_000_000, findings=(FINDING,)))
                trail.ship()

    with ThreadPoolExecutor(4) as pool:
        writing = pool.submit(write)
        made = [
            name
            for names in pool.map(lambda _: partitions.make(database, "day", NOW), range(3))
            for name in names
        ]
        done.set()
        writing.result()
    trail.ship()
    assert len(made) == len(set(made)) == 8 * len(partitions.TABLES)
    ((rows, numbers),) = trail.rows("SELECT count(*), count(DISTINCT writer_seq) FROM audit_event")
    assert rows == numbers > 0
    assert trail.rows("SELECT count(*) FROM audit_finding") == [(rows,)]
    assert trail.rows("SELECT count(*) FROM audit_dead_letter") == [(0,)]


@pg
def test_a_reader_who_takes_long_is_not_waited_for(
    trail: Trail, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "_LOCK_TIMEOUT", "0.05")
    with database.read() as connection:
        connection.execute(text("SELECT count(*) FROM audit_event"))
        with pytest.raises(AuditBusyError, match="can't make partitions of audit_event: others use"):
            partitions.make(database, "month", NOW)
    assert len(partitions.make(database, "month", NOW)) == 12


@pg
def test_a_table_without_any_gets_them(trail: Trail, database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("DROP TABLE audit_event_default"))
    assert partitions.make(database, "month", NOW)[0] == "audit_event_p20260501"
    spread(trail, NOW)
    assert places(trail) == {"audit_event_p20260501": 1}


@pg
def test_a_site_s_own_partitions_are_left_as_they_are(trail: Trail, database: Database) -> None:
    bounds = "FOR VALUES FROM (MINVALUE) TO ('2026-05-10 00:00+00')"
    with database.write() as connection:
        for table in partitions.TABLES:
            connection.execute(
                text(f"CREATE TABLE {table}_old PARTITION OF {table} {bounds}".replace(":", r"\:"))
            )
    assert partitions.make(database, "month", NOW)[:2] == ["audit_event_p20260510", "audit_event_p20260601"]
    spread(trail, day(1, 1, 1970), day(5, 9), day(5, 10))
    assert places(trail) == {"audit_event_old": 2, "audit_event_p20260510": 1}


def test_other_databases_have_none(tmp_path: Path) -> None:
    database = Database.parse(Trail.make(tmp_path).url)
    assert partitions.make(database, "day", NOW) == []
    assert partitions.partitions(database) == []
    assert partitions.problem(database) == ""
