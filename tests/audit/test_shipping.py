"""From the outboxes to the database: everything once, whatever dies, comes back or is refused in between."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import psycopg
import pytest
from audit_records import FINDING, NOON, make_record
from support.trail import LIMIT, Trail, tally

from icapd.audit import AuditWriter, migrations, reserve
from icapd.audit.database import Database
from icapd.audit.outbox.file import OutboxFile
from icapd.audit.shipping import shipper as shipping
from icapd.audit.shipping.destination import Destination, require_destination
from icapd.errors import AuditError

WRITERS, RECORDS, FINDINGS = 4, 500, 3


@pytest.fixture
def trail(empty_url: str, tmp_path: Path) -> Trail:
    return Trail.make(tmp_path, empty_url)


def test_all_kinds_of_rows_arrive_with_their_chain(trail: Trail) -> None:
    record = make_record(
        findings=(FINDING, replace(FINDING, target="url")), path=None, client_user="ä\U0001f600"
    )
    with trail.writer() as writer:
        writer.write(record)
        writer.note("policy-taken", {"before": "a", "after": "b"})
    assert trail.records() == [record]
    rows = trail.rows(
        "SELECT writer_seq, chain FROM audit_event"
        " UNION ALL SELECT writer_seq, chain FROM audit_admin ORDER BY 1"
    )
    assert [number for number, _ in rows] == [1, 2, 3, 4]
    assert len({bytes(chain) for _, chain in rows}) == 4
    assert trail.rows("SELECT shipped_seq FROM audit_shipment") == [(4,)]
    assert list(trail.outbox.iterdir()) == []


def test_nothing_doubles_when_a_batch_comes_again(trail: Trail) -> None:
    with trail.writer() as writer:
        for _ in range(20):
            writer.write(make_record(findings=(FINDING,)))
        outbox = OutboxFile.open(writer.file, "ro")
        entries, known = outbox.read(0, 100), outbox.writer()
        outbox.close()
        assert known is not None
        destination = Destination(Database.parse(trail.url))
        for _ in range(3):
            destination.ship(known, entries)
            destination.ship(known, entries[5:10])
        destination.close()
    trail.ship()
    assert trail.rows("SELECT count(*) FROM audit_event") == [(20,)]
    assert trail.rows("SELECT count(*) FROM audit_finding") == [(20,)]
    assert trail.rows("SELECT count(*) FROM audit_admin") == [(2,)]


def test_what_the_database_refuses_is_a_dead_letter_and_holds_nothing_up(trail: Trail) -> None:
    with trail.writer() as writer:
        good = [make_record(occurred_at=make_record().occurred_at + number) for number in range(10)]
        for record in good:
            writer.write(record)
        with closing(sqlite3.connect(writer.file)) as outbox, outbox:
            # As if `storable` had let something through; and something that an older icapd can't know.
            outbox.execute("UPDATE entry SET body = json_set(body, '$.host', ?) WHERE seq = 3", ("h" * 300,))
            outbox.execute("UPDATE entry SET kind = 'dream' WHERE seq = 5")
            outbox.execute("UPDATE entry SET body = '{' WHERE seq = 7")
    # SQLite takes a text of any length.
    refused = [(5, "dream"), (7, "event")]
    if "sqlite" not in trail.url:
        refused.insert(0, (3, "event"))
    found = {record.event_id for record in trail.records()}
    assert found == {one.event_id for number, one in enumerate(good, 2) if number not in dict(refused)}
    dead = trail.rows("SELECT writer_seq, kind, problem FROM audit_dead_letter ORDER BY 1")
    assert [(number, kind) for number, kind, _ in dead] == refused
    assert all(problem for *_, problem in dead)
    assert list(trail.outbox.iterdir()) == []


def test_streams_of_the_dead_become_records_and_those_of_the_living_stay(trail: Trail) -> None:
    quiet, found = make_record(), make_record(verdict="redacted", findings=(FINDING,))
    with trail.writer() as living:
        living.write_all([("open", make_record())])
        dead = trail.writer()
        for record in (quiet, found):
            dead.write_all([("open", record)])
        dead._outbox.close()
        dead._mark.close()
        cut = {"disposition": "cut", "inspection": "error", "skip_reason": "server-stopped"}
        by_id = {record.event_id: record for record in trail.records()}
        assert by_id == {one.event_id: replace(one, **cut) for one in (quiet, found)}  # type: ignore[arg-type]
        assert not dead.file.exists()
        assert living.file.exists()
    last = trail.rows(
        f"SELECT action, detail FROM audit_admin WHERE writer_id = {dead.writer_id} ORDER BY writer_seq"
    )
    assert last[-1] == ("died", '{"unfinished_streams":2}')


def test_a_database_that_is_away_loses_nothing(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "BATCH", 7)
    records = [make_record(occurred_at=NOON + number) for number in range(50)]
    away = Trail(trail.outbox, "postgresql://nobody@/nothing?host=/nowhere")
    with trail.writer() as writer:
        for record in records:
            writer.write(record)
        with pytest.raises(AuditError, match="nobody@/nothing"):
            away.ship()
        assert away_problem(away.url)
        shipper = trail.shipper()
        assert shipper.round() == 7
        left = shipper.backlog()
        assert left.entries == 51 - 7
        # The chain's beginning and six records are there.
        assert left.oldest == records[6].occurred_at
        shipper.close()
    assert len(trail.records()) == 50


def away_problem(url: str) -> str:
    """Why a server starts nevertheless."""
    return require_destination(url)


def test_a_database_without_tables_is_refused_at_the_start(empty_url: str) -> None:
    with pytest.raises(AuditError, match="icapd db upgrade"):
        require_destination(empty_url)
    migrations.upgrade(empty_url)
    assert require_destination(empty_url) == ""


def write_many(outbox: Path, number: int) -> None:
    with AuditWriter.open(outbox, max_size=LIMIT, mode="relaxed", role="worker") as writer:
        for record in range(RECORDS):
            writer.write(make_record(txn_id=f"{number}-{record}"))


def test_writers_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    trail = Trail.make(tmp_path)
    processes = get_context("spawn")
    writers = [processes.Process(target=write_many, args=(trail.outbox, n)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    shipper = trail.shipper()
    while any(writer.is_alive() for writer in writers):
        shipper.round()
    shipper.close()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    trail.ship()
    assert trail.rows("SELECT count(*), count(DISTINCT txn_id) FROM audit_event") == [
        (WRITERS * RECORDS,) * 2
    ]
    assert (
        trail.rows("SELECT max(writer_seq) FROM audit_admin GROUP BY writer_id") == [(RECORDS + 2,)] * WRITERS
    )


def write_for_ever(outbox: Path, written: Connection) -> None:
    """Tells the id of each record after it was written; some are streams, of which every other stays open."""
    writer = AuditWriter.open(outbox, max_size=LIMIT, mode="relaxed", role="worker")
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


def ids_until_killed(outbox: Path, how_many: int) -> Iterator[str]:
    """The ids that a worker told of before it was killed: `how_many`, and those until the signal came."""
    processes = get_context("spawn")
    reader, writer = processes.Pipe(duplex=False)
    worker = processes.Process(target=write_for_ever, args=(outbox, writer))
    worker.start()
    writer.close()
    for _ in range(how_many):
        yield reader.recv_bytes().decode()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(EOFError):
        while True:
            yield reader.recv_bytes().decode()
    worker.join()
    reader.close()


def ship_until_killed(outbox: Path, url: str, ready: Connection) -> None:
    """Ships in batches of one, so that there is always something between two transactions."""
    shipping.BATCH = 1
    shipper = Trail(outbox, url).shipper()
    while True:
        shipper.round()
        ready.send_bytes(b"")


def test_kill_9_of_workers_and_shippers_loses_doubles_and_tears_nothing(tmp_path: Path) -> None:
    trail = Trail.make(tmp_path)
    processes = get_context("spawn")
    told: list[str] = []
    for how_many in (1, 50, 200):
        reader, ready = processes.Pipe(duplex=False)
        shipper = processes.Process(target=ship_until_killed, args=(trail.outbox, trail.url, ready))
        shipper.start()
        ready.close()
        told += ids_until_killed(trail.outbox, how_many)
        reader.recv_bytes()
        assert shipper.pid is not None
        os.kill(shipper.pid, signal.SIGKILL)
        shipper.join()
        reader.close()
    found = trail.records()
    ids = [record.event_id for record in found]
    assert tally(told, ids) == (0, 0)
    # A worker may die between a commit and telling of it, once a life; also in a stream not yet renewed.
    assert len(ids) - len(told) <= 3
    assert {len(record.findings) for record in found if record.event_id in set(told)} == {FINDINGS}
    report = trail.verify()
    assert (report.faults, report.unsigned) == ([], 0)
    assert list(trail.outbox.iterdir()) == []


def test_a_second_server_on_the_same_outboxes_is_refused(tmp_path: Path) -> None:
    with reserve(tmp_path / "outbox"), pytest.raises(AuditError, match="another icapd has it; stop that one"):
        reserve(tmp_path / "outbox")
    reserve(tmp_path / "outbox").close()


@pytest.mark.postgresql
def test_postgresql_gets_new_rows_by_copy_and_the_others_by_insert(
    postgresql_url: str, tmp_path: Path
) -> None:
    trail = Trail.make(tmp_path, postgresql_url)

    def events() -> list[tuple[int]]:
        return trail.rows("SELECT count(*) FROM audit_event")

    with trail.writer() as writer, closing(Destination(Database.parse(trail.url))) as destination:
        writer.write(make_record(findings=(FINDING,)))
        outbox = OutboxFile.open(writer.file, "ro")
        known = outbox.writer()
        assert known is not None
        # What COPY brings is no business of a rule's.
        with psycopg.connect(postgresql_url, autocommit=True) as connection:
            connection.execute("CREATE RULE no_insertion AS ON INSERT TO audit_event DO INSTEAD NOTHING")
        destination.ship(known, outbox.read(0, 100))
        assert events() == [(1,)]
        # Now its first rows are there, and the last one is not.
        writer.write(make_record(findings=(FINDING,)))
        destination.ship(known, outbox.read(0, 100))
        assert events() == [(1,)]
        with psycopg.connect(postgresql_url, autocommit=True) as connection:
            connection.execute("DROP RULE no_insertion ON audit_event")
        destination.ship(known, outbox.read(0, 100))
        outbox.close()
    trail.ship()
    assert trail.rows("SELECT count(*) FROM audit_event") == [(2,)]
    assert trail.rows("SELECT count(*) FROM audit_finding") == [(2,)]
    assert trail.verify().faults == []


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "host",
    [
        pytest.param("a\0b", id="nul"),
        pytest.param("h" * 300, id="too-long"),
    ],
)
def test_what_copy_refuses_takes_its_neighbours_with_it_no_further_than_to_an_insertion(
    host: str, postgresql_url: str, tmp_path: Path
) -> None:
    trail = Trail.make(tmp_path, postgresql_url)
    with trail.writer() as writer:
        for number in range(7):
            writer.write(make_record(findings=(FINDING,), txn_id=str(number)))
        with closing(sqlite3.connect(writer.file)) as outbox, outbox:
            # As if `storable` had let something through.
            body = msgspec.json.encode(make_record(findings=(FINDING,), host=host)).decode()
            outbox.execute("UPDATE entry SET body = ? WHERE seq = 4", (body,))
    trail.ship()
    assert trail.rows("SELECT writer_seq FROM audit_event ORDER BY 1") == [(2,), (3,), (5,), (6,), (7,), (8,)]
    assert trail.rows("SELECT writer_seq FROM audit_dead_letter") == [(4,)]
    assert trail.rows("SELECT count(*) FROM audit_finding") == [(6,)]


@pytest.mark.postgresql
def test_what_a_copy_has_in_it_comes_back_as_it_was(postgresql_url: str, tmp_path: Path) -> None:
    trail = Trail.make(tmp_path, postgresql_url)
    odd = make_record(
        path="\\N\\.\ttab\nline\rreturn\\x00",
        client_user="\\.",
        host=None,
        content_type="",
        http_method="\\N",
    )
    trail.write(odd)
    assert trail.records() == [odd]
    assert trail.verify().faults == []


@pytest.mark.postgresql
def test_a_connection_that_dies_within_a_copy_loses_and_doubles_nothing(
    postgresql_url: str, tmp_path: Path
) -> None:
    trail = Trail.make(tmp_path, postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("CREATE SEQUENCE deaths")
        connection.execute("""
            CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF new.writer_seq IN (2, 50, 99) AND nextval('deaths') <= 3 THEN
                    PERFORM pg_terminate_backend(pg_backend_pid());
                END IF;
                RETURN new;
            END $$
        """)
        connection.execute(
            "CREATE TRIGGER die BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION die()"
        )
    trail.write(*(make_record(findings=(FINDING,), txn_id=str(number)) for number in range(200)))
    failures = 0
    with closing(trail.shipper()) as shipper:
        while True:
            try:
                if not shipper.round():
                    break
            except AuditError as error:
                assert "terminating connection" in str(error)
                failures += 1
    assert failures == 3
    assert len({record.txn_id for record in trail.records()}) == len(trail.records()) == 200
    assert trail.rows("SELECT count(*) FROM audit_finding") == [(200,)]
    assert trail.rows("SELECT count(*) FROM audit_dead_letter") == [(0,)]
    assert trail.verify().faults == []
