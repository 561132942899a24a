"""PostgreSQL: a partition of which nothing stays is dropped, any other is purged row by row."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import psycopg
import pytest
from audit_records import NOON, make_record
from retaining import AFTER_ALL, AFTER_RECORDS, DAY, Kept
from support.trail import Trail
from test_holds import Holding

from icapd.audit import partitions
from icapd.audit.retention import batches, whole_partitions
from icapd.audit.retention import purge as purging
from icapd.audit.retention.classes import Cutoffs
from icapd.audit.retention.purge import Outcome
from icapd.errors import AuditBusyError

pytestmark = pytest.mark.postgresql

MAY = datetime(2026, 5, 17, tzinfo=UTC)
#: Behind the partition of that month.
JUNE = NOON + 20 * DAY
EVENTS, FINDINGS = "audit_event_p20260501", "audit_finding_p20260501"


@pytest.fixture
def kept(postgresql_url: str, tmp_path: Path) -> Holding:
    kept = Holding(Trail.make(tmp_path, postgresql_url))
    partitions.make(kept.database, "month", MAY)
    kept.write(100)
    return kept


def names(kept: Kept) -> set[str]:
    return {one.name for one in partitions.partitions(kept.database)}


def test_a_partition_of_which_nothing_stays_is_dropped(kept: Holding) -> None:
    kept.write(10, at=NOON + 31 * DAY)
    outcome = kept.purge(allowed=JUNE, found=JUNE)
    assert (outcome.rows, outcome.partitions) == (100, [EVENTS, FINDINGS, "audit_shadow_p20260501"])
    assert names(kept) & {EVENTS, FINDINGS, "audit_event_p20260601"} == {"audit_event_p20260601"}
    assert kept.count() == 10
    report = kept.trail.verify()
    assert (report.faults, report.purged) == ([], 100)


def test_a_partition_with_rows_that_stay_is_purged_row_by_row(kept: Holding) -> None:
    outcome = kept.purge(allowed=JUNE, found=NOON)
    assert (outcome.rows, outcome.partitions) == (90, ["audit_shadow_p20260501"])
    assert (EVENTS in names(kept), kept.count()) == (True, 10)
    assert kept.purge(allowed=JUNE, found=JUNE).partitions == [EVENTS, FINDINGS]
    assert (kept.trail.verify().faults, kept.stretches()) == ([], [(2, 101)])


def test_a_partition_with_rows_that_are_held_is_purged_around_them(kept: Holding) -> None:
    hold = kept.hold(rule="credentials.demo-key", until=NOON + 50_000)
    assert kept.purge(allowed=JUNE, found=JUNE).rows == 95
    assert (EVENTS in names(kept), kept.count()) == (True, 5)
    assert kept.trail.verify().faults == []
    kept.release(hold.hold_id)
    assert EVENTS in kept.purge(allowed=JUNE, found=JUNE).partitions
    assert kept.trail.verify().faults == []


def test_a_partition_that_is_not_over_is_not_dropped(kept: Holding) -> None:
    assert kept.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS).rows == 100
    assert {EVENTS, FINDINGS} <= names(kept)


def test_administrative_rows_are_dropped_with_their_writers(kept: Holding) -> None:
    outcome = kept.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    assert EVENTS in outcome.partitions
    assert kept.count("audit_admin") == 0
    assert kept.stretches() == [(1, 102)]
    assert kept.trail.verify().faults == []


def test_killed_before_the_drop_it_goes_on(kept: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "ROWS", 30)
    for steps in (1, 2, 3):
        step = purging.purge(kept.database, kept.keys, Cutoffs(JUNE, JUNE), Outcome())
        list(islice(step, steps))
        step.close()
        report = kept.trail.verify()
        assert (report.faults, report.rows, report.exit_code(strict=True)) == ([], 102, 0)
    assert EVENTS in kept.purge(allowed=JUNE, found=JUNE).partitions
    assert (kept.trail.verify().faults, kept.count()) == ([], 0)


@pytest.mark.parametrize("is_killed", [False, True])
def test_what_is_held_before_the_drop_stays_and_verifies(
    kept: Holding, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    monkeypatch.setattr(batches, "ROWS", 30)
    steps = purging.purge(kept.database, kept.keys, Cutoffs(JUNE, JUNE), Outcome())
    list(islice(steps, 4))
    kept.hold(since=NOON + 40_000, until=NOON + 50_000)
    if is_killed:
        steps.close()
        kept.purge(allowed=JUNE, found=JUNE)
    else:
        list(steps)
    assert (kept.count(), EVENTS in names(kept)) == (10, True)
    report = kept.trail.verify()
    assert (report.faults, report.purged) == ([], 90)


def test_where_a_row_is_not_what_it_was_the_others_verify_after_each_batch(
    kept: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ROWS", 30)
    with psycopg.connect(kept.trail.url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE audit_event SET host = 'elsewhere.example' WHERE writer_seq = 50")
    for _ in purging.purge(kept.database, kept.keys, Cutoffs(JUNE, JUNE), outcome := Outcome()):
        assert [fault.writer_seq for fault in kept.trail.verify().faults] == [50]
    assert (outcome.rows, outcome.refused, kept.count()) == (99, 1, 1)


def test_a_row_that_comes_late_is_not_dropped_with_the_rest(kept: Holding) -> None:
    steps = purging.purge(kept.database, kept.keys, Cutoffs(JUNE, JUNE), outcome := Outcome())
    assert next(steps) == 100
    kept.trail.write(make_record(occurred_at=NOON))
    kept.trail.ship()
    list(steps)
    # Row by row, the one that came, too.
    assert (outcome.rows, outcome.partitions) == (101, ["audit_shadow_p20260501"])
    report = kept.trail.verify()
    assert (report.faults, EVENTS in names(kept), kept.count()) == ([], True, 0)
    assert EVENTS in kept.purge(allowed=JUNE, found=JUNE).partitions


def test_two_purges_at_once_take_all_once(kept: Holding) -> None:
    cutoffs = Cutoffs(JUNE, JUNE)
    slow = purging.purge(kept.database, kept.keys, cutoffs, slowly := Outcome())
    assert next(slow) == 100
    assert kept.purge(allowed=JUNE, found=JUNE).rows == 100
    assert (list(slow), slowly.rows, slowly.partitions) == ([], 0, [])
    assert (kept.trail.verify().faults, kept.stretches()) == ([], [(2, 101)])


def test_rows_of_the_default_partition_go_row_by_row(kept: Holding) -> None:
    kept.write(10, at=NOON - 900 * DAY)
    assert kept.purge(allowed=NOON, found=NOON).rows == 10
    assert kept.count("audit_event_default") == 0
    assert kept.trail.verify().faults == []


def test_who_reads_for_long_is_not_waited_for(kept: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_partitions, "LOCK", 0.1)
    with psycopg.connect(kept.trail.url) as reader:
        reader.execute("SELECT count(*) FROM audit_event")
        with pytest.raises(AuditBusyError, match="others use the audit tables for too long"):
            kept.purge(allowed=JUNE, found=JUNE)
    assert kept.trail.verify().faults == []
    assert EVENTS in kept.purge(allowed=JUNE, found=JUNE).partitions


def test_findings_in_partitions_of_other_spans_are_not_dropped(kept: Holding) -> None:
    with psycopg.connect(kept.trail.url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE audit_finding DETACH PARTITION {FINDINGS}")
        connection.execute(f"INSERT INTO audit_finding SELECT * FROM {FINDINGS}")
        connection.execute(f"DROP TABLE {FINDINGS}")
    assert kept.purge(allowed=JUNE, found=JUNE).rows == 100
    assert (kept.count(), kept.count("audit_finding"), EVENTS in names(kept)) == (0, 0, True)
    assert kept.trail.verify().faults == []
