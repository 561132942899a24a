"""Whatever is purged, in whatever order and however it ends: the trail verifies, and every row is told of."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from audit_records import NOON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from retaining import AFTER_ALL, AFTER_RECORDS, DAY, Kept
from sqlalchemy import select, update
from support.trail import Trail
from tampering import Tampered
from test_holds import Holding
from test_verify import flipped

from icapd.audit.evidence.faults import PURGED, Kind
from icapd.audit.evidence.verify import Scope
from icapd.audit.tables import audit_archive, audit_hold, audit_purge

#: Milliseconds, as records are apart.
TIMES = st.integers(0, 60).map(lambda number: NOON + number * 1000)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("purge"), st.sets(st.sampled_from(["allowed", "found"]), min_size=1), TIMES),
        st.tuples(st.just("hold"), TIMES, TIMES),
        st.tuples(st.just("release"), st.integers(0, 5), st.none()),
        st.tuples(st.just("write"), st.integers(1, 15), TIMES),
    ),
    max_size=10,
)


@given(STEPS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_purges_and_holds_leaves_a_trail_that_verifies(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any, Any]]
) -> None:
    kept = Holding(Trail.make(tmp_path_factory.mktemp("trail")))
    kept.write(50)
    written, gone, held = 50, 0, []
    for step, one, other in steps:
        match step:
            case "purge":
                gone += kept.purge(**dict.fromkeys(one, other)).rows
            case "hold":
                held.append(kept.hold(since=one, until=other).hold_id)
            case "release" if one < len(held):
                kept.release(held.pop(one))
            case "write":
                kept.write(one, at=other)
                written += one
    report = kept.trail.verify()
    assert (report.faults, report.purged) == ([], gone)
    assert kept.count() == written - gone
    for hold_id in held:
        kept.release(hold_id)
    kept.trail.ship()
    kept.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    report = kept.trail.verify()
    assert (report.faults, report.rows, kept.count("audit_writer")) == ([], 0, 0)
    # Of each run of a writer one statement is left.
    assert {first for first, _ in kept.stretches()} == {1}
    assert len(kept.stretches()) == report.writers


KILLED = """
import os, signal, sys
sys.path[:0] = sys.argv[4:]
from pathlib import Path
from retaining import AFTER_RECORDS, Kept
from support.trail import Trail
from icapd.audit.retention import batches
batches.ROWS = 10
count, at, how = 0, int(sys.argv[3]), getattr(batches, "_delete")
def kill(*arguments):
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), signal.SIGKILL)
    how(*arguments)
    if count == -at:
        os.kill(os.getpid(), signal.SIGKILL)
batches._delete = kill
Kept(Trail(Path(sys.argv[1]), sys.argv[2])).purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS)
"""


@pytest.mark.parametrize("at", [3, -4], ids=["before", "behind"])
def test_a_process_that_is_killed_within_a_transaction_has_done_nothing_by_halves(
    empty_url: str, tmp_path: Path, at: int
) -> None:
    kept = Kept(Trail.make(tmp_path, empty_url))
    kept.write(60)
    path = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    arguments = [str(kept.trail.outbox), kept.trail.url, str(at), *path]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    report = kept.trail.verify()
    assert (report.faults, report.purged, kept.count()) == ([], (abs(at) - 1) * 10, 60 - (abs(at) - 1) * 10)
    kept.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS)
    assert (kept.trail.verify().faults, kept.count(), kept.stretches()) == ([], 0, [(2, 61)])


def test_one_flipped_byte_in_what_retention_states_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    kept, place = Holding(Trail.make(tmp_path)), tmp_path / "archive"
    place.mkdir()
    kept.write(40)
    kept.hold(until=NOON)
    kept.purge(allowed=AFTER_RECORDS, archive=place)
    kept.trail.ship()
    files = list(place.iterdir())
    hands = Tampered(kept.trail, 0)
    assert kept.trail.verify(archives=files).faults == []
    proved = [
        *((audit_purge, name) for name in list(audit_purge.c.keys())),
        *((audit_archive, name) for name in ("writer_id", "digest", "note")),
        *((audit_hold, name) for name in ("hold_id", "note")),
    ]
    missed = []
    for table, name in proved:
        first = table.c.first_seq == 2 if table is audit_purge else True
        column = table.c[name]
        (before,) = hands.one(select(column).where(first))
        after = flipped(before)
        hands.run(update(table).where(first).values({name: after}))
        report = kept.trail.verify(archives=files)
        if report.exit_code(strict=False) not in (Kind.ALTERED, Kind.MISSING):
            missed.append((table.name, name))
        hands.run(update(table).where(column == after).values({name: before}))
    assert missed == []
    assert kept.trail.verify(archives=files).faults == []


HOSTILE = [
    ("first_seq", "'two'"),
    ("last_seq", "9223372036854775807"),
    ("chain", "'text'"),
    ("chain_before", "7"),
    ("purged_at", "'2026-05-17 1?'"),
    ("note", "x'00'"),
    ("note", "CAST(x'ff' AS TEXT)"),
]


@pytest.mark.parametrize(("column", "value"), HOSTILE)
def test_what_only_sqlite_takes_is_told_like_any_other_change(
    tmp_path: Path, column: str, value: str
) -> None:
    kept = Kept(Trail.make(tmp_path))
    kept.write(40)
    kept.purge(allowed=AFTER_RECORDS)
    with kept.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE audit_purge SET {column} = {value} WHERE first_seq = 12")
    report = kept.trail.verify()
    assert set(report.counts) == {Kind.ALTERED, Kind.MISSING}
    # Nor does it end a purge.
    kept.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS)
    assert Kind.MISSING in kept.trail.verify().counts


@pytest.mark.parametrize(
    ("since", "until", "code"),
    [
        pytest.param(NOON - DAY, NOON - 1, 0, id="before all"),
        pytest.param(NOON + 9000, NOON + 9001, PURGED, id="one that stayed between others"),
        pytest.param(NOON + 9000, NOON + 30_000, PURGED, id="around what went"),
        pytest.param(NOON + 12_000, NOON + 15_000, 0, id="only what went"),
        pytest.param(NOON + 12_000, None, PURGED, id="from the middle of what went"),
        pytest.param(None, NOON + 12_000, PURGED, id="until its middle"),
    ],
)
def test_a_part_of_a_purged_trail_verifies_by_itself(
    tmp_path: Path, since: int | None, until: int | None, code: int
) -> None:
    kept = Kept(Trail.make(tmp_path))
    kept.write(40)
    kept.purge(allowed=AFTER_RECORDS)
    report = kept.trail.verify(scope=Scope(since, until))
    assert (report.faults, report.exit_code(strict=False)) == ([], code)
