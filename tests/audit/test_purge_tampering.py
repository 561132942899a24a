"""Who has no key can't delete rows and call it retention, nor have retention delete them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from audit_records import NOON
from retaining import AFTER_ALL, AFTER_RECORDS, Kept
from sqlalchemy import delete, insert, select, text, update
from support.trail import Trail
from tampering import Tampered

from icapd.audit import canonical
from icapd.audit.evidence import anchors
from icapd.audit.evidence.faults import PURGED, Kind
from icapd.audit.evidence.notes import Signer, load_signer
from icapd.audit.evidence.purges import Purge
from icapd.audit.evidence.verify import verify
from icapd.audit.retention.classes import Cutoffs
from icapd.audit.retention.keys import Keys
from icapd.audit.retention.purge import Outcome, purge
from icapd.audit.tables import (
    audit_admin,
    audit_checkpoint,
    audit_event,
    audit_finding,
    audit_purge,
    audit_shipment,
)

#: A record that stays: the fourth with a finding; it stands between the stretches 32 to 40 and 42 to 50.
STAYS = 41


class Purged(Kept):
    """A trail from which all that is allowed went."""

    @property
    def hands(self) -> Tampered:
        return Tampered(self.trail, self.writer_id)

    @property
    def writer_id(self) -> int:
        return int(self.trail.rows("SELECT writer_id FROM audit_writer")[0][0])

    @property
    def hands_of_nobody(self) -> Tampered:
        return Tampered(self.trail, 0)

    def statement(self, first: int) -> Purge:
        row = self.hands.one(select(audit_purge).where(audit_purge.c.first_seq == first))
        *values, note = row
        return Purge(*values, False, note)

    def delete(self, seq: int) -> None:
        for table in (audit_finding, audit_event):
            self.hands.run(delete(table).where(table.c.writer_seq == seq))


@pytest.fixture
def purged(tmp_path: Path) -> Purged:
    kept = Purged(Trail.make(tmp_path))
    kept.write(100)
    kept.purge(allowed=AFTER_RECORDS)
    assert kept.trail.verify().faults == []
    return kept


def of(first: int) -> Any:
    return audit_purge.c.first_seq == first


def take_a_statement_out(purged: Purged) -> None:
    purged.hands.run(delete(audit_purge).where(of(42)))


def widen_a_statement(purged: Purged) -> None:
    purged.delete(STAYS)
    purged.hands.run(update(audit_purge).where(of(42)).values(first_seq=STAYS))


def widen_its_note_as_well(purged: Purged) -> None:
    purged.delete(STAYS)
    note = purged.statement(42).note.replace("42 50", "41 50")
    purged.hands.run(update(audit_purge).where(of(42)).values(first_seq=STAYS, note=note))


def sign_one_with_another_key(purged: Purged) -> None:
    forged = Purge(purged.writer_id, STAYS, STAYS, b"a" * 32, purged.hands.chain(STAYS), NOON, False)
    purged.delete(STAYS)
    put(purged, forged.signed(Signer.generate()))


def replace_one_by_that_of_another_key(purged: Purged) -> None:
    note = purged.statement(42).signed(Signer.generate()).note
    purged.hands.run(update(audit_purge).where(of(42)).values(note=note))


def take_that_of_another_writer(purged: Purged) -> None:
    other = Purged(Trail(purged.trail.outbox, purged.trail.url))
    writer_id = other.write(50)
    note = purged.statement(42).note
    of_other = audit_event.c.writer_id == writer_id, audit_event.c.writer_seq.between(42, 50)
    purged.hands.run(delete(audit_event).where(*of_other))
    row = dict(purged.hands.one(select(audit_purge).where(of(42)))._mapping)
    purged.hands.run(insert(audit_purge).values(**row | {"writer_id": writer_id, "note": note}))


def rewrite_the_row_before(purged: Purged) -> None:
    """Nothing but the statement knows its chain: the rows behind it went."""
    event = audit_event.c
    row = dict(purged.hands.one(select(audit_event).where(event.writer_seq == STAYS))._mapping)
    row["verdict"] = "logged"
    columns = [row[name] for name in canonical.EVENT]
    found = purged.trail.rows("SELECT * FROM audit_finding WHERE writer_seq = 41")
    findings = [tuple(one[4:]) for one in found]
    key = (row["writer_id"], row["occurred_at"], STAYS)
    form = canonical.event_form_of_values(key, columns, row["subject_commitment"], findings)
    chain = canonical.next_link(purged.statement(32).chain, form)
    purged.hands.run(
        update(audit_event).where(event.writer_seq == STAYS).values(verdict="logged", chain=chain)
    )


def put_a_row_among_the_purged(purged: Purged) -> None:
    row = dict(purged.hands.one(select(audit_event).where(audit_event.c.writer_seq == STAYS))._mapping)
    purged.hands.run(insert(audit_event).values(**row | {"writer_seq": 45, "event_id": "45"}))


def put(purged: Purged, forged: Purge) -> None:
    *values, _, note = forged
    row = dict(zip(audit_purge.c.keys(), (*values, note), strict=True))
    purged.hands.run(insert(audit_purge).values(**row))


TAMPERINGS: list[tuple[Callable[[Purged], None], set[Kind], int]] = [
    (take_a_statement_out, {Kind.MISSING}, 42),
    (widen_a_statement, {Kind.ALTERED, Kind.MISSING}, STAYS),
    (widen_its_note_as_well, {Kind.ALTERED, Kind.MISSING}, STAYS),
    (sign_one_with_another_key, {Kind.ALTERED, Kind.MISSING}, STAYS),
    (replace_one_by_that_of_another_key, {Kind.ALTERED, Kind.MISSING}, 42),
    (take_that_of_another_writer, {Kind.ALTERED, Kind.MISSING}, 42),
    (rewrite_the_row_before, {Kind.ALTERED}, STAYS),
    (put_a_row_among_the_purged, {Kind.ALTERED}, 45),
]


@pytest.mark.parametrize(
    ("tamper", "kinds", "seq"), TAMPERINGS, ids=[tamper.__name__ for tamper, _, _ in TAMPERINGS]
)
def test_tampering_with_what_was_purged_is_told(
    purged: Purged, tamper: Callable[[Purged], None], kinds: set[Kind], seq: int
) -> None:
    tamper(purged)
    report = purged.trail.verify()
    assert set(report.counts) == kinds, report.faults
    assert seq in {fault.writer_seq for fault in report.faults}
    # Nor does a later purge make it good.
    purged.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS)
    assert purged.trail.verify().exit_code(strict=False) in kinds


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("behind", [1, STAYS, 101])
def test_rows_that_are_put_in_behind_one_that_stays_are_told(purged: Purged, behind: int, count: int) -> None:
    """Their chains are as they have to be: the row before is there, and the ones behind are not."""
    if behind == 101:
        purged.purge(found=AFTER_RECORDS)
        behind = 1
    for seq in range(behind + 1, behind + 1 + count):
        key = (purged.writer_id, NOON, seq)
        chain = canonical.next_link(purged.hands.chain(seq - 1), canonical.admin_form(key, "pardon", "{}"))
        row = dict(zip(("writer_id", "occurred_at", "writer_seq"), key, strict=True))
        purged.hands.run(insert(audit_admin).values(**row, action="pardon", detail="{}", chain=chain))
    report = purged.trail.verify()
    assert [(fault.kind, fault.writer_seq) for fault in report.faults] == [(Kind.ALTERED, behind + count)]


def test_rows_of_a_writer_that_is_gone_are_told(purged: Purged) -> None:
    writer_id = purged.writer_id
    purged.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    assert (purged.count("audit_writer"), purged.trail.verify().faults) == (0, [])
    form = canonical.admin_form((writer_id, NOON, 1), "pardon", "{}")
    chain = canonical.next_link(canonical.BEGINNING, form)
    row = {"writer_id": writer_id, "occurred_at": NOON, "writer_seq": 1}
    purged.hands_of_nobody.run(insert(audit_admin).values(**row, action="pardon", detail="{}", chain=chain))
    assert purged.trail.verify().exit_code(strict=False) == Kind.ALTERED


@pytest.fixture
def kept(tmp_path: Path) -> Purged:
    kept = Purged(Trail.make(tmp_path))
    kept.write(100)
    return kept


def make_it_old(kept: Purged) -> None:
    for table in (audit_event, audit_finding):
        row = table.c.writer_seq == STAYS
        kept.hands.run(update(table).where(row).values(occurred_at=NOON - 1))


def make_it_harmless(kept: Purged) -> None:
    kept.hands.run(delete(audit_finding).where(audit_finding.c.writer_seq == STAYS))
    harmless = {"verdict": "allowed"}
    kept.hands.run(update(audit_event).where(audit_event.c.writer_seq == STAYS).values(**harmless))


def take_its_chain_off(kept: Purged) -> None:
    row = audit_event.c.writer_seq == STAYS
    kept.hands.run(delete(audit_finding).where(audit_finding.c.writer_seq == STAYS))
    kept.hands.run(update(audit_event).where(row).values(verdict="allowed", chain=None))


def double_it(kept: Purged) -> None:
    row = dict(kept.hands.one(select(audit_event).where(audit_event.c.writer_seq == STAYS - 1))._mapping)
    kept.hands.run(insert(audit_event).values(**row | {"occurred_at": row["occurred_at"] - 1}))


@pytest.mark.parametrize(
    ("tamper", "cutoffs"),
    [
        pytest.param(make_it_old, {"allowed": NOON, "found": NOON}, id="made old"),
        pytest.param(make_it_harmless, {"allowed": AFTER_RECORDS}, id="made harmless"),
        pytest.param(take_its_chain_off, {"allowed": AFTER_RECORDS}, id="its chain taken off"),
        pytest.param(double_it, {"allowed": AFTER_RECORDS}, id="doubled"),
    ],
)
def test_what_is_not_what_it_was_stays_and_is_told(
    kept: Purged, tamper: Callable[[Purged], None], cutoffs: dict[str, int]
) -> None:
    tamper(kept)
    before = kept.trail.verify().counts
    assert before
    outcome = kept.purge(**cutoffs)
    assert outcome.refused >= 1
    stays = STAYS - 1 if tamper is double_it else STAYS
    assert kept.trail.rows(f"SELECT 1 FROM audit_event WHERE writer_seq = {stays}")
    assert kept.trail.verify().exit_code(strict=False) == min(before)


def test_rows_of_an_outbox_that_comes_again_go_again(kept: Purged) -> None:
    kept.hands.run(text("CREATE TABLE copy AS SELECT * FROM audit_event WHERE writer_seq BETWEEN 2 AND 10"))
    kept.purge(allowed=AFTER_RECORDS)
    stretches = kept.stretches()
    kept.hands.run(text("INSERT INTO audit_event SELECT * FROM copy"))
    report = kept.trail.verify()
    assert (report.faults, report.purged) == ([], 81)
    assert kept.purge(allowed=AFTER_RECORDS).rows == 9
    assert (kept.stretches(), kept.trail.verify().faults) == (stretches, [])


def rewrite_the_end(kept: Purged) -> None:
    """With the chain made anew, so that only its checkpoint shows it."""
    last = 102
    occurred_at = kept.hands.one(select(audit_admin.c.occurred_at).where(audit_admin.c.writer_seq == last))[0]
    form = canonical.admin_form((kept.writer_id, occurred_at, last), "stop", '{"all":"well"}')
    chain = canonical.next_link(kept.hands.chain(last - 1), form)
    values = {"detail": '{"all":"well"}', "chain": chain}
    kept.hands.run(update(audit_admin).where(audit_admin.c.writer_seq == last).values(**values))


def take_the_signed_end_out(kept: Purged) -> None:
    kept.hands.run(delete(audit_checkpoint))


@pytest.mark.parametrize("tamper", [rewrite_the_end, take_the_signed_end_out])
def test_a_writer_whose_end_is_not_signed_stays(kept: Purged, tamper: Callable[[Purged], None]) -> None:
    tamper(kept)
    outcome = kept.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    assert outcome.refused >= 1
    assert kept.trail.verify().exit_code(strict=False) < PURGED
    assert kept.count("audit_writer") == 1


def test_a_writer_of_which_a_row_was_taken_out_stays(purged: Purged) -> None:
    """Else who it was would go along, and with it what tells of the row."""
    purged.delete(STAYS)
    outcome = purged.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    assert (outcome.refused, purged.count("audit_writer"), purged.count("audit_admin")) == (2, 1, 2)
    faults = purged.trail.verify().faults
    assert [(fault.kind, fault.writer_seq) for fault in faults] == [(Kind.MISSING, STAYS)]


def test_rows_that_only_seem_to_be_without_chains_stay(kept: Purged) -> None:
    for table in (audit_shipment, audit_checkpoint):
        kept.hands.run(delete(table))
    outcome = kept.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS)
    assert (outcome.rows, outcome.refused, kept.count()) == (0, 100, 100)


def test_anchors_of_what_was_purged_are_no_fault(tmp_path: Path) -> None:
    """The rows that they speak of are gone, and so may be their checkpoints."""
    kept, file = Purged(Trail.make(tmp_path)), tmp_path / "anchors"
    kept.write(2100)
    for (note,) in kept.trail.rows("SELECT note FROM audit_checkpoint ORDER BY signed_at"):
        anchors.append(file, note)
    kept.purge(allowed=AFTER_RECORDS, found=AFTER_RECORDS)
    report = kept.trail.verify(anchor_file=file)
    assert (report.faults, report.anchors, report.purged) == ([], 3, 2100)
    kept.purge(allowed=AFTER_ALL, found=AFTER_ALL, admin=AFTER_ALL)
    report = kept.trail.verify(anchor_file=file)
    assert (report.faults, report.anchors, report.purged) == ([], 3, 2102)
    # But what states the purge can't be taken out along with it.
    kept.hands_of_nobody.run(delete(audit_purge))
    assert Kind.TRUNCATED in kept.trail.verify(anchor_file=file).counts


def test_statements_of_an_older_key_hold_with_its_public_key(kept: Purged) -> None:
    kept.purge(allowed=NOON + 45_000)
    older = load_signer(Path(kept.trail.settings.signing_key))
    Path(kept.trail.settings.signing_key).unlink()
    # What stands behind an old statement can't be proved without it.
    assert kept.purge(allowed=AFTER_RECORDS).refused > 0
    outcome = Outcome()
    keys = Keys.load(Path(kept.trail.settings.signing_key), {older.verifier.id: older.verifier})
    for _ in purge(kept.database, keys, Cutoffs(AFTER_RECORDS, AFTER_RECORDS), outcome):
        pass
    assert (outcome.refused, kept.stretches()) == (0, [(2, 101)])
    verifiers = keys.verifiers
    assert verify(kept.trail.url, verifiers).faults == []
