"""Purge by class: what may go goes, what went is proved, what proves nothing stays."""

from itertools import islice
from pathlib import Path

import pytest
from audit_records import NOON
from retaining import AFTER_ALL, AFTER_RECORDS, EACH, Kept, records
from support.trail import Trail

from icapd.audit.evidence.faults import PURGED
from icapd.audit.retention import batches
from icapd.audit.retention import purge as purging
from icapd.audit.retention.classes import Cutoffs
from icapd.audit.retention.purge import Outcome


@pytest.fixture
def kept(empty_url: str, tmp_path: Path) -> Kept:
    return Kept(Trail.make(tmp_path, empty_url))


@pytest.fixture
def in_sqlite(tmp_path: Path) -> Kept:
    return Kept(Trail.make(tmp_path))


def test_what_is_allowed_goes_first_and_the_rest_is_proved(kept: Kept) -> None:
    kept.write(100)
    outcome = kept.purge(allowed=AFTER_RECORDS)
    assert (outcome.rows, outcome.refused, kept.count()) == (90, 0, 10)
    assert kept.stretches() == [(2 + ten * EACH, 10 + ten * EACH) for ten in range(10)]
    report = kept.trail.verify()
    assert (report.faults, report.rows, report.purged, report.purges) == ([], 12, 90, 10)
    assert report.exit_code(strict=True) == PURGED


def test_stretches_that_meet_become_one(kept: Kept) -> None:
    kept.write(100)
    kept.purge(allowed=NOON + 50 * 1000)
    kept.purge(allowed=AFTER_RECORDS)
    kept.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS)
    assert (kept.stretches(), kept.count(), kept.count("audit_finding")) == ([(2, 101)], 0, 0)
    report = kept.trail.verify()
    assert (report.faults, report.purged) == ([], 100)


def test_a_writer_of_which_nothing_is_left_goes_whole(kept: Kept) -> None:
    kept.write(30)
    kept.write(5, at=AFTER_RECORDS)
    outcome = kept.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS, admin=AFTER_ALL)
    assert outcome.rows == 32
    assert [kept.count(f"audit_{name}") for name in ("writer", "shipment", "admin")] == [1, 1, 2]
    report = kept.trail.verify()
    assert (report.faults, report.writers, report.purged, report.silent) == ([], 2, 32, 0)
    assert report.exit_code(strict=True) == PURGED
    kept.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    assert (kept.count("audit_writer"), kept.count("audit_checkpoint")) == (0, 0)
    assert sorted(kept.stretches()) == [(1, 7), (1, 32)]
    assert kept.trail.verify().faults == []


def test_a_writer_that_lives_goes_on_behind_what_was_purged(kept: Kept) -> None:
    with kept.trail.writer() as writer:
        for _ in range(3):
            writer.write_all(("final", record) for record in records(10))
            kept.trail.ship()
            kept.purge(allowed=AFTER_ALL, found=AFTER_ALL)
            report = kept.trail.verify()
            assert (report.faults, report.rows) == ([], 1)
    kept.trail.ship()
    assert (kept.trail.verify().faults, kept.stretches()) == ([], [(2, 31)])


def test_it_goes_on_after_it_was_killed_at_any_step(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "ROWS", 7)
    kept.write(60)
    steps = 0
    while kept.count():
        # Each run dies after its first step, and no time is left for tidying up.
        step = purging.purge(kept.database, kept.keys, Cutoffs(AFTER_RECORDS, AFTER_RECORDS), Outcome())
        list(islice(step, 1))
        step.close()
        steps += 1
        report = kept.trail.verify()
        assert (report.faults, report.rows + report.purged) == ([], 62)
    assert steps > 5
    assert kept.stretches() == [(2, 61)]


def test_rows_of_an_icapd_without_chains_go_without_a_statement(in_sqlite: Kept) -> None:
    in_sqlite.write(10)
    with in_sqlite.database.write() as connection:
        for table in ("audit_event", "audit_admin"):
            connection.exec_driver_sql(f"UPDATE {table} SET chain = NULL")
        for table in ("audit_shipment", "audit_checkpoint"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    assert in_sqlite.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS).rows == 10
    report = in_sqlite.trail.verify()
    assert (report.faults, report.unchained, report.purged) == ([], 2, 0)
    in_sqlite.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    assert (in_sqlite.count("audit_writer"), in_sqlite.stretches()) == (0, [])
    assert in_sqlite.trail.verify().writers == 0


@pytest.mark.parametrize("when", ["'2026-05-17 1?'", "x'00'", "'six'"])
def test_a_row_whose_time_is_none_stays_and_holds_nothing_up(in_sqlite: Kept, when: str) -> None:
    in_sqlite.write(20)
    with in_sqlite.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE audit_event SET occurred_at = {when} WHERE writer_seq = 5")
    assert in_sqlite.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS).rows == 19
    assert [fault.writer_seq for fault in in_sqlite.trail.verify().faults] == [5]
