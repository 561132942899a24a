"""The process that ships purges by itself, and says what keeps it from that."""

import json
import threading
import time
from pathlib import Path

import msgspec
import pytest
from retaining import Kept
from support.icapd import PATIENCE
from support.trail import Trail

from icapd.audit.retention import batches
from icapd.server import retention
from icapd.server.retention import Retention
from icapd.server.shipping import Shipping
from icapd.server.supervision.messages import Drain, Shipped
from icapd.settings import Audit


@pytest.fixture
def kept(empty_url: str, tmp_path: Path) -> Kept:
    kept = Kept(Trail.make(tmp_path, empty_url))
    kept.write(20)
    return kept


def keeping(kept: Kept, allowed: int = 0, found: int = 0, admin: int = 0, archive: str = "") -> Audit:
    return msgspec.structs.replace(
        kept.trail.settings,
        retention_allowed=allowed,
        retention_found=found,
        retention_admin=admin,
        retention_archive=archive,
    )


def deeds(kept: Kept) -> list[tuple[str, dict[str, object]]]:
    kept.trail.ship()
    rows = kept.trail.rows("SELECT action, detail FROM audit_admin ORDER BY writer_id, writer_seq")
    return [(action, json.loads(detail)) for action, detail in rows if "purge" in action]


def test_shipping_purges_what_is_too_old_and_puts_that_on_record(kept: Kept) -> None:
    reports: list[Shipped] = []
    shipping = Shipping(keeping(kept, allowed=30), reports.append)
    deadline = time.monotonic() + PATIENCE

    def wait(seconds: float) -> Drain | None:
        if kept.count() == 2 or time.monotonic() > deadline:
            return Drain(30, retire=False)
        threading.Event().wait(seconds)
        return None

    shipping.run(wait)
    assert kept.count() == 2
    begun, done = deeds(kept)
    assert (begun[0], done[0], done[1]["rows"]) == ("purge-begin", "purge", 18)
    assert done[1]["before"] == begun[1]["before"]
    assert kept.trail.rows("SELECT count(*) FROM audit_writer WHERE role = 'retention'") == [(1,)]
    assert list(begun[1]["before"]) == ["allowed"]  # type: ignore[call-overload]
    assert kept.trail.verify().faults == []
    # PostgreSQL's DEFAULT partitions may have something to be told of.
    assert "chain" not in reports[-1].problem


@pytest.fixture
def in_sqlite(tmp_path: Path) -> Kept:
    kept = Kept(Trail.make(tmp_path))
    kept.write(20)
    return kept


def test_it_keeps_all_unless_it_is_told_otherwise(in_sqlite: Kept) -> None:
    job = Retention(in_sqlite.trail.settings)
    job.work()
    job.close()
    assert (in_sqlite.count(), deeds(in_sqlite)) == (20, [])


def test_it_takes_a_step_at_a_time_and_leaves_no_trace_of_runs_without_work(
    in_sqlite: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ROWS", 5)
    clock = 1000.0
    monkeypatch.setattr(retention.time, "monotonic", lambda: clock)
    job = Retention(keeping(in_sqlite, allowed=30))
    left = []
    for _ in range(6):
        job.work()
        left.append(in_sqlite.count())
    assert left == [15, 10, 5, 2, 2, 2]
    in_sqlite.write(10)
    clock += retention.INTERVAL - 1
    job.work()
    assert in_sqlite.count() == 12
    clock += 2
    for _ in range(4):
        job.work()
    assert in_sqlite.count() == 3
    assert len(deeds(in_sqlite)) == 4
    clock += retention.INTERVAL + 1
    job.work()
    assert len(deeds(in_sqlite)) == 4


def test_one_that_is_stopped_half_way_is_on_record_as_far_as_it_got(
    in_sqlite: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ROWS", 5)
    job = Retention(keeping(in_sqlite, allowed=30))
    job.work()
    job.close()
    assert [detail.get("rows") for _, detail in deeds(in_sqlite)] == [None, 5]
    assert in_sqlite.trail.verify().faults == []


def test_what_keeps_it_from_its_work_is_told_and_tried_again(
    in_sqlite: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    clock = 1000.0
    monkeypatch.setattr(retention.time, "monotonic", lambda: clock)
    archive = tmp_path / "archive"
    job = Retention(keeping(in_sqlite, allowed=30, archive=str(archive)))
    job.work()
    assert "can't be written: No such file or directory" in job.problem
    assert in_sqlite.count() == 20
    archive.mkdir()
    clock += retention.AGAIN + 1
    for _ in range(6):
        job.work()
    assert (job.problem, in_sqlite.count(), len(list(archive.iterdir()))) == ("", 2, 1)


def test_a_defect_is_told_and_does_not_end_it(
    in_sqlite: Kept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = 1000.0
    monkeypatch.setattr(retention.time, "monotonic", lambda: clock)
    job = Retention(keeping(in_sqlite, allowed=30))
    with monkeypatch.context() as context:
        context.setattr(retention.purge, "is_due", lambda *_: 1 / 0)
        assert job.work()
    assert "internal error (ZeroDivisionError)" in job.problem
    clock += retention.AGAIN + 1
    for _ in range(3):
        job.work()
    assert (job.problem, in_sqlite.count()) == ("", 2)


def test_more_days_than_there_are_keep_all(in_sqlite: Kept) -> None:
    job = Retention(keeping(in_sqlite, allowed=10**9))
    assert job.work()
    job.close()
    assert (job.problem, in_sqlite.count()) == ("", 20)
