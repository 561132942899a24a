"""Verification: an untouched trail passes; each kind of tampering is told by name, place and code."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audit_records import FINDING, NOON, make_record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update
from support.trail import Trail
from tampering import (
    LAST,
    ROW,
    Tampered,
    add_a_finding_to_nothing,
    change_a_finding,
    delete_a_checkpoint,
    delete_a_finding,
    delete_a_row,
    delete_all_rows,
    delete_the_last_500,
    delete_the_last_checkpoint,
    delete_the_tail_and_what_speaks_for_it,
    double,
    end,
    forge_behind_the_end,
    forget_the_shipment,
    forget_the_writer,
    hide_a_row_as_refused,
    move_a_finding,
    of_row,
    own_the_rows_of_another,
    rewrite_from_the_middle,
    sign_with_another_key,
    swap,
    take_the_chain_off,
    tell_another_server,
)

from icapd.audit import instants
from icapd.audit.evidence import anchors, checkpoints
from icapd.audit.evidence.checkpoints import NONE_BEFORE
from icapd.audit.evidence.faults import Fault, Kind
from icapd.audit.evidence.notes import Signer, load_signer
from icapd.audit.evidence.verify import Scope
from icapd.audit.tables import (
    audit_admin,
    audit_checkpoint,
    audit_event,
    audit_finding,
    audit_shadow,
    audit_shipment,
    audit_writer,
)


def flipped(value: Any) -> Any:
    """Another value of the same type, by one bit if it has any."""
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    if isinstance(value, int):
        return value ^ 1
    if not value:
        return "x"
    # Of a hexadecimal digit, another one.
    return chr(ord(value[0]) ^ 1) + value[1:]


def columns_of(table: Any, *without: str) -> list[tuple[Any, str]]:
    names = [name for name in list(table.c.keys()) if name not in {"writer_id", "recorded_at", *without}]
    return [(table, name) for name in names]


FLIPS = [
    *columns_of(audit_event, "writer_seq"),
    *columns_of(audit_finding, "writer_seq"),
    *columns_of(audit_admin, "writer_seq"),
    *columns_of(audit_shadow, "writer_seq"),
    *columns_of(audit_writer),
]


def test_one_flipped_byte_in_any_column_is_told_with_its_row(empty_url: str, tmp_path: Path) -> None:
    # Few rows, for all of them are verified for each column.
    events = 20
    ended = end(Trail.make(tmp_path, empty_url), events)
    assert ended.report().faults == []
    middle = events // 2
    rows = {
        audit_event: middle,
        audit_finding: middle,
        audit_admin: events + 3,
        audit_shadow: events + 2,
        audit_writer: 0,
    }
    missed = []
    for table, name in FLIPS:
        seq, column = rows[table], table.c[name]
        where = of_row(table, seq) & (table.c.item_no == 2 if table is audit_finding else True)
        before = ended.one(select(column).where(where))[0]
        ended.run(update(table).where(where).values({name: flipped(before)}))
        report = ended.report()
        if report.exit_code(strict=False) != Kind.ALTERED or report.faults[0].writer_seq != seq:
            missed.append((table.name, name, report))
        changed = of_row(table, seq) & (column == flipped(before))
        ended.run(update(table).where(changed).values({name: before}))
    assert missed == []
    assert ended.report().faults == []


TAMPERINGS: list[tuple[Callable[[Tampered], None], Kind, int]] = [
    (delete_a_row, Kind.MISSING, ROW),
    (delete_the_last_500, Kind.TRUNCATED, LAST - 499),
    (delete_the_tail_and_what_speaks_for_it, Kind.TRUNCATED, LAST - 499),
    (delete_all_rows, Kind.MISSING, 0),
    (swap, Kind.ALTERED, ROW),
    (double, Kind.DUPLICATED, ROW),
    (forge_behind_the_end, Kind.ALTERED, LAST + 1),
    (rewrite_from_the_middle, Kind.ALTERED, LAST),
    (delete_a_checkpoint, Kind.MISSING, LAST),
    (delete_the_last_checkpoint, Kind.MISSING, LAST),
    (sign_with_another_key, Kind.ALTERED, LAST),
    (change_a_finding, Kind.ALTERED, ROW),
    (delete_a_finding, Kind.ALTERED, ROW),
    (move_a_finding, Kind.ALTERED, ROW),
    (add_a_finding_to_nothing, Kind.ALTERED, LAST),
    (take_the_chain_off, Kind.ALTERED, ROW),
    (hide_a_row_as_refused, Kind.ALTERED, ROW),
    (forget_the_shipment, Kind.MISSING, LAST),
    (forget_the_writer, Kind.MISSING, 0),
    (tell_another_server, Kind.ALTERED, 0),
    (own_the_rows_of_another, Kind.ALTERED, ROW),
]


@pytest.mark.parametrize(
    ("tamper", "kind", "seq"), TAMPERINGS, ids=[tamper.__name__ for tamper, _, _ in TAMPERINGS]
)
def test_tampering_is_told_with_its_row_and_its_exit_code(
    ended: Tampered, tamper: Callable[[Tampered], None], kind: Kind, seq: int
) -> None:
    tamper(ended)
    report = ended.report()
    assert report.exit_code(strict=False) == kind, report.faults
    first = next(fault for fault in report.faults if fault.kind == kind)
    assert first.writer_seq == seq, report.faults


def test_everything_is_counted(ended: Tampered) -> None:
    expected: list[int] = []
    advanced: list[int] = []
    report = ended.report(expect=expected.append, advance=advanced.append)
    assert (report.writers, report.rows, report.faults) == (1, LAST, [])
    assert (sum(expected), sum(advanced)) == (LAST, LAST)
    # Of the first batch, which has 1,000 rows, and of the end.
    assert (report.checkpoints, report.unsigned, report.unchained, report.silent) == (2, 0, 0, 0)
    assert report.exit_code(strict=True) == 0


def test_the_erased_still_verify(ended: Tampered) -> None:
    erased = {"client_ip": None, "client_user": None, "path": None, "subject_salt": None}
    ended.run(update(audit_event).where(audit_event.c.writer_seq < ROW).values(**erased))
    report = ended.report()
    assert (report.faults, report.erased) == ([], ROW - 2)
    half = {"client_user": "mallory", "subject_salt": None}
    ended.run(update(audit_event).where(of_row(audit_event, ROW + 5)).values(**half))
    assert [fault.writer_seq for fault in ended.report().faults] == [ROW + 5]


def test_one_writer_of_two(ended: Tampered) -> None:
    other = end(Trail(ended.trail.outbox, ended.trail.url))
    assert ended.report().writers == 2
    delete_one = delete(audit_event).where(audit_event.c.writer_id == other.writer_id, of_row(audit_event))
    ended.run(
        delete(audit_finding).where(audit_finding.c.writer_id == other.writer_id, of_row(audit_finding))
    )
    ended.run(delete_one)
    assert ended.report(scope=Scope(writer_id=ended.writer_id)).faults == []
    faults = ended.report().faults
    assert [(fault.kind, fault.writer_id, fault.writer_seq) for fault in faults] == [
        (Kind.MISSING, other.writer_id, ROW)
    ]


def test_rows_of_an_icapd_without_chains_are_counted(ended: Tampered) -> None:
    delete_all_rows(ended)
    for table in (audit_checkpoint, audit_shipment):
        ended.run(delete(table))
    old = {"writer_id": 5, "occurred_at": NOON, "writer_seq": 1, "action": "start", "detail": "{}"}
    ended.run(insert(audit_admin).values(**old))
    ended.run(insert(audit_writer).values(writer_id=5, node="a", process_id=1, version="0", started_at=NOON))
    report = ended.report()
    assert (report.faults, report.unchained, report.unsigned) == ([], 1, 0)


HOSTILE = [
    ("host", "x'ff41'", "text that is no UTF-8", ROW),
    ("host", "x'666f6f'", "bytes in the place of text", ROW),
    ("port", "443.5", "a fraction", ROW),
    ("port", "9223372036854775807", "a large number", ROW),
    ("occurred_at", "'2026-05-17 1?'", "a time that is none", ROW),
    ("occurred_at", "'2026-W20-7 10:00:00.000598'", "the same time in another spelling", ROW),
    ("occurred_at", "x'00'", "bytes in the place of a time", ROW),
    ("chain", "'text'", "text in the place of a chain", ROW),
    ("subject_commitment", "7", "a number in the place of a commitment", ROW),
    ("subject_salt", "'text'", "text in the place of a salt", ROW),
    ("client_user", "CAST(x'ff' AS TEXT)", "a user that is no UTF-8", ROW),
    ("writer_seq", "'six'", "a number that is none", 0),
    ("writer_seq", "-5", "a negative number", -5),
    ("writer_id", "'me'", "a writer that is none", 0),
]


@pytest.mark.parametrize(("column", "value", "why", "seq"), HOSTILE, ids=[case[2] for case in HOSTILE])
def test_what_only_sqlite_takes_is_told_like_any_other_change(
    in_sqlite: Tampered, column: str, value: str, why: str, seq: int
) -> None:
    cast = f"CAST({value} AS TEXT)" if "UTF-8" in why else value
    in_sqlite.run(text(f"UPDATE audit_event SET {column} = {cast} WHERE writer_seq = {ROW}"))
    report = in_sqlite.report()
    assert report.exit_code(strict=False) == Kind.ALTERED
    assert seq in {fault.writer_seq for fault in report.faults if fault.kind == Kind.ALTERED}


@pytest.mark.postgresql
def test_a_time_without_end_is_told_like_any_other_change(postgresql_url: str, tmp_path: Path) -> None:
    ended = end(Trail.make(tmp_path, postgresql_url))
    ended.run(text(f"UPDATE audit_event SET occurred_at = 'infinity' WHERE writer_seq = {ROW}"))
    assert ended.report().faults[0].writer_seq == ROW


TEXT = st.text(max_size=30)
RECORDS = st.lists(
    st.builds(
        make_record,
        occurred_at=st.integers(0, instants.LATEST),
        host=st.none() | TEXT,
        path=st.none() | TEXT,
        client_user=st.none() | TEXT,
        http_status=st.none() | st.integers(-(2**70), 2**70),
        latency_us=st.integers(0, 2**63 - 1),
        findings=st.lists(st.builds(replace, st.just(FINDING), target=TEXT, excerpt=TEXT), max_size=3).map(
            tuple
        ),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Trail:
    return Trail.make(tmp_path_factory.mktemp("trail"))


@given(RECORDS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_records_verify_untouched(many: Trail, records: list[Any]) -> None:
    many.write(*records)
    many.ship()
    report = many.verify()
    assert (report.faults, report.unsigned) == ([], 0)


@pytest.mark.postgresql
@given(RECORDS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_records_verify_untouched_on_postgresql(postgresql_trail: Trail, records: list[Any]) -> None:
    postgresql_trail.write(*records)
    postgresql_trail.ship()
    report = postgresql_trail.verify()
    assert (report.faults, report.unsigned) == ([], 0)


@pytest.fixture
def postgresql_trail(postgresql_url: str, tmp_path: Path) -> Trail:
    return Trail.make(tmp_path, postgresql_url)


def test_it_verifies_while_a_shipper_is_at_work(empty_url: str, tmp_path: Path) -> None:
    trail = Trail.make(tmp_path, empty_url)
    done = threading.Event()

    def ship() -> None:
        with closing(trail.shipper()) as shipper, trail.writer() as writer:
            while not done.is_set():
                writer.write_all(("final", make_record(findings=(FINDING,))) for _ in range(50))
                shipper.round()

    shipping = threading.Thread(target=ship)
    shipping.start()
    try:
        seen = 0
        while seen < 2000:
            report = trail.verify()
            assert report.faults == []
            assert report.rows >= seen
            seen = report.rows
    finally:
        done.set()
        shipping.join()


def test_a_writer_that_lives_has_an_unsigned_tail_which_is_no_fault(tmp_path: Path) -> None:
    trail = Trail.make(tmp_path)
    with trail.writer() as writer, closing(trail.shipper()) as shipper:
        shipper.round()
        writer.write(make_record())
        shipper.round()
        report = trail.verify()
        assert (report.faults, report.unsigned, report.checkpoints) == ([], 1, 1)
        assert (report.exit_code(strict=False), report.exit_code(strict=True)) == (0, Kind.UNSIGNED)


def anchored(trail: Trail, file: Path) -> Iterator[str]:
    for (note,) in trail.rows("SELECT note FROM audit_checkpoint ORDER BY signed_at"):
        anchors.append(file, note)
        yield note


def test_an_anchor_tells_what_the_database_can_not(in_sqlite: Tampered, tmp_path: Path) -> None:
    """Who has the key and the database writes everything anew: the copies outside still show it."""
    file = tmp_path / "anchors"
    assert len(list(anchored(in_sqlite.trail, file))) == 2
    report = in_sqlite.report(anchor_file=file)
    assert (report.faults, report.anchors) == ([], 2)
    rewrite_from_the_middle(in_sqlite)
    signer = load_signer(Path(in_sqlite.trail.settings.signing_key))
    of_last = of_row(audit_checkpoint, LAST)
    row = in_sqlite.one(select(audit_checkpoint).where(of_last))
    first = in_sqlite.one(select(audit_checkpoint).where(audit_checkpoint.c.writer_seq < LAST))
    chain, before = in_sqlite.chain(LAST), checkpoints.digest_of(first.note)
    forged = checkpoints.sign(signer, row.writer_id, row.signed_at, LAST, chain, before)
    in_sqlite.run(update(audit_checkpoint).where(of_last).values(chain=chain, note=forged.note))
    assert in_sqlite.report().faults == []
    faults = in_sqlite.report(anchor_file=file).faults
    assert [(fault.kind, fault.writer_seq) for fault in faults] == [(Kind.ALTERED, LAST)]


def test_an_anchor_tells_of_a_writer_that_is_gone_without_a_trace(
    in_sqlite: Tampered, tmp_path: Path
) -> None:
    file = tmp_path / "anchors"
    list(anchored(in_sqlite.trail, file))
    delete_all_rows(in_sqlite)
    for table in (audit_checkpoint, audit_shipment):
        in_sqlite.run(delete(table))
    assert in_sqlite.report().faults == []
    report = in_sqlite.report(anchor_file=file)
    assert Kind.TRUNCATED in {fault.kind for fault in report.faults}
    assert {fault.writer_id for fault in report.faults} == {in_sqlite.writer_id}


def test_an_anchor_of_someone_else_is_told(in_sqlite: Tampered, tmp_path: Path) -> None:
    file = tmp_path / "anchors"
    forged = checkpoints.sign(Signer.generate(), in_sqlite.writer_id, NOON, 1, b"c" * 32, NONE_BEFORE)
    anchors.append(file, forged.note)
    expected = Fault(Kind.ALTERED, None, 0, "anchor", "anchor 1: is signed with none of the trusted keys")
    assert in_sqlite.report(anchor_file=file).faults == [expected]
