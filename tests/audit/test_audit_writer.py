"""The writer: what it commits, under which keys, and what it leaves alone when it fails."""

import json
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from audit_records import FINDING, make_record

from icapd.audit import AuditRecord, AuditWriter
from icapd.audit.search import Filters, search
from icapd.audit.writer import Synchronous
from icapd.errors import AuditBusyError, AuditError


def rows(file: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(statement).fetchall()


def records(url: str) -> list[AuditRecord]:
    return list(search(url, Filters()))


def test_a_written_record_is_read_back_the_same(sqlite_url: str) -> None:
    plain = make_record()
    with_findings = make_record(
        occurred_at=plain.occurred_at - 1,
        verdict="redacted",
        disposition="redacted",
        inspection="partial",
        skip_reason="oversize",
        http_status=200,
        risk_score=80,
        findings=(FINDING, replace(FINDING, target="header", fingerprint="cd" * 16)),
    )
    with AuditWriter.open(sqlite_url) as writer:
        writer.write(plain)
        writer.write(with_findings)
        # Committed: another connection sees it while the writer is at work.
        assert records(sqlite_url) == [plain, with_findings]


def test_times_compare_with_sqlite_s_own_in_sql_written_by_hand(sqlite_url: str, sqlite_file: Path) -> None:
    now = time.time_ns() // 1000
    with AuditWriter.open(sqlite_url) as writer:
        for minutes_ago in (1, 60):
            writer.write(make_record(txn_id=f"{minutes_ago}m", occurred_at=now - minutes_ago * 60_000_000))
    recent = "SELECT txn_id FROM audit_event WHERE occurred_at > datetime('now', '-10 minutes')"
    assert rows(sqlite_file, recent) == [("1m",)]


@pytest.mark.parametrize("synchronous", ["normal", "full"])
def test_start_and_stop_are_on_record_and_numbers_have_no_gap(
    sqlite_url: str, sqlite_file: Path, synchronous: Synchronous
) -> None:
    with AuditWriter.open(sqlite_url, synchronous=synchronous, node="gate-1") as writer:
        writer.write(make_record())
        writer.write(make_record())
    writer.close()  # once more does no harm
    assert rows(sqlite_file, "SELECT writer_id, node FROM audit_writer") == [(writer.writer_id, "gate-1")]
    admin = rows(sqlite_file, "SELECT writer_seq, action, detail FROM audit_admin ORDER BY writer_seq")
    assert [(seq, action) for seq, action, _ in admin] == [(1, "start"), (4, "stop")]
    assert json.loads(admin[0][2]) == {"synchronous": synchronous, "unfinished_streams": 0}
    assert rows(sqlite_file, "SELECT writer_seq FROM audit_event ORDER BY 1") == [(2,), (3,)]


def test_each_run_is_a_writer_of_its_own(sqlite_url: str, sqlite_file: Path) -> None:
    for _ in range(3):
        with AuditWriter.open(sqlite_url) as writer:
            writer.write(make_record())
    assert rows(sqlite_file, "SELECT count(DISTINCT writer_id), max(writer_seq) FROM audit_event") == [(3, 2)]


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
def test_a_hostile_value_never_loses_its_record(sqlite_url: str, hostile: dict[str, Any]) -> None:
    record = make_record(**hostile)
    with AuditWriter.open(sqlite_url) as writer:
        writer.write(record)
        writer.write_all([("open", replace(record, event_id="0" * 36))])
    with AuditWriter.open(sqlite_url):
        found = records(sqlite_url)
    assert [len(one.findings) for one in found] == [len(record.findings)] * 2
    assert {one.txn_id for one in found} == {record.txn_id}


def test_a_stream_is_one_record_however_often_it_was_renewed(sqlite_url: str, sqlite_file: Path) -> None:
    record = make_record(http_status=200)
    final = replace(record, findings=(FINDING, FINDING), verdict="redacted", latency_us=9)
    with AuditWriter.open(sqlite_url) as writer:
        writer.write_all([("open", record)])
        writer.write_all([("open", replace(record, findings=(FINDING,)))])
        assert records(sqlite_url) == []
        assert rows(sqlite_file, "SELECT count(*) FROM audit_open") == [(1,)]
        writer.write_all([("close", final)])
        assert records(sqlite_url) == [final]
        assert rows(sqlite_file, "SELECT count(*) FROM audit_open") == [(0,)]


def test_streams_of_a_dead_server_become_records_at_the_next_start(
    sqlite_url: str, sqlite_file: Path
) -> None:
    quiet, found = make_record(), make_record(verdict="redacted", findings=(FINDING,))
    with AuditWriter.open(sqlite_url) as writer:
        for record in (quiet, found):
            writer.write_all([("open", record)])
    cut: dict[str, Any] = {"disposition": "cut", "inspection": "error", "skip_reason": "server-stopped"}
    for _ in range(2):
        with AuditWriter.open(sqlite_url):
            by_id = {record.event_id: record for record in records(sqlite_url)}
            assert by_id == {one.event_id: replace(one, **cut) for one in (quiet, found)}
    starts = rows(sqlite_file, "SELECT detail FROM audit_admin WHERE action = 'start' ORDER BY occurred_at")
    assert [json.loads(detail)["unfinished_streams"] for (detail,) in starts] == [0, 2, 0]


def test_an_unreadable_stream_stops_the_start_and_is_named(sqlite_url: str, sqlite_file: Path) -> None:
    with closing(sqlite3.connect(sqlite_file)) as connection, connection:
        connection.execute("INSERT INTO audit_open VALUES (1, 'some-event', '{}')")
    with pytest.raises(AuditError, match=r"icapd\.db: audit_open: the record of event some-event"):
        AuditWriter.open(sqlite_url)
    assert rows(sqlite_file, "SELECT count(*) FROM audit_writer") == [(0,)]


def test_files_are_for_their_owner_only(sqlite_url: str, sqlite_file: Path) -> None:
    with AuditWriter.open(sqlite_url) as writer:
        writer.write(make_record())
        modes = {file.name: file.stat().st_mode & 0o777 for file in sqlite_file.parent.iterdir()}
    assert modes == {f"icapd.db{suffix}": 0o600 for suffix in ("", "-wal", "-shm", ".lock")}


@contextmanager
def no_file_may_grow_beyond(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_leaves_nothing_and_the_next_one_goes_on(
    sqlite_url: str, sqlite_file: Path
) -> None:
    first, lost, last = make_record(), make_record(findings=(FINDING,) * 1000), make_record()
    with AuditWriter.open(sqlite_url) as writer:
        writer.write(first)
        log = sqlite_file.with_name("icapd.db-wal")
        with no_file_may_grow_beyond(log.stat().st_size), pytest.raises(AuditError, match=r"icapd\.db: "):
            writer.write(lost)
        writer.write(last)
        assert {one.event_id for one in records(sqlite_url)} == {first.event_id, last.event_id}
        assert rows(sqlite_file, "SELECT count(*) FROM audit_finding") == [(0,)]
        assert rows(sqlite_file, "SELECT writer_seq FROM audit_event ORDER BY 1") == [(2,), (3,)]


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_a_database_that_goes_away_is_noticed(sqlite_url: str, sqlite_file: Path, replaced: bool) -> None:
    writer = AuditWriter.open(sqlite_url)
    writer.check_writable()
    sqlite_file.unlink()
    if replaced:
        sqlite_file.touch()
    attempts: list[Callable[[], None]] = [
        partial(writer.write, make_record()),
        writer.check_writable,
        writer.close,
    ]
    for attempt in attempts:
        with pytest.raises(AuditError, match=r"icapd\.db: was removed or replaced while in use; put it back"):
            attempt()


def test_a_second_server_on_the_same_file_is_refused_until_the_first_ends(sqlite_url: str) -> None:
    first = AuditWriter.open(sqlite_url)
    with pytest.raises(AuditError, match=r"icapd\.db: another icapd writes to it; stop that one"):
        AuditWriter.open(sqlite_url)
    first.close()
    AuditWriter.open(sqlite_url).close()


def test_another_program_s_transaction_is_waited_for_and_then_named(
    sqlite_url: str, sqlite_file: Path
) -> None:
    with (
        AuditWriter.open(sqlite_url, busy_timeout=0.01) as writer,
        closing(sqlite3.connect(sqlite_file, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        attempts: list[Callable[[], None]] = [partial(writer.write, make_record()), writer.check_writable]
        for attempt in attempts:
            with pytest.raises(
                AuditBusyError, match=r"icapd\.db: is locked by another program; let that end"
            ):
                attempt()
        other.execute("ROLLBACK")
        writer.write(make_record())
    assert len(records(sqlite_url)) == 1


def test_a_closed_writer_says_so(sqlite_url: str) -> None:
    writer = AuditWriter.open(sqlite_url)
    writer.close()
    with pytest.raises(AuditError, match="closed"):
        writer.write(make_record())
