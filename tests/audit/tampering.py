"""A trail of one writer that has ended, and what can be done to it by who may write to the database."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audit_records import FINDING, NOON, make_record
from sqlalchemy import CursorResult, delete, insert, select, text, true, update
from support.databases import copy
from support.trail import Trail

from icapd.audit import canonical
from icapd.audit.database import Database
from icapd.audit.evidence import checkpoints
from icapd.audit.evidence.checkpoints import NONE_BEFORE
from icapd.audit.evidence.faults import Report
from icapd.audit.evidence.notes import Signer
from icapd.audit.shadow import ShadowRecord
from icapd.audit.tables import (
    audit_admin,
    audit_checkpoint,
    audit_event,
    audit_finding,
    audit_shadow,
    audit_shipment,
    audit_writer,
)

#: Rows of the trail that is tampered with: `start`, events with two findings each, a shadow row, `stop`.
EVENTS = 1200
LAST = EVENTS + 3
SHADOW_ROW = LAST - 1
#: An event in the middle, and its time.
ROW = 600
AT = NOON + ROW - 2


def shadow_record() -> ShadowRecord:
    return ShadowRecord(
        occurred_at=NOON + EVENTS,
        txn_id="node-1",
        method_icap="REQMOD",
        live_effect="allowed",
        shadow_effect="blocked",
        live_rules="",
        shadow_rules="house.rule",
        live_digest="a",
        shadow_digest="b",
    )


@dataclass(frozen=True)
class Tampered:
    """A trail of one writer that has ended."""

    trail: Trail
    writer_id: int

    def run(self, statement: Any) -> None:
        with Database.parse(self.trail.url).write() as connection:
            if connection.dialect.name == "postgresql":
                # As an administrator can: no trigger keeps the rows from being changed.
                connection.execute(text("SET LOCAL session_replication_role = replica"))
            result = connection.execute(statement)
            assert isinstance(result, CursorResult)
            assert result.rowcount, "nothing was tampered with"

    def one(self, statement: Any) -> Any:
        with Database.parse(self.trail.url).read() as connection:
            return connection.execute(statement).one()

    def report(self, **options: Any) -> Report:
        return self.trail.verify(**options)

    def chain(self, seq: int) -> bytes:
        for table in (audit_event, audit_admin, audit_shadow):
            with Database.parse(self.trail.url).read() as connection:
                found = connection.execute(select(table.c.chain).where(table.c.writer_seq == seq)).scalar()
            if found is not None:
                return bytes(found)
        raise AssertionError(seq)


def end(trail: Trail, events: int = EVENTS) -> Tampered:
    """A trail whose writer has written all kinds of rows and has ended."""
    with trail.writer() as writer:
        findings = (FINDING, replace(FINDING, target="url"))
        writer.write_all(
            ("final", make_record(occurred_at=NOON + number, findings=findings, http_status=200 + number % 2))
            for number in range(events)
        )
        writer.write_shadow([shadow_record()])
    trail.ship()
    return Tampered(trail, writer.writer_id)


def copied(original: Tampered, directory: Path, url: str) -> Tampered:
    """The same trail in an empty database of the same kind."""
    copy(original.trail.url, url)
    trail = Trail(directory / "outbox", url)
    trail.outbox.mkdir()
    shutil.copyfile(original.trail.settings.signing_key, trail.settings.signing_key)
    Path(trail.settings.signing_key).chmod(0o400)
    return Tampered(trail, original.writer_id)


def of_row(table: Any, seq: int = ROW) -> Any:
    return true() if table is audit_writer else table.c.writer_seq == seq


def delete_a_row(ended: Tampered) -> None:
    ended.run(delete(audit_finding).where(of_row(audit_finding)))
    ended.run(delete(audit_event).where(of_row(audit_event)))


def delete_the_last_500(ended: Tampered) -> None:
    for table in (audit_finding, audit_event, audit_admin, audit_shadow):
        ended.run(delete(table).where(table.c.writer_seq > LAST - 500))


def delete_the_tail_and_what_speaks_for_it(ended: Tampered) -> None:
    delete_the_last_500(ended)
    ended.run(delete(audit_checkpoint).where(audit_checkpoint.c.writer_seq > LAST - 500))


def delete_all_rows(ended: Tampered) -> None:
    for table in (audit_finding, audit_event, audit_admin, audit_shadow, audit_writer):
        ended.run(delete(table))


def swap(ended: Tampered) -> None:
    """What two rows tell, and what was found in them: nothing but the keys stays."""
    for table in (audit_event, audit_finding):
        for old, new in ((ROW, -1), (ROW + 1, ROW), (-1, ROW + 1)):
            ended.run(update(table).where(of_row(table, old)).values(writer_seq=new))


def double(ended: Tampered) -> None:
    row = dict(ended.one(select(audit_event).where(of_row(audit_event)))._mapping)
    ended.run(insert(audit_event).values(**row | {"occurred_at": row["occurred_at"] + 1}))


def forge_behind_the_end(ended: Tampered) -> None:
    """A row with the right chain, and the cursor moved behind it."""
    form = canonical.admin_form((ended.writer_id, NOON, LAST + 1), "pardon", "{}")
    chain = canonical.next_link(ended.chain(LAST), form)
    values = {"writer_id": ended.writer_id, "occurred_at": NOON, "writer_seq": LAST + 1}
    ended.run(insert(audit_admin).values(**values, action="pardon", detail="{}", chain=chain))
    ended.run(update(audit_shipment).values(shipped_seq=LAST + 1))


def rewrite_from_the_middle(ended: Tampered) -> None:
    """The last row altered and its chain made anew: only what is signed shows it."""
    form = canonical.admin_form((ended.writer_id, NOON, LAST), "stop", '{"all":"well"}')
    values = {"occurred_at": NOON, "detail": '{"all":"well"}'}
    chain = canonical.next_link(ended.chain(LAST - 1), form)
    ended.run(update(audit_admin).where(of_row(audit_admin, LAST)).values(**values, chain=chain))


def delete_a_checkpoint(ended: Tampered) -> None:
    ended.run(delete(audit_checkpoint).where(audit_checkpoint.c.writer_seq < LAST))


def delete_the_last_checkpoint(ended: Tampered) -> None:
    ended.run(delete(audit_checkpoint).where(audit_checkpoint.c.writer_seq == LAST))


def sign_with_another_key(ended: Tampered) -> None:
    row = ended.one(select(audit_checkpoint).where(of_row(audit_checkpoint, LAST)))
    forged = checkpoints.sign(
        Signer.generate(), row.writer_id, row.signed_at, row.writer_seq, row.chain, NONE_BEFORE
    )
    ended.run(update(audit_checkpoint).where(of_row(audit_checkpoint, LAST)).values(note=forged.note))


def change_a_finding(ended: Tampered) -> None:
    ended.run(update(audit_finding).where(of_row(audit_finding)).values(severity="low"))


def delete_a_finding(ended: Tampered) -> None:
    ended.run(delete(audit_finding).where(of_row(audit_finding), audit_finding.c.item_no == 2))


def move_a_finding(ended: Tampered) -> None:
    row = audit_finding.c
    values = {"writer_seq": ROW + 1, "occurred_at": row.occurred_at, "item_no": 3}
    ended.run(update(audit_finding).where(of_row(audit_finding), row.item_no == 2).values(**values))


def add_a_finding_to_nothing(ended: Tampered) -> None:
    row = dict(
        ended.one(select(audit_finding).where(of_row(audit_finding), audit_finding.c.item_no == 1))._mapping
    )
    ended.run(insert(audit_finding).values(**row | {"writer_seq": LAST}))


def take_the_chain_off(ended: Tampered) -> None:
    ended.run(update(audit_event).where(of_row(audit_event)).values(chain=None))


def hide_a_row_as_refused(ended: Tampered) -> None:
    chain = ended.chain(ROW)
    delete_a_row(ended)
    statement = (
        "INSERT INTO audit_dead_letter"
        " (writer_id, occurred_at, writer_seq, kind, body, chain, problem, failed_at)"
        " SELECT writer_id, shipped_at, :seq, 'event', '', :chain, '', shipped_at FROM audit_shipment"
    )
    ended.run(text(statement).bindparams(seq=ROW, chain=chain))


def forget_the_shipment(ended: Tampered) -> None:
    ended.run(delete(audit_shipment))


def forget_the_writer(ended: Tampered) -> None:
    ended.run(delete(audit_writer))


def tell_another_server(ended: Tampered) -> None:
    ended.run(update(audit_writer).values(node="elsewhere"))


def own_the_rows_of_another(ended: Tampered) -> None:
    ended.run(update(audit_event).where(of_row(audit_event)).values(writer_id=1))
