"""Legal holds: records that neither purge nor erasure may touch, until they are released.

A hold is a signed note, and so is its release: who can write to the database, but does not have the key, can
end none. One that was taken out of the table is missed, for a row of audit_admin tells of it.

    icapd/hold/ID               icapd/hold/ID/released
    {"held_at": ...}            {"released_at": ...}        one line of JSON
"""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, and_, false, or_, select, true, update

from icapd.audit.evidence.notes import NoteError, Verifier, signed_text
from icapd.audit.retention.classes import is_so
from icapd.audit.retention.keys import Keys
from icapd.audit.search import Filters, conditions, in_time
from icapd.audit.tables import audit_admin, audit_event, audit_hold
from icapd.errors import AuditError

#: The action in audit_admin that tells of one.
HELD, RELEASED = "hold-add", "hold-release"

#: Who does something: `user`, and `login` where that is someone else (`reads.reader`).
Who = dict[str, object]


class Hold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is held: all records that meet the filters, of which None asks for nothing."""

    hold_id: str
    #: Microseconds since 1970-01-01 UTC.
    held_at: int
    reason: str
    by: Who
    filters: dict[str, Any]

    @property
    def wanted(self) -> Filters:
        """As for a search."""
        return Filters(**self.filters)


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Its end."""

    hold_id: str
    #: Microseconds since 1970-01-01 UTC.
    released_at: int
    reason: str
    by: Who


class StoredHold(msgspec.Struct, frozen=True):
    """A row of audit_hold. `problem`: why it, or its release, is not to be believed; "" when it is."""

    #: Whose rows in audit_admin tell of it.
    writer_id: int
    hold_id: str
    hold: Hold | None
    release: Release | None = None
    problem: str = ""


def add(connection: Connection, keys: Keys, writer_id: int, filters: Filters, reason: str, by: Who) -> Hold:
    """Hold what the filters find. `writer_id`: whose rows of audit_admin tell of it. Raises AuditError."""
    wanted = {name: value for name, value in asdict(filters).items() if value is not None}
    hold = Hold(hold_id=secrets.token_hex(4), held_at=_now(), reason=reason, by=by, filters=wanted)
    note = _note(keys, f"icapd/hold/{hold.hold_id}", hold)
    row = {"writer_id": writer_id, "hold_id": hold.hold_id, "held_at": hold.held_at, "note": note}
    connection.execute(audit_hold.insert().values(**row))
    return hold


def release(connection: Connection, keys: Keys, hold_id: str, reason: str, by: Who) -> Release:
    """End a hold. AuditError when there is none of that id, or it has ended."""
    found = [one for one in stored(connection, keys.verifiers) if one.hold_id == hold_id]
    if not found:
        raise AuditError(f"there is no hold {hold_id!r}; `icapd audit hold list` shows those that there are")
    if found[0].release is not None:
        raise AuditError(f"the hold {hold_id} was released already")
    done = Release(hold_id=hold_id, released_at=_now(), reason=reason, by=by)
    note = _note(keys, f"icapd/hold/{hold_id}/released", done)
    values = {"released_at": done.released_at, "release_note": note}
    connection.execute(update(audit_hold).where(audit_hold.c.hold_id == hold_id).values(**values))
    return done


def stored(connection: Connection, verifiers: Mapping[bytes, Verifier]) -> Iterator[StoredHold]:
    """All that there are, the released ones, too, in the order of their making."""
    column = audit_hold.c
    rows = select(column.writer_id, column.hold_id, column.note, column.release_note)
    for writer_id, hold_id, note, release_note in connection.execute(rows.order_by(column.held_at)).all():
        hold = ended = None
        problem = ""
        try:
            hold = _parsed(note, f"icapd/hold/{hold_id}", Hold, verifiers)
            if release_note is not None:
                ended = _parsed(release_note, f"icapd/hold/{hold_id}/released", Release, verifiers)
        except NoteError as error:
            problem = f"{'the release of ' if hold else ''}the hold {hold_id}: {error}"
        yield StoredHold(writer_id, hold_id, hold, ended, problem)


def missing(connection: Connection) -> list[int]:
    """The writers whose rows of audit_admin tell of a hold that is not there."""
    admin, held = audit_admin.c, audit_hold.c
    told = select(admin.writer_id).where(admin.action == HELD).distinct()
    absent = told.where(admin.writer_id.not_in(select(held.writer_id)))
    return [writer_id for (writer_id,) in connection.execute(absent)]


def in_force(connection: Connection, verifiers: Mapping[bytes, Verifier]) -> list[Hold]:
    """Those that nobody has released. AuditError for what was tampered with: then nothing may go."""
    found = list(stored(connection, verifiers))
    if problems := [one.problem for one in found if one.problem]:
        raise AuditError(
            f"{problems[0]}: nothing may go until it is restored from a backup; for one that was signed with"
            " an older key give that one's --public-key"
        )
    if writers := missing(connection):
        raise AuditError(
            f"audit_hold lacks the hold that writer {writers[0]} tells of in audit_admin: nothing may go"
            " until it is restored from a backup"
        )
    return [one.hold for one in found if one.hold is not None and one.release is None]


def held(table: Table, holds: Sequence[Hold]) -> ColumnElement[bool]:
    """Which rows of a table are held.

    Of audit_event, those that meet all that a hold asks for. Rows of the others do not tell of users and
    hosts, so all are that occurred in its time; and those of audit_admin that tell of a hold in force,
    whatever their time: without them nobody would miss it.
    """
    own = [_tells_of_one_in_force()] if table is audit_admin and holds else []
    return is_so(or_(false(), *own, *(_meets(table, one.wanted) for one in holds)))


def _tells_of_one_in_force() -> ColumnElement[bool]:
    admin, hold = audit_admin.c, audit_hold.c
    return and_(
        admin.action == HELD, admin.writer_id.in_(select(hold.writer_id).where(hold.release_note.is_(None)))
    )


def _meets(table: Table, filters: Filters) -> ColumnElement[bool]:
    if table is audit_event:
        return and_(true(), *conditions(filters))
    return and_(true(), *in_time(filters, table))


def _note(keys: Keys, first_line: str, detail: Hold | Release) -> str:
    note = keys.signer.sign(f"{first_line}\n{msgspec.json.encode(detail).decode()}\n")
    try:
        # What can't be read again would hold nothing.
        signed_text(note, keys.verifiers)
    except NoteError:
        raise AuditError("the reason and the filters are too long for a signed note; shorten them") from None
    return note


def _parsed(note: object, first_line: str, type_: type[Any], verifiers: Mapping[bytes, Verifier]) -> Any:
    line, _, detail = signed_text(note if isinstance(note, str) else "", verifiers).partition("\n")
    try:
        if line == first_line:
            return msgspec.json.decode(detail, type=type_)
    except msgspec.MsgspecError:
        pass
    raise NoteError("is no note of it")


def _now() -> int:
    return time.time_ns() // 1000
