"""The writer: what it commits to its outbox, under which numbers, and what it leaves alone when it fails."""

import json
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from audit_records import FINDING, make_record
from support.trail import Trail

from icapd.audit import AuditWriter
from icapd.audit.outbox import file
from icapd.audit.outbox.directory import Mark
from icapd.audit.outbox.file import Mode
from icapd.errors import AuditError


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.make(tmp_path)


def in_outbox(writer: AuditWriter, statement: str) -> list[Any]:
    with closing(sqlite3.connect(writer.file)) as connection:
        return connection.execute(statement).fetchall()


def test_a_written_record_is_read_back_the_same(trail: Trail) -> None:
    plain = make_record()
    with_findings = make_record(
        occurred_at=plain.occurred_at - 1,
        verdict="redacted",
        disposition="redacted",
        inspection="partial",
        skip_reason="oversize",
        http_status=200,
        risk_score=80,
        repeats=3,
        findings=(FINDING, replace(FINDING, target="header", fingerprint="cd" * 16)),
    )
    with trail.writer() as writer:
        writer.write(plain)
        writer.write(with_findings)
        # Committed: another connection sees it while the writer is at work.
        assert in_outbox(writer, "SELECT count(*) FROM entry WHERE kind = 'event'") == [(2,)]
        assert trail.records() == [plain, with_findings]


@pytest.mark.parametrize("mode", ["durable", "relaxed", "off"])
def test_start_and_stop_are_on_record_and_numbers_have_no_gap(trail: Trail, mode: str) -> None:
    with trail.writer(mode=mode, node="gate-1") as writer:
        writer.write(make_record())
        writer.write(make_record())
    writer.close()  # once more does no harm
    trail.ship()
    assert trail.rows("SELECT writer_id, node FROM audit_writer") == [(writer.writer_id, "gate-1")]
    admin = trail.rows("SELECT writer_seq, action, detail FROM audit_admin ORDER BY writer_seq")
    events = trail.rows("SELECT writer_seq FROM audit_event ORDER BY 1")
    assert json.loads(admin[0][2])["mode"] == mode
    last = 2 if mode == "off" else 4
    assert [(seq, action) for seq, action, _ in admin] == [(1, "start"), (last, "stop")]
    assert events == ([] if mode == "off" else [(2,), (3,)])


def test_durable_waits_for_the_disk_and_relaxed_does_not(trail: Trail) -> None:
    for mode, level in (("durable", 2), ("relaxed", 1)):
        with trail.writer(mode=mode) as writer:
            assert writer._outbox.connection.execute("PRAGMA synchronous").fetchone() == (level,)


def test_each_run_is_a_writer_of_its_own(trail: Trail) -> None:
    for _ in range(3):
        trail.write(make_record())
    trail.ship()
    assert trail.rows("SELECT count(DISTINCT writer_id), max(writer_seq) FROM audit_event") == [(3, 2)]


HOSTILE = [
    pytest.param({"host": "h" * 300}, id="long-host"),
    pytest.param({"path": "/" + "a" * 1024 * 1024}, id="mebibyte-of-path"),
    pytest.param({"path": "/\0\x1b[2J\r\n"}, id="nul-and-controls"),
    pytest.param({"client_user": "\ud800\udc00\udfff"}, id="surrogates"),
    pytest.param({"client_ip": "'; DROP TABLE audit_event; --"}, id="sql"),
    pytest.param({"http_method": "GET" * 1000, "content_type": "\udcff" * 1000}, id="method-and-type"),
    pytest.param({"port": 2**64, "request_bytes": 2**64, "risk_score": 2**40}, id="numbers"),
    pytest.param({"findings": (replace(FINDING, excerpt="\0" * 100, target="\ud800"),)}, id="finding"),
    pytest.param({"findings": (FINDING,) * 5000}, id="many-findings"),
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_value_never_loses_its_record(trail: Trail, hostile: dict[str, Any]) -> None:
    record = make_record(**hostile)
    with trail.writer() as writer:
        writer.write(record)
        writer.write_all([("open", replace(record, event_id="0" * 36))])
    found = trail.records()
    assert [len(one.findings) for one in found] == [len(record.findings)] * 2
    assert {one.txn_id for one in found} == {record.txn_id}
    assert trail.rows("SELECT count(*) FROM audit_dead_letter") == [(0,)]


def test_a_stream_is_one_record_however_often_it_was_renewed(trail: Trail) -> None:
    record = make_record(http_status=200)
    final = replace(record, findings=(FINDING, FINDING), verdict="redacted", latency_us=9)
    with trail.writer() as writer:
        writer.write_all([("open", record)])
        writer.write_all([("open", replace(record, findings=(FINDING,)))])
        assert trail.records() == []
        assert in_outbox(writer, "SELECT count(*) FROM stream") == [(1,)]
        writer.write_all([("close", final)])
        assert trail.records() == [final]
        assert in_outbox(writer, "SELECT count(*) FROM stream") == [(0,)]


def test_what_is_shipped_is_forgotten_but_the_newest_entry(trail: Trail) -> None:
    with trail.writer() as writer:
        for _ in range(200):
            writer.write(make_record())
        trail.ship()
        writer.write(make_record())
        assert in_outbox(writer, "SELECT min(seq), max(seq) FROM entry") == [(201, 202)]
    assert len(trail.records()) == 201


def test_files_are_for_their_owner_only(trail: Trail) -> None:
    with trail.writer() as writer:
        writer.write(make_record())
        modes = {file.suffix: file.stat().st_mode & 0o777 for file in trail.outbox.iterdir()}
    assert modes == dict.fromkeys((".outbox", ".outbox-wal", ".outbox-shm", ".mark"), 384)


@contextmanager
def no_file_may_grow_beyond(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_log_of_a_worker_has_its_whole_size_at_once(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 100 * 4096
    monkeypatch.setattr(file, "_CHECKPOINT_PAGES", 100)
    monkeypatch.setattr(file, "_LOG_SIZE", size)
    with trail.writer(mode="durable", role="worker") as writer:
        log = Path(f"{writer.file}-wal")
        assert log.stat().st_size == size
        # Several times as much, which is written over it.
        for _ in range(20):
            writer.write(make_record(findings=(FINDING,) * 1000))
            trail.ship()
        assert log.stat().st_size < 3 * size
    assert trail.rows("SELECT count(*) FROM audit_event") == [(20,)]
    assert trail.verify().faults == []


@pytest.mark.parametrize("case", ["no room", "little room", "off"])
def test_without_room_or_need_for_it_a_log_grows_as_it_is_written(
    trail: Trail, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    mode: Mode = "off" if case == "off" else "durable"
    if case == "little room":
        monkeypatch.setattr(file, "_SPARE", 2**30)
    with ExitStack() as stack:
        if case == "no room":
            stack.enter_context(no_file_may_grow_beyond(2**20))
        writer = stack.enter_context(trail.writer(mode=mode, role="worker"))
        assert Path(f"{writer.file}-wal").stat().st_size < 2**18
        writer.write(make_record())
    assert len(trail.records()) == (mode == "durable")


def test_a_write_that_fails_leaves_nothing_and_the_next_one_tells_of_it(trail: Trail) -> None:
    first, lost, last = make_record(), make_record(findings=(FINDING,) * 1000), make_record()
    with trail.writer() as writer:
        writer.write(first)
        log = Path(f"{writer.file}-wal")
        with no_file_may_grow_beyond(log.stat().st_size):
            for _ in range(3):
                with pytest.raises(AuditError, match=r"\.outbox: "):
                    writer.write(lost)
        writer.write(last)
        assert {one.event_id for one in trail.records()} == {first.event_id, last.event_id}
    trail.ship()
    assert trail.rows("SELECT writer_seq FROM audit_event ORDER BY 1") == [(2,), (4,)]
    ((number, detail),) = trail.rows("SELECT writer_seq, detail FROM audit_admin WHERE action = 'gap'")
    assert number == 3
    gap = json.loads(detail)
    assert gap["attempts"] == 3
    assert gap["since"] <= gap["until"]
    assert ".outbox" in gap["problem"]


def test_a_full_outbox_refuses_until_something_is_shipped(trail: Trail) -> None:
    with trail.writer(max_size=256 * 1024) as writer:
        written = 0
        with pytest.raises(AuditError, match=r"no room left"):
            while True:
                writer.write(make_record(path="/" + "x" * 1000))
                written += 1
        assert written > 50
        assert len(trail.records()) == written
        # There is room again as soon as the writer has forgotten what was shipped.
        writer.check_writable()
        writer.write(make_record())
    assert len(trail.records()) == written + 1


def test_an_outbox_that_fills_says_so_once_and_when_it_has_drained(trail: Trail) -> None:
    limit = 512 * 1024
    with trail.writer(max_size=limit) as writer:
        for _ in range(3):
            while writer._outbox.size() < limit * 0.75:
                writer.write(make_record(path="/" + "x" * 1000))
                writer.check_writable()
            trail.ship()
            while writer._outbox.size() > limit * 0.3:
                writer.write(make_record())
                writer.check_writable()
                trail.ship()
    trail.ship()
    rows = trail.rows(
        "SELECT action, detail FROM audit_admin WHERE action LIKE 'outbox%' ORDER BY writer_seq"
    )
    assert [action for action, _ in rows] == ["outbox-filling", "outbox-drained"] * 3
    assert all(json.loads(detail)["limit"] == limit for _, detail in rows)
    assert json.loads(rows[0][1])["bytes"] >= limit * 0.7


def replace_by_another(file: Path) -> None:
    file.unlink()
    file.write_text("another")


@pytest.mark.parametrize(
    "harm",
    [Path.unlink, replace_by_another, partial(os.truncate, length=0)],
    ids=["removed", "replaced", "emptied"],
)
def test_an_outbox_that_goes_away_is_noticed(trail: Trail, harm: Callable[[Path], None]) -> None:
    writer = trail.writer()
    writer.check_writable()
    harm(writer.file)
    attempts: list[Callable[[], None]] = [
        partial(writer.write, make_record()),
        writer.check_writable,
        writer.close,
    ]
    for attempt in attempts:
        with pytest.raises(
            AuditError, match=r"outbox: was removed, emptied or replaced while in use; put it back"
        ):
            attempt()


def test_a_closed_writer_says_so(trail: Trail) -> None:
    writer = trail.writer()
    writer.close()
    with pytest.raises(AuditError, match="closed"):
        writer.write(make_record())


def test_a_living_writer_s_mark_is_locked(trail: Trail) -> None:
    with trail.writer() as writer, Mark(trail.outbox, writer.writer_id) as mark:
        assert not mark.lock()
    with Mark(trail.outbox, writer.writer_id) as mark:
        assert mark.lock()
