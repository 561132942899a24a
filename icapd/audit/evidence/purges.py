"""Statements of purges: signed notes of which rows of a writer retention took, so that their absence proves
nothing else.

    icapd/WRITER_ID/purged
    FIRST LAST                  the numbers of the first and the last row of the stretch that went
    BASE64(chain)               of the row before the first, or of 32 zero bytes
    BASE64(chain)               of the last row
    end                         the last row was its writer's end; `more` where it was not
    2026-05-17T10:00:00.000000Z when that was

A trail goes on behind the stretch from the last row's chain; the row before the first has to be what it was.
The first line is not a checkpoint's, so neither can be taken for the other.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

from sqlalchemy import ColumnElement, Select, select

from icapd.audit import instants
from icapd.audit.evidence.notes import NoteError, Signer, Verifier, signed_text
from icapd.audit.evidence.reader import Reader
from icapd.audit.evidence.rows import microseconds
from icapd.audit.tables import audit_purge

_BODY = re.compile(
    r"icapd/([1-9][0-9]{0,18})/purged\n([1-9][0-9]{0,18}) ([1-9][0-9]{0,18})\n"
    r"([A-Za-z0-9+/]{43}=)\n([A-Za-z0-9+/]{43}=)\n(end|more)\n"
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z)\n",
    re.ASCII,
)


class Purge(NamedTuple):
    """What a statement says; the order is that of the columns of audit_purge, but for `is_end`."""

    writer_id: int
    first: int
    last: int
    before: bytes
    chain: bytes
    #: Microseconds since 1970-01-01 UTC.
    purged_at: int
    is_end: bool
    note: str = ""

    def signed(self, signer: Signer) -> Self:
        """The same with its note."""
        chains = "\n".join(base64.b64encode(chain).decode() for chain in (self.before, self.chain))
        text = (
            f"icapd/{self.writer_id}/purged\n{self.first} {self.last}\n{chains}\n"
            f"{'end' if self.is_end else 'more'}\n{instants.iso(self.purged_at)}\n"
        )
        return self._replace(note=signer.sign(text))


def parse(note: str, verifiers: Mapping[bytes, Verifier]) -> Purge:
    """What a note states; NoteError for one that is no such statement, or that nobody trusted has signed."""
    match = _BODY.fullmatch(signed_text(note, verifiers))
    if match is None:
        raise NoteError("is no statement of a purge")
    try:
        purged_at = instants.parse(match[7], now=0)
    except ValueError:
        raise NoteError("is no statement of a purge") from None
    before, chain = base64.b64decode(match[4]), base64.b64decode(match[5])
    return Purge(
        int(match[1]), int(match[2]), int(match[3]), before, chain, purged_at, match[6] == "end", note
    )


def statement(reader: Reader, writer_id: object, *wanted: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    """The stored ones of a writer, in the order of their numbers; each row is for `parse_row`."""
    column = audit_purge.c
    columns = (column.first_seq, column.last_seq, column.chain_before, column.chain)
    rows = select(*columns, reader.instant(column.purged_at), column.note)
    return rows.where(column.writer_id == writer_id, *wanted).order_by(column.first_seq)


def parse_row(writer_id: object, row: Sequence[object], verifiers: Mapping[bytes, Verifier]) -> Purge:
    """The statement that a row holds; NoteError, also for columns that do not say what the note does."""
    *columns, purged_at, note = row
    found = parse(note if isinstance(note, str) else "", verifiers)
    if found[:6] != (writer_id, *columns, microseconds(purged_at)):
        raise NoteError("the columns are not what the note says")
    return found
