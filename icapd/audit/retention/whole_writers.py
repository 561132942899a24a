"""Writers of which nothing is left but who they were and that they ended: these go whole, to the last row.

Until then their first and last row stay, so that audit_writer can be compared with what the writer said.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, delete, func, not_, select

from icapd.audit.outbox.adoption import DIED, START, STOP
from icapd.audit.retention.classes import Cutoffs, is_so
from icapd.audit.retention.holds import Hold, held
from icapd.audit.tables import NUMBERED, audit_admin, audit_checkpoint, audit_shipment, audit_writer

_admin = audit_admin.c


def frame(cutoffs: Cutoffs, holds: Sequence[Hold]) -> ColumnElement[bool]:
    """The rows that such a writer has, where they may go."""
    is_frame = _admin.action.in_((START, STOP, DIED))
    return is_so(and_(is_frame, _admin.occurred_at < cutoffs.admin, not_(held(audit_admin, holds))))


def find(connection: Connection, cutoffs: Cutoffs, holds: Sequence[Hold]) -> list[int]:
    """Those that there are now."""
    if cutoffs.admin is None:
        return []
    is_frame = frame(cutoffs, holds)
    ended = select(_admin.writer_id).where(is_frame, _admin.action.in_((STOP, DIED))).distinct()
    writers = connection.execute(ended.order_by(_admin.writer_id)).scalars().all()
    return [writer_id for writer_id in writers if has_no_other(connection, writer_id, is_frame)]


def has_no_other(connection: Connection, writer_id: int, is_frame: ColumnElement[bool]) -> bool:
    """Whether the writer has no row but those."""
    count = select(func.count()).select_from(audit_admin).where(_admin.writer_id == writer_id, is_frame)
    return _rows(connection, writer_id) == connection.execute(count).scalar_one()


def forget(connection: Connection, writer_id: int) -> None:
    """Let go of what speaks of a writer that has no row any more: from now on only its purge does."""
    if _rows(connection, writer_id) == 0:
        for table in (audit_checkpoint, audit_shipment, audit_writer):
            connection.execute(delete(table).where(table.c.writer_id == writer_id))


def _rows(connection: Connection, writer_id: int) -> int:
    of_writer = (
        select(func.count()).select_from(table).where(table.c.writer_id == writer_id) for table in NUMBERED
    )
    return sum(connection.execute(count).scalar_one() for count in of_writer)
