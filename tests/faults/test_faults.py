"""The faults of the machine: no room, no database, no descriptors. docs/operations.md has the whole table."""

import contextlib
import os
import resource
import select
import signal
import sqlite3
from pathlib import Path

import pytest
from support import wire
from support.faults import (
    REQUEST,
    descriptors_in_use,
    is_inspected,
    limited,
    page,
    processes,
    settings,
    until,
)
from support.icapd import ask, read_reply, serving
from support.places import free_port

CLEAN = wire.respmod(wire.OK, wire.chunked(b"{}", ieof=True), Preview="1024")
NOT_RECORDED = b"could not be recorded"


def test_disk_full_blocks_until_there_is_room_again(directory: Path) -> None:
    port = free_port()
    with serving(directory, settings(http_port=port)) as server, server.connect() as connection:
        assert is_inspected(connection)
        with limited(processes(server)[1:], resource.RLIMIT_FSIZE, lambda _: 0):
            for request in (CLEAN, REQUEST):
                reply = ask(connection, request)
                assert b"HTTP/1.1 503 " in reply and NOT_RECORDED in reply
            server.wait_for_log("event=audit-failed.*outbox.*look at the disk")
            until(lambda: page(port, "/readyz")[0] == 503)
            assert ".outbox" in page(port, "/readyz")[1]
            assert page(port, "/healthz")[0] == page(port, "/metrics")[0] == 200
        # Nobody sends anything meanwhile: it finds out by itself.
        until(lambda: page(port, "/readyz")[0] == 200)
        assert is_inspected(connection)
        # What was refused has no row of its own, no number is missing, and the gap is on record.
        assert server.query("SELECT writer_seq FROM audit_event ORDER BY 1") == [(2,), (4,)]
        assert server.query("SELECT writer_seq FROM audit_admin WHERE action = 'gap'") == [(3,)]
    assert "Traceback" not in server.log


def test_disk_full_lets_messages_pass_where_that_is_set(directory: Path) -> None:
    with (
        serving(directory, settings('[audit]\nfail_mode = "open"\n')) as server,
        server.connect() as connection,
    ):
        with limited(processes(server)[1:], resource.RLIMIT_FSIZE, lambda _: 0):
            assert ask(connection, CLEAN).startswith(b"ICAP/1.0 204")
            # The verdict stands, recorded or not.
            assert is_inspected(connection)
        assert is_inspected(connection)
        assert server.query("SELECT verdict FROM audit_event") == [("redacted",)]


def move(directory: Path, source: str, target: str) -> None:
    """The database with its log files."""
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            (directory / f"{source}{end}").rename(directory / f"{target}{end}")


def test_database_that_is_gone_holds_nothing_up_and_gets_all_once_it_is_back(directory: Path) -> None:
    port = free_port()
    with serving(directory, settings(http_port=port)) as server, server.connect() as connection:
        assert is_inspected(connection)
        assert server.query("SELECT count(*) FROM audit_event") == [(1,)]
        move(directory, "icapd.db", "elsewhere.db")
        assert ask(connection, CLEAN).startswith(b"ICAP/1.0 204")
        assert is_inspected(connection)
        server.wait_for_log("event=audit-not-shipped.*icapd.db: does not exist")
        until(lambda: b"does not exist" in page(port, "/readyz")[1].encode())
        assert page(port, "/readyz")[0] == 200
        assert not server.database.exists()
        move(directory, "elsewhere.db", "icapd.db")
        server.wait_for_log("event=audit-shipped-again")
        assert server.query("SELECT count(*) FROM audit_event") == [(3,)]
        until(lambda: "does not exist" not in page(port, "/readyz")[1])


def test_checkpoints_whose_copies_go_nowhere_hold_nothing_up(directory: Path) -> None:
    port, away = free_port(), directory / "away"
    audit = f'[audit]\nanchor_file = "{away}/anchors"\n'
    with serving(directory, settings(http_port=port) + audit) as server, server.connect() as connection:
        until(lambda: "event=not-anchored" in server.log)
        until(lambda: "anchor_file" in page(port, "/readyz")[1])
        assert page(port, "/readyz")[0] == 200
        assert is_inspected(connection)
        assert server.query("SELECT count(*) FROM audit_event") == [(1,)]
        away.mkdir()
        assert server.stop() == 0
    # The end of each writer is anchored.
    assert server.verify("--anchors", str(away / "anchors")) == 0


def test_server_with_a_locked_database_serves_on(directory: Path) -> None:
    port = free_port()
    with (
        serving(directory, settings(http_port=port)) as server,
        server.connect() as connection,
        contextlib.closing(sqlite3.connect(directory / "icapd.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        for _ in range(20):
            assert is_inspected(connection)
        until(lambda: "audit: " in page(port, "/readyz")[1])
        assert page(port, "/readyz")[0] == 200
        other.execute("ROLLBACK")
        assert server.query("SELECT count(*) FROM audit_event") == [(20,)]
        until(lambda: "audit: " not in page(port, "/readyz")[1])


def test_outbox_that_was_replaced_is_not_written_to(directory: Path) -> None:
    """Records never go where nobody looks for them: to a file without a name, or one that is another's."""
    with serving(directory, settings()) as server:
        with server.connect() as connection:
            assert is_inspected(connection)
            assert server.query("SELECT count(*) FROM audit_event") == [(1,)]
            (outbox,) = (directory / "outbox").glob("*.outbox")
            move(directory / "outbox", outbox.name, "elsewhere")
            assert NOT_RECORDED in ask(connection, CLEAN)
            server.wait_for_log("event=audit-failed.*replaced while in use.*restart icapd")
        # What the remedy says.
        server.process.send_signal(signal.SIGUSR2)
        server.wait_for_log("event=restarting")
        server.wait_for_log("event=ready")
        with server.connect() as connection:
            assert is_inspected(connection)
        assert server.query("SELECT count(*) FROM audit_event") == [(2,)]


def test_restart_is_refused_while_there_are_no_descriptors(directory: Path) -> None:
    with serving(directory, settings()) as server:
        supervisor = server.process.pid
        with limited([supervisor], resource.RLIMIT_NOFILE, descriptors_in_use):
            server.process.send_signal(signal.SIGUSR2)
            server.wait_for_log("event=restart-refused.*Too many open files")
        with server.connect() as connection:
            assert is_inspected(connection)


@pytest.mark.parametrize("who", ["supervisor", "worker"])
def test_connections_wait_while_there_are_no_descriptors(directory: Path, who: str) -> None:
    event = {"supervisor": "accept-paused", "worker": "connections-wait"}[who]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(directory, settings()))
        established = stack.enter_context(server.connect())
        assert is_inspected(established)
        supervisor, worker = processes(server)
        pid = supervisor if who == "supervisor" else worker
        with limited([pid], resource.RLIMIT_NOFILE, descriptors_in_use):
            late = [stack.enter_context(server.connect()) for _ in range(5)]
            for connection in late:
                connection.sendall(REQUEST)
            line = server.wait_for_log(f"event={event}.*").string
            assert "LimitNOFILE" in line and "max_connections" in line
            # Three looks of the server at its limit, in which it must not fill the log.
            assert not select.select(late, [], [], 3)[0]
            assert is_inspected(established)
            assert server.log.count(event) == 1
        for connection in late:
            assert b"KEY-[REDACTED]" in read_reply(connection)
        assert is_inspected(established)
    assert "Traceback" not in server.log
    assert len(server.lines) < 10, server.log


def test_worker_that_dies_while_there_are_no_descriptors_comes_back(directory: Path) -> None:
    with serving(directory, settings()) as server:
        supervisor, worker = processes(server)
        with limited([supervisor], resource.RLIMIT_NOFILE, lambda _: 3):
            os.kill(worker, signal.SIGKILL)
            server.wait_for_log("event=worker-not-started.*Too many open files.*restart_in=")
        server.wait_for_log("event=worker-started")
        with server.connect() as connection:
            assert is_inspected(connection)


def test_metrics_do_without_a_worker_that_has_no_descriptors(directory: Path) -> None:
    port = free_port()
    with serving(directory, settings(http_port=port)) as server, server.connect() as connection:
        assert is_inspected(connection)
        assert "icapd_transactions_total{" in page(port, "/metrics")[1]
        with limited(processes(server)[1:], resource.RLIMIT_NOFILE, descriptors_in_use):
            status, text = page(port, "/metrics")
            assert status == 200
            assert "icapd_transactions_total{" in text
        assert is_inspected(connection)
    assert "Traceback" not in server.log
