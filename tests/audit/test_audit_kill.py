"""kill -9: what write() returned from is in the database, once and whole."""

import os
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from audit_records import FINDING, make_record

from icapd.audit import AuditWriter
from icapd.audit.search import Filters, search

FINDINGS = 3


def write_for_ever(url: str, written: Connection) -> None:
    """Tells the id of each record after it was written; some are streams, of which every other stays open."""
    writer = AuditWriter.open(url)
    for number in count():
        record = make_record(findings=(FINDING,) * FINDINGS, txn_id=f"node-{number}")
        match number % 4:
            case 0:
                writer.write_all([("open", record)])
            case 1:
                writer.write_all([("open", replace(record, findings=()))])
                writer.write_all([("close", record)])
            case _:
                writer.write(record)
        written.send_bytes(record.event_id.encode())


def ids_until_killed(url: str, how_many: int) -> list[str]:
    """The ids that a server told of before it was killed: `how_many`, and those until the signal came."""
    processes = get_context("spawn")
    reader, writer = processes.Pipe(duplex=False)
    server = processes.Process(target=write_for_ever, args=(url, writer))
    server.start()
    writer.close()
    told = [reader.recv_bytes().decode() for _ in range(how_many)]
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(EOFError):
        while True:
            told.append(reader.recv_bytes().decode())
    server.join()
    reader.close()
    return told


def test_no_record_is_lost_doubled_or_torn(sqlite_url: str, sqlite_file: Path) -> None:
    told = [event_id for how_many in (1, 50, 200) for event_id in ids_until_killed(sqlite_url, how_many)]
    # The last one's open streams become records here.
    AuditWriter.open(sqlite_url).close()

    found = list(search(sqlite_url, Filters()))
    ids = [record.event_id for record in found]
    assert len(ids) == len(set(ids))
    assert set(told) <= set(ids)
    # A server may die between a commit and telling of it, once a life; also in a stream not yet renewed.
    assert len(ids) - len(told) <= 3
    assert {len(record.findings) for record in found if record.event_id in set(told)} == {FINDINGS}
    with closing(sqlite3.connect(sqlite_file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM audit_open").fetchone() == (0,)
        ((findings,),) = connection.execute(
            "SELECT count(*) FROM audit_finding JOIN audit_event USING (writer_id, occurred_at, writer_seq)"
        )
    assert findings == sum(len(record.findings) for record in found)
