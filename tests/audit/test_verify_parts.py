"""A part of a trail, by --since and --until: judged by itself, with what shows that it was not cut."""

from contextlib import closing
from dataclasses import replace

import pytest
from audit_records import NOON, make_record
from sqlalchemy import delete, update
from tampering import AT, ROW, Tampered, of_row

from icapd.audit.evidence.faults import Kind
from icapd.audit.evidence.verify import Scope
from icapd.audit.tables import audit_event, audit_finding


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        pytest.param(AT, AT + 2, [ROW, ROW + 1], id="around it"),
        # The rows beside count, too: what was cut off would show there.
        pytest.param(AT + 1, AT + 7, [ROW, ROW + 1], id="just behind it"),
        pytest.param(AT + 2, AT + 8, [ROW + 1], id="behind it"),
        pytest.param(AT + 3, AT + 8, [], id="far behind it"),
        # So do those up to the next checkpoint, without which the part could be written anew.
        pytest.param(None, AT, [ROW, ROW + 1], id="until it"),
        pytest.param(None, AT - 9, [ROW, ROW + 1], id="until before it"),
        pytest.param(AT - 5, None, [ROW, ROW + 1], id="since before it"),
        pytest.param(NOON - 10, NOON - 5, [], id="before all"),
    ],
)
def test_a_part_is_verified_by_itself(
    ended: Tampered, since: int | None, until: int | None, told: list[int]
) -> None:
    scope = Scope(since, until)
    assert ended.report(scope=scope).faults == []
    ended.run(update(audit_event).where(of_row(audit_event)).values(chain=b"?" * 32))
    assert [fault.writer_seq for fault in ended.report(scope=scope).faults] == told


@pytest.mark.parametrize(
    ("since", "until", "gone", "told"),
    [
        pytest.param(AT, AT + 9, range(ROW - 3, ROW + 3), ROW + 1, id="its beginning"),
        # The writer's start is younger than its records.
        pytest.param(AT, None, range(ROW - 3, ROW + 3), ROW - 3, id="the beginning of the rest"),
        pytest.param(AT, AT + 9, range(ROW + 5, ROW + 20), ROW + 5, id="its end"),
        pytest.param(None, AT, range(ROW - 5, ROW + 20), ROW - 5, id="the end of the beginning"),
        pytest.param(None, AT, range(2, 9), 2, id="the beginning of all"),
    ],
)
def test_what_is_cut_off_from_a_time_is_told(
    ended: Tampered, since: int | None, until: int | None, gone: range, told: int
) -> None:
    for table in (audit_finding, audit_event):
        ended.run(delete(table).where(table.c.writer_seq.in_(gone)))
    report = ended.report(scope=Scope(since, until))
    assert [(fault.kind, fault.writer_seq) for fault in report.faults] == [(Kind.MISSING, told)]


def test_rows_before_a_time_do_not_count_as_unsigned(in_sqlite: Tampered) -> None:
    trail = in_sqlite.trail
    with trail.writer() as writer, closing(trail.shipper()) as shipper:
        writer.write_all(("final", make_record(occurred_at=NOON * 2 + number)) for number in range(20))
        shipper.round()
        writer.write(make_record(occurred_at=NOON * 2 + 20))
        shipper.round()
        scope = Scope(since=NOON * 2 + 15, writer_id=writer.writer_id)
        report = trail.verify(scope=scope)
        assert (report.faults, report.rows, report.unsigned) == ([], 8, 1)
        report = trail.verify(scope=replace(scope, since=NOON * 2 + 20))
        assert (report.faults, report.rows, report.unsigned) == ([], 3, 1)
