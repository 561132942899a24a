"""Floods of equal findings: few rows, exact counts, whatever fails or dies in between."""

import resource
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from audit_records import FINDING, make_record
from hypothesis import given
from hypothesis import strategies as st
from support.trail import Trail

from icapd.audit import AuditRecord, AuditWriter, uuid7
from icapd.audit.outbox.floods import Floods
from icapd.errors import AuditError

KINDS = [make_record(host=host, findings=(FINDING,)) for host in ("a.test", "b.test", "c.test")]


def another(record: AuditRecord) -> AuditRecord:
    """An equal one, as of another transaction."""
    event_id = uuid7()
    return replace(
        record, event_id=event_id, txn_id=event_id, occurred_at=record.occurred_at + 1, latency_us=7
    )


def count(trail: Trail, **options: object) -> tuple[int, int]:
    """Transactions and rows of events in the database, with all that is shipped."""
    trail.ship()
    ((transactions, rows),) = trail.rows("SELECT coalesce(sum(repeats), 0), count(*) FROM audit_event")
    return transactions, rows


#: Which kind of record, whether a second begins before it, and whether its commit fails.
STEPS = st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=60)


@given(STEPS, st.integers(1, 5))
def test_counts_are_exact_and_rows_are_few_in_any_order(
    steps: list[tuple[int, bool, bool]], threshold: int
) -> None:
    second = 0.0
    floods = Floods(threshold, lambda: second)
    kept: list[AuditRecord] = []
    sent: Counter[str | None] = Counter()
    most: Counter[str | None] = Counter()
    in_second: Counter[str | None] = Counter()
    for number, begins_second, fails in steps:
        if begins_second:
            second += 1
            in_second.clear()
        ended = floods.begin()
        record = another(KINDS[number])
        tally = floods.tally(record)
        if fails:
            floods.undo()
            continue
        kept += ended
        sent[record.host] += 1
        in_second[record.host] += 1
        if tally is None:
            kept.append(record)
        else:
            assert tally.repeats == in_second[record.host] - threshold
        most[record.host] += in_second[record.host] <= threshold + 1
    kept += floods.begin(is_end=True)
    assert Counter({host: n for host, n in _transactions(kept).items() if n}) == sent
    assert all(rows <= most[host] for host, rows in Counter(record.host for record in kept).items())


def _transactions(records: list[AuditRecord]) -> Counter[str | None]:
    counted: Counter[str | None] = Counter()
    for record in records:
        counted[record.host] += record.repeats
    return counted


@pytest.mark.parametrize("field", ["host", "client_ip", "path", "verdict", "request_bytes", "findings"])
def test_what_differs_in_anything_that_is_told_is_no_flood(field: str) -> None:
    floods = Floods(1, lambda: 0)
    other = {"request_bytes": 7, "findings": (FINDING, FINDING)}.get(field, "other")
    floods.begin()
    assert floods.tally(KINDS[0]) is None
    assert floods.tally(replace(KINDS[0], **{field: other})) is None
    assert floods.tally(another(KINDS[0])) is not None


def test_without_a_threshold_each_record_is_a_row() -> None:
    floods = Floods(0)
    floods.begin()
    assert [floods.tally(another(KINDS[0])) for _ in range(3)] == [None] * 3


def test_records_without_findings_are_a_row_each() -> None:
    floods = Floods(1, lambda: 0)
    floods.begin()
    assert [floods.tally(make_record()) for _ in range(3)] == [None] * 3


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.make(tmp_path)


def flood(writer: AuditWriter, records: int, at_once: int = 7) -> None:
    entries = [("final", another(KINDS[0])) for _ in range(records)]
    for start in range(0, records, at_once):
        writer.write_all(entries[start : start + at_once])  # type: ignore[arg-type]


def test_a_flood_becomes_few_rows_with_its_exact_count_and_verifies(trail: Trail) -> None:
    with trail.writer(coalesce_after=10) as writer:
        flood(writer, 1000)
    transactions, rows = count(trail)
    assert transactions == 1000
    # Ten and a tally in each second that this took.
    assert rows < 1000 / 2
    # Its findings are told once.
    assert trail.rows("SELECT count(*) FROM audit_finding") == [(rows,)]
    assert trail.verify().exit_code(strict=True) == 0


def test_a_tally_whose_second_is_over_is_a_row_without_another_record(trail: Trail) -> None:
    second = 0.0
    with trail.writer() as writer:
        writer._floods = Floods(1, lambda: second)
        flood(writer, 5)
        assert count(trail) == (1, 1)
        second = 1.0
        # The supervisor asks for this each second.
        writer.check_writable()
        assert count(trail) == (5, 2)


def test_what_was_counted_when_a_worker_died_is_counted(trail: Trail) -> None:
    dead = trail.writer(coalesce_after=10)
    flood(dead, 100)
    # As the kernel would, on its death.
    dead._outbox.close()
    dead._mark.close()
    transactions, _ = count(trail)
    assert transactions == 100
    assert {record.disposition for record in trail.records()} == {"unmodified"}
    assert trail.rows("SELECT action FROM audit_admin ORDER BY writer_seq") == [("start",), ("died",)]
    assert trail.verify().exit_code(strict=True) == 0


def test_what_could_not_be_written_is_not_counted(trail: Trail) -> None:
    with trail.writer(coalesce_after=1) as writer:
        flood(writer, 10)
        log = Path(f"{writer.file}-wal")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size, before[1]))
        try:
            with pytest.raises(AuditError):
                flood(writer, 10)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        flood(writer, 10)
    transactions, _ = count(trail)
    assert transactions == 20


def test_strict_does_without(trail: Trail) -> None:
    with trail.writer(mode="strict", coalesce_after=1) as writer:
        for _ in range(5):
            writer.prepare((("final", another(KINDS[0])),), waits=False)()
    assert count(trail) == (5, 5)
