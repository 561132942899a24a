"""Takes some rows of one writer in one transaction, and leaves a signed statement of it in the same one.

So whatever ends it, a trail has either the row or the statement, and verifies at every moment.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, bindparam, delete, insert, select

from icapd.audit.evidence import checkpoints, purges
from icapd.audit.evidence.notes import NoteError
from icapd.audit.evidence.purges import Purge
from icapd.audit.evidence.reader import Reader
from icapd.audit.evidence.rows import Link
from icapd.audit.retention.keys import Keys
from icapd.audit.retention.stretches import joined, proved
from icapd.audit.tables import audit_checkpoint, audit_finding, audit_purge
from icapd.errors import AuditBusyError

#: Rows in one transaction: some 0.2 s, for which SQLite lets nobody else write.
ROWS = 2000
#: Where a writer's rows of a table begin: time and number.
START = (0, 0)
#: Microseconds around a batch in which the rows before its own are likely to be.
_NEAR = 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of one."""

    #: Rows that went, and rows that should go but stay, for they are not what their chain says.
    gone: int
    refused: int
    #: Behind which row to go on: time and number; None when there is nothing more.
    after: tuple[int, int] | None
    #: What is to be stated (`state`) of rows that whoever drops their partition takes.
    pieces: Sequence[Purge] = ()


def take(
    connection: Connection,
    keys: Keys,
    writer_id: int,
    table: Table,
    wanted: ColumnElement[bool],
    after: tuple[int, int] = START,
    *,
    is_chained: bool = True,
    is_kept: bool = False,
    is_end: bool = False,
    may: Callable[[Link], bool] = lambda _: True,
) -> Batch:
    """Take the next rows of a writer and a table that are `wanted`, and that `may` go.

    `is_chained`: its rows have chains; those of an icapd before revision 0003 go without a statement.
    `is_kept`: they are proved, and left to whoever drops their partition. `is_end`: they are the last that
    there are of their writer, and go only if that is signed, and if all others are stated to have gone.
    """
    reader = Reader(connection)
    found = reader.batch(writer_id, table, wanted, after, ROWS)
    links = [link for link in found if may(link)]
    rows: Sequence[Link] = [link for link in links if link.occurred_at is not None]
    pieces: Sequence[Purge] = ()
    if is_chained:
        rows, pieces = _proved(connection, reader, keys, writer_id, rows)
        if is_end and not _is_whole(connection, keys, writer_id, pieces):
            rows = pieces = ()
    else:
        # A chain would have been taken from what speaks for it.
        rows = [link for link in rows if link.chain is None]
    if rows and not is_kept:
        state(connection, keys, writer_id, pieces)
        _delete(connection, writer_id, table, wanted, rows)
    times = ((link.occurred_at, link.seq) for link in found if link.occurred_at is not None)
    last = max(times, default=after)
    is_over = len(found) < ROWS or last <= after
    return Batch(len(rows), len(links) - len(rows), None if is_over else last, pieces if is_kept else ())


def state(connection: Connection, keys: Keys, writer_id: int, pieces: Sequence[Purge]) -> None:
    """Have it signed that these went, along with what was signed of their neighbours."""
    if not pieces:
        return
    earlier = _earlier(connection, keys, writer_id, pieces[0].first, max(piece.last for piece in pieces))
    whole = set(joined([*earlier, *pieces]))
    column = audit_purge.c
    if outdated := [(purge.writer_id, purge.first) for purge in earlier if purge not in whole]:
        of_purge = column.writer_id == bindparam("a"), column.first_seq == bindparam("b")
        connection.execute(delete(audit_purge).where(*of_purge), [{"a": a, "b": b} for a, b in outdated])
    if news := [_row(purge.signed(keys.signer)) for purge in whole if not purge.note]:
        connection.execute(insert(audit_purge), news)


def _earlier(connection: Connection, keys: Keys, writer_id: int, first: int, last: int) -> list[Purge]:
    """What is signed of rows of those numbers, and of the ones next to them."""
    column = audit_purge.c
    around = column.last_seq >= first - 1, column.first_seq <= last + 1
    found = []
    for row in connection.execute(purges.statement(Reader(connection), writer_id, *around)).all():
        # What nobody trusted has signed becomes no part of what is signed now.
        with suppress(NoteError):
            found.append(purges.parse_row(writer_id, row, keys.verifiers))
    return found


def _is_whole(connection: Connection, keys: Keys, writer_id: int, pieces: Sequence[Purge]) -> bool:
    """Whether with these all of the writer is stated to have gone, from its first row to its end."""
    if not pieces:
        return False
    end = max(piece.last for piece in pieces)
    found = list(joined([*_earlier(connection, keys, writer_id, 1, end), *pieces]))
    is_signed = end in _checkpoints(connection, keys, writer_id, end, end)
    return is_signed and len(found) == 1 and found[0].first == 1 and found[0].is_end


def _proved(
    connection: Connection, reader: Reader, keys: Keys, writer_id: int, links: Sequence[Link]
) -> tuple[Sequence[Link], Sequence[Purge]]:
    """Those rows that are what they were, and what is to be stated of each."""
    if not links:
        return (), ()
    first, last = links[0].seq, links[-1].seq
    earlier = _earlier(connection, keys, writer_id, first, last)
    before: dict[int, object] = {purge.last: purge.chain for purge in earlier}
    own = {link.seq for link in links}
    if wanted := [seq - 1 for seq in own if seq > 1 and seq - 1 not in own and seq - 1 not in before]:
        since, until = _time_of(links)
        before |= reader.chains(writer_id, wanted, (max(0, since - _NEAR), until + _NEAR))
    signed = {purge.first - 1: purge.before for purge in earlier}
    signed |= _checkpoints(connection, keys, writer_id, first, last)
    return proved(writer_id, links, before, signed, time.time_ns() // 1000)


def _checkpoints(
    connection: Connection, keys: Keys, writer_id: int, first: int, last: int
) -> dict[int, bytes]:
    """The chains of those rows that a trusted checkpoint speaks for."""
    column = audit_checkpoint.c
    of_rows = column.writer_id == writer_id, column.writer_seq.between(first, last)
    found = {}
    for (note,) in connection.execute(select(column.note).where(*of_rows)).all():
        with suppress(NoteError):
            checkpoint = checkpoints.parse(note, keys.verifiers)
            if checkpoint.writer_id == writer_id:
                found[checkpoint.writer_seq] = checkpoint.chain
    return found


def _row(purge: Purge) -> dict[str, object]:
    *values, _, note = purge
    return dict(zip(audit_purge.c.keys(), (*values, note), strict=True))


def _delete(
    connection: Connection, writer_id: int, table: Table, wanted: ColumnElement[bool], rows: Sequence[Link]
) -> None:
    """The rows, and then their findings, for these may be why the rows are wanted."""

    def deleted(of: Table, numbers: list[int], *also: ColumnElement[bool]) -> int:
        column = of.c
        between = column.occurred_at.between(*_time_of(rows))
        of_rows = column.writer_id == writer_id, between, column.writer_seq.in_(numbers)
        return connection.execute(delete(of).where(*of_rows, *also)).rowcount

    # No other row has that number, that time and is wanted: it would have been found along with these.
    if deleted(table, [link.seq for link in rows], wanted) != len(rows):
        raise AuditBusyError("rows were changed while they were purged; will be tried again")
    if numbers := [link.seq for link in rows if link.findings]:
        deleted(audit_finding, numbers)


def _time_of(links: Sequence[Link]) -> tuple[int, int]:
    """The first and the last instant of rows that have one."""
    instants = [link.occurred_at for link in links if link.occurred_at is not None]
    return min(instants), max(instants)
