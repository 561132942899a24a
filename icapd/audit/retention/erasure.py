"""Erases a person from records (GDPR, article 17): empties the columns that tell of one, and their salt.

What remains is the commitment, from which nobody can tell whom it was made of without the salt; the chain
holds. Records that are held stay as they are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    bindparam,
    func,
    not_,
    or_,
    select,
    type_coerce,
    update,
)

from icapd.audit import canonical
from icapd.audit.database import Database
from icapd.audit.record import AuditRecord
from icapd.audit.retention import holds
from icapd.audit.retention.keys import Keys
from icapd.audit.retention.transactions import reading, transaction
from icapd.audit.search import Filters, conditions
from icapd.audit.tables import audit_dead_letter, audit_event

#: What is done, in audit_admin.
ACTION = "erase"
#: Rows in one transaction.
_ROWS = 2000
_NOBODY: dict[str, Any] = dict.fromkeys(canonical.SUBJECT)

_decode = msgspec.json.Decoder(AuditRecord).decode


@dataclass(frozen=True, slots=True)
class Erasable:
    """Rows of a subject, dead letters among them: those that can be erased now, and those that are held."""

    rows: int
    held: int


def erasable(database: Database, keys: Keys, subject: Filters) -> Erasable:
    """Counted. `subject`: `user`, `client` or both, and a time. Raises AuditError."""
    with reading(database) as connection:
        in_force = holds.in_force(connection, keys.verifiers)
        is_held = holds.held(audit_event, in_force)
        count = select(func.count()).select_from(audit_event).where(*conditions(subject))
        held = connection.execute(count.where(is_held)).scalar_one() if in_force else 0
        letters = list(_letters(connection, subject, holds.held(audit_dead_letter, in_force)))
        held_letters = sum(is_held for *_, is_held in letters)
        rows = connection.execute(count.where(not_(is_held))).scalar_one()
    return Erasable(rows + len(letters) - held_letters, held + held_letters)


def erase(database: Database, keys: Keys, subject: Filters) -> Iterator[int]:
    """Do it; yields how many rows each transaction erased. Raises AuditError."""
    with transaction(database) as connection:
        letters = _erase_letters(connection, keys, subject)
    yield letters
    after: Sequence[Any] | None = ()
    while after is not None:
        with transaction(database) as connection:
            key = _key(connection)
            is_held = holds.held(audit_event, holds.in_force(connection, keys.verifiers))
            wanted = *conditions(subject), not_(is_held), *_behind(key, after)
            rows = connection.execute(select(*key).where(*wanted).order_by(*key).limit(_ROWS)).all()
            if rows:
                of_row = (column == bindparam(f"of_{place}") for place, column in enumerate(key))
                emptied = update(audit_event).where(*of_row).values(**_NOBODY, subject_salt=None)
                named = [{f"of_{place}": value for place, value in enumerate(row)} for row in rows]
                connection.execute(emptied, named)
        after = rows[-1] if len(rows) == _ROWS else None
        yield len(rows)


def _key(connection: Connection) -> tuple[ColumnElement[Any], ...]:
    """The columns of the key; in SQLite as they are, for a time may be none there, and the row goes, too."""
    event = audit_event.c
    is_text = connection.dialect.name == "sqlite"
    occurred_at = type_coerce(event.occurred_at, String) if is_text else event.occurred_at
    return event.writer_id, occurred_at, event.writer_seq


def _behind(key: Sequence[ColumnElement[Any]], after: Sequence[Any]) -> Iterator[ColumnElement[bool]]:
    """Rows whose key is greater; told so that an index of the key can be used."""
    if not after:
        return
    writer_id, occurred_at, writer_seq = key
    later = or_(occurred_at > after[1], and_(occurred_at == after[1], writer_seq > after[2]))
    yield and_(writer_id >= after[0], or_(writer_id > after[0], later))


def _letters(
    connection: Connection, subject: Filters, is_held: ColumnElement[bool]
) -> Iterator[tuple[canonical.Key, AuditRecord, bool]]:
    """The dead letters that are of the subject's records: key, record, whether it is held."""
    letter = audit_dead_letter.c
    key = letter.writer_id, letter.occurred_at, letter.writer_seq
    rows = select(*key, letter.body, is_held.label("is_held")).where(letter.kind == "event")
    for *of_row, body, held in connection.execute(rows).all():
        try:
            record = _decode(body)
        except msgspec.MsgspecError:
            # Whom it is of can't be told; it can't be verified either.
            continue
        if _is_of(record, subject):
            yield (of_row[0], of_row[1], of_row[2]), record, bool(held)


def _is_of(record: AuditRecord, subject: Filters) -> bool:
    return (
        (subject.user is None or record.client_user == subject.user)
        and (subject.client is None or record.client_ip == subject.client)
        and (subject.since is None or record.occurred_at >= subject.since)
        and (subject.until is None or record.occurred_at < subject.until)
    )


def _erase_letters(connection: Connection, keys: Keys, subject: Filters) -> int:
    count = 0
    is_held = holds.held(audit_dead_letter, holds.in_force(connection, keys.verifiers))
    for key, record, held in _letters(connection, subject, is_held):
        if held:
            continue
        body = msgspec.json.encode(canonical.without_subject(record)).decode()
        of_row = (column == value for column, value in zip(audit_dead_letter.primary_key, key, strict=True))
        connection.execute(update(audit_dead_letter).where(*of_row).values(body=body, salt=None))
        count += 1
    return count
