"""Several writers at one file, as the workers of a server are: they take turns, and none takes another's."""

import os
import signal
import sqlite3
from contextlib import closing
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from audit_records import make_record

from icapd.audit import AuditWriter, reserve

WRITERS = 4
RECORDS = 500


def write_many(url: str, number: int) -> None:
    with AuditWriter.open(url, reserved=True) as writer:
        for record in range(RECORDS):
            writer.write(make_record(txn_id=f"{number}-{record}"))


def leave_a_stream_open(url: str, ready: Connection) -> None:
    writer = AuditWriter.open(url, reserved=True)
    writer.write_all([("open", make_record(txn_id="dead"))])
    ready.send_bytes(b"")
    signal.pause()


def open_streams(file: Path) -> list[int]:
    with closing(sqlite3.connect(file)) as connection:
        return [writer_id for (writer_id,) in connection.execute("SELECT writer_id FROM audit_open")]


def test_writers_that_write_at_once_lose_nothing(sqlite_url: str, sqlite_file: Path) -> None:
    processes = get_context("spawn")
    with reserve(sqlite_url):
        writers = [processes.Process(target=write_many, args=(sqlite_url, n)) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
    # A write that met a locked database would have ended its process.
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    with closing(sqlite3.connect(sqlite_file)) as connection:
        count, distinct = connection.execute(
            "SELECT count(*), count(DISTINCT txn_id) FROM audit_event"
        ).fetchone()
        gaps = connection.execute("SELECT max(writer_seq) FROM audit_event GROUP BY writer_id").fetchall()
    assert count == distinct == WRITERS * RECORDS
    assert gaps == [(RECORDS + 1,)] * WRITERS


def test_writer_takes_over_the_streams_of_the_dead_only(sqlite_url: str, sqlite_file: Path) -> None:
    processes = get_context("spawn")
    reader, ready = processes.Pipe(duplex=False)
    with reserve(sqlite_url), AuditWriter.open(sqlite_url, reserved=True) as living:
        living.write_all([("open", make_record(txn_id="living"))])
        dying = processes.Process(target=leave_a_stream_open, args=(sqlite_url, ready))
        dying.start()
        reader.recv_bytes()
        # As long as both live, a third one takes nothing.
        AuditWriter.open(sqlite_url, reserved=True).close()
        assert len(open_streams(sqlite_file)) == 2
        assert dying.pid is not None
        os.kill(dying.pid, signal.SIGKILL)
        dying.join()
        AuditWriter.open(sqlite_url, reserved=True).close()
        assert open_streams(sqlite_file) == [living.writer_id]
    with closing(sqlite3.connect(sqlite_file)) as connection:
        cut = connection.execute("SELECT txn_id, disposition, skip_reason FROM audit_event").fetchall()
    assert cut == [("dead", "cut", "server-stopped")]
    reader.close()
    ready.close()
