"""Legal holds: what is held stays, and nobody without the key ends one."""

from pathlib import Path
from typing import Any

import pytest
from audit_records import NOON, make_record
from retaining import AFTER_ALL, AFTER_RECORDS, Kept
from sqlalchemy import delete, update
from support.trail import Trail
from tampering import Tampered

from icapd.audit import deeds
from icapd.audit.evidence.notes import Signer
from icapd.audit.retention import batches, erasure, holds
from icapd.audit.retention import purge as purging
from icapd.audit.retention.classes import Cutoffs
from icapd.audit.retention.holds import Hold
from icapd.audit.retention.keys import Keys
from icapd.audit.retention.purge import Outcome
from icapd.audit.retention.transactions import transaction
from icapd.audit.search import Filters
from icapd.audit.tables import audit_hold
from icapd.errors import AuditError

WHO: dict[str, object] = {"user": "officer"}


class Holding(Kept):
    """A trail of which something is held."""

    def hold(self, **filters: Any) -> Hold:
        with (
            deeds.on_record(self.trail.settings, holds.HELD, {}, is_long=False) as deed,
            transaction(self.database) as connection,
        ):
            return holds.add(connection, self.keys, deed.writer_id, Filters(**filters), "case 17", WHO)

    def release(self, hold_id: str) -> None:
        with transaction(self.database) as connection:
            holds.release(connection, self.keys, hold_id, "closed", WHO)

    def purge_all(self) -> int:
        return self.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS).rows


@pytest.fixture
def kept(empty_url: str, tmp_path: Path) -> Holding:
    return Holding(Trail.make(tmp_path, empty_url))


@pytest.fixture
def in_sqlite(tmp_path: Path) -> Holding:
    return Holding(Trail.make(tmp_path))


def test_what_is_held_stays_until_it_is_released(kept: Holding) -> None:
    kept.write(20)
    kept.trail.write(*(make_record(client_user=None, occurred_at=NOON + number) for number in range(5)))
    kept.trail.ship()
    hold = kept.hold(user="alice", since=NOON + 3000, until=NOON + 7000)
    assert kept.purge_all() == 21
    assert kept.trail.rows("SELECT writer_seq FROM audit_event ORDER BY 1") == [(5,), (6,), (7,), (8,)]
    assert kept.trail.verify().faults == []
    kept.release(hold.hold_id)
    assert kept.purge_all() == 4
    report = kept.trail.verify()
    assert (report.faults, report.purged) == ([], 25)


HELD = [
    pytest.param({"host": "api.example.com"}, 20, id="host"),
    pytest.param({"client": "192.0.2.7", "user": "bob"}, 0, id="client and another user"),
    pytest.param({"rule": "credentials.demo-key"}, 2, id="rule"),
    pytest.param({"severity": "low"}, 2, id="severity"),
    pytest.param({"txn": "node-1"}, 20, id="txn"),
    pytest.param({"verdict": "redacted"}, 2, id="verdict"),
    pytest.param({}, 20, id="everything"),
]


@pytest.mark.parametrize(("filters", "stay"), HELD)
def test_a_hold_asks_what_a_search_asks(in_sqlite: Holding, filters: dict[str, Any], stay: int) -> None:
    in_sqlite.write(20)
    in_sqlite.hold(**filters)
    in_sqlite.purge_all()
    assert in_sqlite.count() == stay


def test_rows_besides_are_held_by_their_time(in_sqlite: Holding) -> None:
    in_sqlite.write(20)
    hold = in_sqlite.hold(user="nobody", until=AFTER_ALL)
    in_sqlite.trail.ship()
    admin = in_sqlite.count("audit_admin")
    in_sqlite.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    assert (in_sqlite.count(), in_sqlite.count("audit_admin")) == (0, admin)
    in_sqlite.release(hold.hold_id)
    in_sqlite.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    assert in_sqlite.count("audit_admin") == 0
    # A hold that was put in the past is no longer told of, and not missed.
    assert in_sqlite.purge_all() == 0


def test_the_row_that_tells_of_a_hold_stays_as_long_as_that(kept: Holding) -> None:
    """Else the hold could be taken out unseen once its row has gone."""
    kept.write(20)
    hold = kept.hold(until=NOON)
    kept.trail.ship()
    kept.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    assert kept.trail.rows("SELECT count(*) FROM audit_admin WHERE action = 'hold-add'") == [(1,)]
    kept.release(hold.hold_id)
    kept.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    assert kept.count("audit_admin") == 0
    assert kept.trail.verify().faults == []


def test_a_hold_that_comes_during_a_purge_counts_from_then_on(
    in_sqlite: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "ROWS", 5)
    in_sqlite.write(20)
    steps = purging.purge(
        in_sqlite.database, in_sqlite.keys, Cutoffs(AFTER_RECORDS, AFTER_RECORDS), Outcome()
    )
    assert next(steps) == 5
    in_sqlite.hold()
    assert sum(steps) == 0
    assert in_sqlite.count() == 15


def forge_a_release(kept: Holding, hold_id: str) -> None:
    forger = Keys(Signer.generate(), kept.keys.verifiers)
    note = forger.signer.sign(f"icapd/hold/{hold_id}/released\n{{}}\n")
    Tampered(kept.trail, 0).run(update(audit_hold).values(released_at=NOON, release_note=note))


def change_a_hold(kept: Holding, _: str) -> None:
    ((note,),) = kept.trail.rows("SELECT note FROM audit_hold")
    Tampered(kept.trail, 0).run(update(audit_hold).values(note=note.replace("alice", "bob")))


def take_a_release_of_another(kept: Holding, _: str) -> None:
    other = kept.hold(user="bob")
    kept.release(other.hold_id)
    ((note,),) = kept.trail.rows("SELECT release_note FROM audit_hold WHERE release_note IS NOT NULL")
    Tampered(kept.trail, 0).run(update(audit_hold).values(released_at=NOON, release_note=note))


def take_a_hold_out(kept: Holding, _: str) -> None:
    kept.trail.ship()
    Tampered(kept.trail, 0).run(delete(audit_hold))


@pytest.mark.parametrize(
    "tamper", [forge_a_release, change_a_hold, take_a_release_of_another, take_a_hold_out]
)
def test_nothing_goes_after_a_hold_was_tampered_with(in_sqlite: Holding, tamper: Any) -> None:
    in_sqlite.write(20)
    tamper(in_sqlite, in_sqlite.hold(user="alice").hold_id)
    with pytest.raises(AuditError, match="nothing may go until it is restored from a backup"):
        in_sqlite.purge_all()
    with pytest.raises(AuditError, match="nothing may go"):
        list(erasure.erase(in_sqlite.database, in_sqlite.keys, Filters(user="alice")))
    assert in_sqlite.count() == 20
    assert in_sqlite.trail.verify().exit_code(strict=False) in (1, 2)


def test_a_hold_is_released_once(in_sqlite: Holding) -> None:
    hold = in_sqlite.hold()
    in_sqlite.release(hold.hold_id)
    with pytest.raises(AuditError, match="was released already"):
        in_sqlite.release(hold.hold_id)
    with pytest.raises(AuditError, match="there is no hold 'none'"):
        in_sqlite.release("none")


def test_what_fits_no_note_is_refused(in_sqlite: Holding) -> None:
    with pytest.raises(AuditError, match="too long for a signed note"):
        in_sqlite.hold(user="a" * 5000)
    assert in_sqlite.count("audit_hold") == 0
    in_sqlite.trail.ship()
    assert in_sqlite.trail.rows("SELECT action FROM audit_admin ORDER BY 1") == [("start",), ("stop",)]
