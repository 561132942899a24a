"""What keeps records: a database that verdicts wait for, floods."""

import contextlib
import os
import signal
import sqlite3
import sys
import threading
from pathlib import Path

import pytest
from support import wire
from support.faults import is_inspected, page, processes, settings, until
from support.icapd import Server, ask, serving
from support.places import free_port

CLEAN = wire.respmod(wire.OK, wire.chunked(b"{}", ieof=True), Preview="1024")
NOT_RECORDED = b"could not be recorded"
STRICT = {"ICAPD_AUDIT_MODE": "strict"}


@pytest.mark.usefixtures("engine")
def test_strict_has_each_record_in_the_database_before_its_verdict(directory: Path) -> None:
    with (
        serving(directory, settings(), environment=STRICT) as server,
        server.connect() as connection,
        contextlib.closing(sqlite3.connect(f"file:{server.database}?mode=ro", uri=True)) as database,
    ):
        for number in range(1, 6):
            assert is_inspected(connection)
            assert database.execute("SELECT count(*) FROM audit_event").fetchone() == (number,)


@pytest.mark.usefixtures("engine")
def test_strict_blocks_while_the_database_is_locked_and_recovers(directory: Path) -> None:
    port = free_port()
    with (
        serving(
            directory, settings(http_port=port), environment={**STRICT, "ICAPD_AUDIT_PATIENCE": "1"}
        ) as server,
        server.connect() as connection,
        contextlib.closing(sqlite3.connect(directory / "icapd.db", isolation_level=None)) as other,
    ):
        assert is_inspected(connection)
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            assert NOT_RECORDED in ask(connection, CLEAN)
        until(lambda: page(port, "/readyz")[0] == 503)
        assert "mode is strict" in page(port, "/readyz")[1]
        other.execute("ROLLBACK")
        until(lambda: page(port, "/readyz")[0] == 200)
        assert is_inspected(connection)
        assert server.query("SELECT count(*) FROM audit_admin WHERE action = 'late'") == [(1,)]
        assert server.stop() == 0
    assert server.verify() == 0


def test_a_flood_is_counted_exactly_in_few_rows(directory: Path) -> None:
    """AUDIT 19: as many as four connections bring, half of it before a worker is killed."""
    threshold, each, lines = 20, 250, 4
    environment = {"ICAPD_AUDIT_COALESCE_AFTER": str(threshold)}
    sent = threading.Semaphore(0)

    def load(server: Server) -> None:
        with server.connect() as connection:
            for _ in range(each):
                assert is_inspected(connection)
                sent.release()

    with serving(directory, settings(), environment=environment) as server:
        for _ in range(2):
            threads = [threading.Thread(target=load, args=(server,)) for _ in range(lines)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # Not waited for: what was counted may be in no numbered row yet.
            os.kill(processes(server)[1], signal.SIGKILL)
            server.wait_for_log("event=worker-started")
        told = sum(iter(lambda: sent.acquire(blocking=False), False))
        transactions, rows = server.query("SELECT sum(repeats), count(*) FROM audit_event")[0]
        sys.stdout.write(f"sent {2 * lines * each}, seen {told}, stored {transactions} in {rows} rows\n")
        assert transactions == told == 2 * lines * each
        assert rows < transactions / 2
        assert server.stop() == 0
    assert server.verify() == 0
