"""Commits that others make, that take too long, or that wait for the database."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from audit_records import FINDING, NOON, make_record
from support.trail import Trail

from icapd.audit import AuditRecord, AuditWriter, Phase
from icapd.audit.outbox.floods import Floods
from icapd.audit.shadow import ShadowRecord
from icapd.errors import AuditBusyError

#: Seconds that are over at once, and such that no test takes.
SHORT, LONG = 0.01, 60.0
RECORD, FOUND = make_record(), make_record(findings=(FINDING,))


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.make(tmp_path)


@contextmanager
def shipping(trail: Trail) -> Iterator[None]:
    """Meanwhile all is brought to the database, by a thread."""
    ends = threading.Event()

    def run() -> None:
        while not ends.wait(SHORT):
            trail.ship()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


def notes(trail: Trail, action: str) -> list[dict[str, object]]:
    trail.ship()
    rows = trail.rows(f"SELECT detail FROM audit_admin WHERE action = '{action}' ORDER BY writer_seq")
    return [json.loads(detail) for (detail,) in rows]


def test_what_is_prepared_is_kept_once_it_is_committed_by_any_thread(trail: Trail) -> None:
    with trail.writer(mode="durable") as writer:
        commit = writer.prepare([("final", make_record()), ("final", make_record())])
        assert trail.ship() == 1
        thread = threading.Thread(target=commit)
        thread.start()
        thread.join()
        assert not commit.give_up()
        assert len(trail.records()) == 2


def test_another_write_waits_for_a_commit_that_is_on_its_way(trail: Trail) -> None:
    with trail.writer(mode="durable", patience=LONG) as writer:
        commit = writer.prepare([("final", make_record(host="first.test"))])
        thread = threading.Thread(target=writer.write, args=(make_record(host="second.test"),))
        thread.start()
        commit()
        thread.join()
    trail.ship()
    assert trail.rows("SELECT host FROM audit_event ORDER BY writer_seq") == [
        ("first.test",),
        ("second.test",),
    ]


def test_a_commit_that_takes_too_long_fails_others_and_is_told_to_be_late(trail: Trail) -> None:
    with trail.writer(mode="durable", patience=SHORT) as writer:
        commit = writer.prepare([("final", make_record()), ("final", make_record())])
        assert commit.give_up()
        attempts = (lambda: writer.write(make_record()), writer.check_writable)
        for attempt in attempts:
            with pytest.raises(AuditBusyError, match=r"has not answered for 0\.01 s; look at the disk"):
                attempt()
        with pytest.raises(AuditBusyError, match=r"records took over 0\.01 s"):
            commit()
        writer.write(make_record())
    assert notes(trail, "late") == [{"from": 2, "to": 3}]
    (gap,) = notes(trail, "gap")
    assert gap["attempts"] == 2
    assert len(trail.records()) == 3


def test_strict_waits_until_the_database_has_the_record(trail: Trail) -> None:
    with trail.writer(mode="strict", patience=LONG) as writer, shipping(trail):
        writer.write(make_record())
        assert trail.rows("SELECT count(*) FROM audit_event") == [(1,)]


def refused(writer: AuditWriter) -> None:
    for attempt in (lambda: writer.write(make_record()), writer.check_writable):
        with pytest.raises(
            AuditBusyError, match=r"the database has not taken record 2 yet, and \[audit\] mode"
        ):
            attempt()


def test_strict_fails_at_once_until_the_database_is_back(trail: Trail) -> None:
    with trail.writer(mode="strict", patience=SHORT) as writer:
        with pytest.raises(AuditBusyError, match=r"records took over 0\.01 s; see `icapd status`"):
            writer.write(make_record(host="late.test"))
        refused(writer)
        # No verdict depends on this one.
        writer.write_all([("final", make_record(host="cut.test"))], waits=False)
        refused(writer)
        trail.ship()
        writer.check_writable()
        writer.patience = LONG
        with shipping(trail):
            writer.write(make_record(host="back.test"))
    hosts = {record.host for record in trail.records()}
    assert hosts == {"late.test", "cut.test", "back.test"}
    assert notes(trail, "late") == [{"from": 2, "to": 2}]
    assert [gap["attempts"] for gap in notes(trail, "gap")] == [2, 2]


def test_a_provisional_record_is_kept_by_the_disk_alone(trail: Trail) -> None:
    """It is never shipped: it would be waited for in vain."""
    record = make_record()
    with trail.writer(mode="strict", patience=LONG) as writer:
        writer.write_all([("open", record)])
        with shipping(trail):
            writer.write_all([("close", record)])
            assert trail.rows("SELECT count(*) FROM audit_event") == [(1,)]


def test_off_has_nothing_to_commit(trail: Trail) -> None:
    with trail.writer(mode="off") as writer:
        writer.prepare([("final", make_record())])()
    assert trail.records() == []


@pytest.mark.parametrize(
    ("entries", "late"),
    [
        pytest.param([("open", RECORD)], [], id="provisional"),
        pytest.param([("drop", RECORD)], [], id="wanted by no policy"),
        pytest.param([("final", FOUND)], [], id="counted"),
        pytest.param([("open", RECORD), ("final", RECORD)], [{"from": 3, "to": 3}], id="one of two"),
    ],
)
def test_what_comes_late_and_has_no_number_is_a_gap(
    trail: Trail, entries: list[tuple[Phase, AuditRecord]], late: list[dict[str, object]]
) -> None:
    with trail.writer(mode="durable", patience=SHORT) as writer:
        writer._floods = Floods(1, lambda: 0.0)
        writer.write(FOUND)
        commit = writer.prepare(entries)
        commit.give_up()
        with pytest.raises(AuditBusyError, match=r"took over 0\.01 s"):
            commit()
    assert notes(trail, "late") == late
    (gap,) = notes(trail, "gap")
    assert gap["attempts"] == 1


def test_a_defect_of_ours_leaves_a_gap_that_says_so_and_nothing_of_the_record(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(_: object) -> None:
        raise ValueError("secret")

    with trail.writer() as writer:
        with monkeypatch.context() as patch, pytest.raises(ValueError, match="secret"):
            patch.setattr(writer, "_put", put)
            writer.write(make_record())
        writer.write(make_record())
    (gap,) = notes(trail, "gap")
    assert (gap["attempts"], gap["problem"]) == (1, "internal error: ValueError")


SHADOW = ShadowRecord(
    occurred_at=NOON,
    txn_id="node-1",
    method_icap="REQMOD",
    live_effect="allowed",
    shadow_effect="blocked",
    live_rules="",
    shadow_rules="some.rule",
    live_digest="0" * 64,
    shadow_digest="1" * 64,
)


def test_off_keeps_nothing_of_what_a_shadow_would_have_done_either(trail: Trail) -> None:
    with trail.writer(mode="off") as writer:
        writer.write_shadow([SHADOW])
    trail.ship()
    assert trail.rows("SELECT count(*) FROM audit_shadow") == [(0,)]
