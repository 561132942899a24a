"""Erasure: a person leaves the records, and the trail verifies."""

from pathlib import Path

import pytest
from audit_records import FINDING, NOON, make_record
from retaining import AFTER_RECORDS, Kept
from sqlalchemy import select, text
from support.trail import Trail
from tampering import Tampered

from icapd.audit.outbox.file import OutboxFile
from icapd.audit.retention import erasure
from icapd.audit.search import Filters, search
from icapd.audit.tables import audit_dead_letter, audit_event


@pytest.fixture
def kept(empty_url: str, tmp_path: Path) -> Kept:
    return Kept(Trail.make(tmp_path, empty_url))


def erase(kept: Kept, **subject: object) -> int:
    return sum(erasure.erase(kept.database, kept.keys, Filters(**subject)))  # type: ignore[arg-type]


def test_a_person_leaves_the_records_and_the_chain_holds(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "_ROWS", 7)
    kept.write(20, client_user="alice")
    kept.write(20, client_user="bob", client_ip="192.0.2.8")
    assert erasure.erasable(kept.database, kept.keys, Filters(user="alice")).rows == 20
    assert erase(kept, user="alice") == 20
    assert kept.trail.rows(
        "SELECT client_user, client_ip, path, count(*) FROM audit_event WHERE subject_salt IS NULL"
        " GROUP BY client_user, client_ip, path"
    ) == [(None, None, None, 20)]
    report = kept.trail.verify()
    assert (report.faults, report.erased) == ([], 20)
    assert len(list(search(kept.trail.url, Filters(user="bob")))) == 20
    assert erase(kept, user="alice") == 0
    # And what was erased is purged like all else.
    assert kept.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS).rows == 40
    assert kept.trail.verify().faults == []


@pytest.mark.parametrize(
    ("subject", "count"),
    [
        pytest.param({"client": "192.0.2.7"}, 20, id="client"),
        pytest.param({"client": "192.0.2.7", "user": "bob"}, 0, id="both have to be so"),
        pytest.param({"user": "alice", "since": NOON + 5000}, 15, id="since"),
        pytest.param({"user": "alice", "until": NOON + 5000}, 5, id="until"),
        pytest.param({"user": "Alice"}, 0, id="byte by byte"),
    ],
)
def test_only_whom_it_is_about(tmp_path: Path, subject: dict[str, object], count: int) -> None:
    kept = Kept(Trail.make(tmp_path))
    kept.write(20)
    assert erase(kept, **subject) == count


def test_a_row_whose_time_is_none_is_erased_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite takes anything; and people can be in rows that somebody has spoilt."""
    monkeypatch.setattr(erasure, "_ROWS", 7)
    kept = Kept(Trail.make(tmp_path))
    kept.write(20)
    for seq, value in ((2, "yesterday"), (9, ""), (12, "2026-05-17T10:00:00")):
        row = text("UPDATE audit_event SET occurred_at = :value WHERE writer_seq = :seq")
        Tampered(kept.trail, 0).run(row.bindparams(value=value, seq=seq))
    assert erase(kept, user="alice") == 20
    left = kept.trail.rows("SELECT count(*) FROM audit_event WHERE client_user = 'alice' OR path <> ''")
    assert left == [(0,)]


def test_a_dead_letter_is_erased_too(kept: Kept) -> None:
    """A row that the database refused holds the record as it was in the outbox."""
    with kept.trail.writer() as writer:
        writer.write(make_record(findings=(FINDING,)))
        writer.write(make_record(client_user="bob"))
    outbox = OutboxFile.open(writer.file, "rw")
    bodies = {entry.seq: entry for entry in outbox.read(0, 10)}
    outbox.close()
    kept.trail.ship()
    for seq in (2, 3):
        entry = bodies[seq]
        hands = Tampered(kept.trail, writer.writer_id)
        row = hands.one(select(audit_event.c.occurred_at).where(audit_event.c.writer_seq == seq))
        for table in ("audit_finding", "audit_event"):
            if seq == 2 or table == "audit_event":
                hands.run(text(f"DELETE FROM {table} WHERE writer_seq = {seq}"))
        letter = {
            "writer_id": writer.writer_id,
            "occurred_at": row.occurred_at,
            "writer_seq": seq,
            "kind": "event",
            "body": entry.body,
            "salt": entry.salt,
            "commitment": entry.commitment,
            "chain": entry.chain,
            "problem": "",
            "failed_at": NOON,
        }
        hands.run(audit_dead_letter.insert().values(**letter))
    assert kept.trail.verify().faults == []
    assert erasure.erasable(kept.database, kept.keys, Filters(user="alice")).rows == 1
    assert erase(kept, user="alice") == 1
    report = kept.trail.verify()
    assert (report.faults, report.erased) == ([], 1)
    bodies_left = [
        body for (body,) in kept.trail.rows("SELECT body FROM audit_dead_letter ORDER BY writer_seq")
    ]
    assert ["alice" in body for body in bodies_left] == [False, False]
    assert ["bob" in body for body in bodies_left] == [False, True]
