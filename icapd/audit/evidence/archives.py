"""Statements of archives: signed notes of the files that purged rows were written to.

icapd/WRITER_ID/archived
icapd-audit-writer-17-20270101T000000Z.parquet  the file's name
9f86d081884c7d659a2feaa0c55ad015a3bf4f1b...     its SHA-256
1200                                            how many rows of the writer it has
2027-01-01T00:00:00.000000Z                     when it was written
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from sqlalchemy import Connection, select

from icapd.audit import instants
from icapd.audit.evidence.faults import Fault, Kind, Report
from icapd.audit.evidence.notes import NoteError, Signer, Verifier, signed_text
from icapd.audit.tables import audit_archive
from icapd.errors import AuditError

_BODY = re.compile(
    r"icapd/([1-9][0-9]{0,18})/archived\n([^\n]{1,255})\n([0-9a-f]{64})\n([0-9]{1,19})\n([^\n]{27})\n",
    re.ASCII,
)


class Archived(NamedTuple):
    """The row of audit_archive."""

    writer_id: int
    digest: bytes
    file_name: str
    archived_rows: int
    #: Microseconds since 1970-01-01 UTC.
    archived_at: int
    note: str = ""

    def signed(self, signer: Signer) -> Self:
        """The same with its note."""
        text = (
            f"icapd/{self.writer_id}/archived\n{self.file_name}\n{self.digest.hex()}\n{self.archived_rows}\n"
            f"{instants.iso(self.archived_at)}\n"
        )
        return self._replace(note=signer.sign(text))


def digest_of(file: Path) -> bytes:
    """SHA-256 of its bytes; AuditError when it can't be read."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").digest()
    except OSError as error:
        raise AuditError(f"{file}: {error.strerror}") from None


def check(
    connection: Connection, files: Sequence[Path], verifiers: Mapping[bytes, Verifier], report: Report
) -> None:
    """Tell of each file that no statement of the trail speaks for. AuditError for one that can't be read."""
    for file in files:
        report.archives += 1
        digest, column = digest_of(file), audit_archive.c
        rows = select(column.writer_id, column.note).where(column.digest == digest).order_by(column.writer_id)
        found = connection.execute(rows).all()
        problem = (
            "no statement of the trail has its SHA-256: it is not what was archived, or not of this trail"
        )
        if not found:
            report.add(Fault(Kind.ALTERED, None, 0, file.name, problem))
        for writer_id, note in found:
            try:
                match = _BODY.fullmatch(signed_text(note if isinstance(note, str) else "", verifiers))
                if match is None or (match[1], match[3]) != (str(writer_id), digest.hex()):
                    raise NoteError("says something else")
            except NoteError as error:
                report.add(
                    Fault(
                        Kind.ALTERED, writer_id, 0, "audit_archive", f"the statement of {file.name}: {error}"
                    )
                )
