"""What MariaDB does otherwise unless it is told: texts, bytes, times and what is too long."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest
from audit_records import FINDING, NOON, make_record
from sqlalchemy import insert, text
from sqlalchemy.exc import DataError
from support.trail import Trail

from icapd.audit import database, export
from icapd.audit.database import Database
from icapd.audit.search import Filters, search
from icapd.audit.stats import stats
from icapd.audit.tables import audit_dead_letter
from icapd.errors import AuditError

pytestmark = pytest.mark.mariadb

ALIKE = ["bob", "Bob", "bób", "bob ", "bob\t", "\U0001f600", "\U0001f601", "ﬀ", "ff"]


@pytest.fixture
def trail(mariadb_url: str, tmp_path: Path) -> Trail:
    return Trail.make(tmp_path, mariadb_url)


def test_texts_are_equal_only_byte_by_byte(trail: Trail) -> None:
    records = [make_record(client_user=name, occurred_at=NOON + number) for number, name in enumerate(ALIKE)]
    trail.write(*records)
    trail.ship()
    for record in records:
        assert list(search(trail.url, Filters(user=record.client_user))) == [record]


def test_times_keep_their_microseconds_and_are_utc(trail: Trail) -> None:
    records = [make_record(occurred_at=NOON + number) for number in (0, 1, 999_999)]
    trail.write(*records)
    assert trail.records() == records[::-1]
    moments = trail.rows("SELECT cast(occurred_at AS char) FROM audit_event ORDER BY 1")
    assert moments[1] == ("2026-05-17 10:00:00.000001",)
    ((age,),) = trail.rows(
        "SELECT max(abs(timestampdiff(MINUTE, recorded_at, utc_timestamp))) FROM audit_event"
    )
    assert age < 10


def test_bytes_come_back_whole(trail: Trail) -> None:
    """A chain may end in zero bytes or blanks, which BINARY pads with and CHAR takes off."""
    trail.write(make_record())
    trail.ship()
    for chain in (bytes(32), b" " * 32, bytes(range(224, 256))):
        with Database.parse(trail.url).write() as connection:
            connection.execute(text("UPDATE audit_event SET chain = :chain"), {"chain": chain})
        assert trail.rows("SELECT chain FROM audit_event") == [(chain,)]


def test_questions_about_all_rows_may_take_their_time(
    trail: Trail, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trail.write(make_record())
    trail.ship()
    for name in ("read_timeout", "write_timeout"):
        monkeypatch.setitem(database._SERVERS["mariadb"][2], name, 0.2)
    questions: dict[str, Callable[[], object]] = {
        "search": lambda: list(search(trail.url, Filters())),
        "stats": lambda: stats(trail.url, None, Filters()),
        "count": lambda: export.count(trail.url, Filters()),
        "export": lambda: list(export.export(trail.url, Filters(), "jsonl", io.BytesIO())),
        "verify": lambda: trail.verify().faults,
    }
    with ThreadPoolExecutor(len(questions)) as pool:
        with Database.parse(trail.url).read(waits=True) as connection:
            connection.execute(text("LOCK TABLES audit_event WRITE"))
            answers = {name: pool.submit(question) for name, question in questions.items()}
            done, _ = wait(answers.values(), timeout=1)
            assert not done
        assert {name: answer.exception() for name, answer in answers.items()} == dict.fromkeys(questions)


def test_what_is_too_long_is_refused_and_never_cut(trail: Trail) -> None:
    """Though the tests' server has no strict mode of its own."""
    assert trail.rows("SELECT @@global.sql_mode") == [("",)]
    with Database.parse(trail.url).connect() as connection:
        for table, column in (("audit_event", "host"), ("audit_finding", "rule_id")):
            trail.write(make_record(findings=(FINDING,)))
            trail.ship()
            with pytest.raises(DataError, match="too long"):
                connection.execute(text(f"UPDATE {table} SET {column} = repeat('x', 300)"))
            connection.rollback()


def test_texts_of_any_length_have_room(trail: Trail) -> None:
    """MariaDB's own TEXT ends at 64 KiB."""
    long = "x" * 1_000_000
    with trail.writer() as writer:
        writer.note("policy-taken", {"before": long, "after": ""})
        writer.write_all([("open", replace(make_record(), path=long))])
    trail.ship()
    assert trail.rows("SELECT length(detail) > 1000000 FROM audit_admin WHERE action = 'policy-taken'") == [
        (1,)
    ]
    with Database.parse(trail.url).write() as connection:
        connection.execute(
            insert(audit_dead_letter).values(
                writer_id=1,
                occurred_at=NOON,
                writer_seq=1,
                kind="event",
                body=long,
                chain=bytes(32),
                problem="why",
                failed_at=NOON,
            )
        )
    assert trail.rows("SELECT length(body) FROM audit_dead_letter") == [(len(long),)]


def test_a_server_that_says_nothing_is_given_up_but_not_one_that_changes_large_tables(
    mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(database._SERVERS["mariadb"][2], "read_timeout", 0.2)
    known = Database.parse(mariadb_url)
    with pytest.raises(AuditError, match=r"icapd_test.*timed out"), known.write() as connection:
        connection.execute(text("SELECT sleep(0.5)"))
    with known.write(waits=True) as connection:
        assert connection.execute(text("SELECT sleep(0.5)")).scalar() == 0
