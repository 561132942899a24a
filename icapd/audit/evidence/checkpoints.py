"""Checkpoints: signed notes of how far a writer's chain has come, each of which names the one before it.

    icapd/WRITER_ID             the origin
    WRITER_SEQ                  of the newest row
    BASE64(chain)               of that row
    2026-05-17T10:00:00.000000Z when it was signed
    BASE64(SHA-256(note))       of the writer's checkpoint before, or 32 zero bytes for the first

With the chain, each speaks for all rows up to its own; with the name of the one before, one that was taken
out leaves a hole.
"""

import base64
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from icapd.audit import instants
from icapd.audit.evidence.anchors import Anchors
from icapd.audit.evidence.notes import NoteError, Signer, Verifier, signed_text

#: Rows, and seconds since the last one, after which there is a new checkpoint.
ROWS, SECONDS = 1000, 10.0
#: Seconds when nothing came: that a writer lives and has nothing to say is stated, too.
IDLE = 60.0
#: What stands for the checkpoint before the first.
NONE_BEFORE = bytes(32)

_BODY = re.compile(
    r"icapd/([1-9][0-9]{0,18})\n([1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n"
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z)\n([A-Za-z0-9+/]{43}=)\n",
    re.ASCII,
)


class Checkpoint(NamedTuple):
    """The row of audit_checkpoint, and what its note says beyond that."""

    writer_id: int
    #: Microseconds since 1970-01-01 UTC.
    signed_at: int
    writer_seq: int
    chain: bytes
    note: str
    #: SHA-256 of the note before.
    previous: bytes

    @property
    def digest(self) -> bytes:
        return digest_of(self.note)


def digest_of(note: str) -> bytes:
    """By which the next checkpoint names this one."""
    return hashlib.sha256(note.encode()).digest()


def sign(
    signer: Signer, writer_id: int, signed_at: int, writer_seq: int, chain: bytes, previous: bytes
) -> Checkpoint:
    text = (
        f"icapd/{writer_id}\n{writer_seq}\n{base64.b64encode(chain).decode()}\n{instants.iso(signed_at)}\n"
        f"{base64.b64encode(previous).decode()}\n"
    )
    return Checkpoint(writer_id, signed_at, writer_seq, chain, signer.sign(text), previous)


def parse(note: str, verifiers: Mapping[bytes, Verifier]) -> Checkpoint:
    """What a note states; NoteError for one that is no checkpoint, or that nobody trusted has signed."""
    match = _BODY.fullmatch(signed_text(note, verifiers))
    if match is None:
        raise NoteError("is no checkpoint")
    try:
        signed_at = instants.parse(match[4], now=0)
    except ValueError:
        raise NoteError("is no checkpoint") from None
    chain, previous = base64.b64decode(match[3]), base64.b64decode(match[5])
    return Checkpoint(int(match[1]), signed_at, int(match[2]), chain, note, previous)


@dataclass(slots=True)
class _Signed:
    """What a writer's newest checkpoint says."""

    writer_seq: int = 0
    signed_at: int = 0
    digest: bytes = NONE_BEFORE
    #: By the clock that only goes forward: when it was stored, as far as that is known.
    since: float = float("-inf")


class Notary:
    """Says when a writer needs a checkpoint, and makes it. Not for several threads."""

    def __init__(self, signer: Signer, anchors: Anchors) -> None:
        self._signer = signer
        self._anchors = anchors
        self._writers: dict[int, _Signed] = {}
        #: When the newest one was signed, in microseconds since 1970; 0 when none was.
        self.newest = 0

    @property
    def problems(self) -> list[str]:
        """Why there are no copies outside of the database."""
        return self._anchors.problems

    def knows(self, writer_id: int) -> bool:
        return writer_id in self._writers

    def learn(self, writer_id: int, newest: tuple[int, int, str] | None) -> None:
        """A writer's newest checkpoint in the database: number, time and note; None when there is none."""
        self._writers[writer_id] = _Signed(*newest[:2], digest_of(newest[2])) if newest else _Signed()

    def due(self, writer_id: int, writer_seq: int, chain: bytes, *, is_end: bool) -> Checkpoint | None:
        """The checkpoint to store along with the row of that number and chain; None for not now.

        `is_end`: the row is the last of its writer, for all that is known.
        """
        last = self._writers[writer_id]
        rows, seconds = writer_seq - last.writer_seq, time.monotonic() - last.since
        is_due = rows > 0 and (is_end or rows >= ROWS or seconds >= SECONDS)
        if not is_due and not (writer_seq > 0 and seconds >= IDLE and not is_end):
            return None
        # Their order is that of their times, whatever the clock does.
        signed_at = max(time.time_ns() // 1000, last.signed_at + 1)
        return sign(self._signer, writer_id, signed_at, writer_seq, chain, last.digest)

    def stored(self, checkpoint: Checkpoint) -> None:
        """It is in the database: now copies of it may leave, and the next one names it."""
        self._writers[checkpoint.writer_id] = _Signed(
            checkpoint.writer_seq, checkpoint.signed_at, checkpoint.digest, time.monotonic()
        )
        self.newest = checkpoint.signed_at
        self._anchors.put(checkpoint.note)

    def forget(self, writer_id: int) -> None:
        """Nothing more will come of it, or it has to be learnt anew."""
        self._writers.pop(writer_id, None)

    def close(self) -> None:
        self._anchors.close()
