"""Takes over the outbox of a worker that is dead, or has stopped: who does holds the lock of its mark."""

from dataclasses import replace

import msgspec

from icapd.audit.outbox.appender import Appender
from icapd.audit.outbox.file import Entry, OutboxFile
from icapd.audit.record import AuditRecord
from icapd.errors import OutboxError

#: The first action of a chain.
START = "start"
#: The last one: the worker's own, or the one that is put there for it.
STOP, DIED = "stop", "died"


def end_chain(outbox: OutboxFile, writer_id: int) -> None:
    """Make records of its tallies and of its open streams, cut short, and end its chain if need be.

    Raises sqlite3.Error, and OutboxError for a record that can't be read.
    """
    with outbox.connection as connection:
        connection.execute("BEGIN IMMEDIATE")
        appender = Appender(outbox, writer_id)
        tallies, streams = list(outbox.unnumbered("tally")), list(outbox.unnumbered("stream"))
        for event_id, body in tallies:
            appender.event(_record(outbox, event_id, body))
            outbox.drop("tally", event_id)
        for event_id, body in streams:
            cut = replace(
                _record(outbox, event_id, body),
                disposition="cut",
                inspection="error",
                skip_reason="server-stopped",
            )
            appender.event(cut)
            outbox.drop("stream", event_id)
        if tallies or streams or not _is_ended(outbox):
            appender.admin(DIED, {"unfinished_streams": len(streams)})


def _is_ended(outbox: OutboxFile) -> bool:
    newest, _ = outbox.last()
    return any(map(is_end, outbox.read(newest - 1, 1)))


def is_end(entry: Entry) -> bool:
    """Whether its writer had nothing to say behind it."""
    if entry.kind != "admin":
        return False
    try:
        action, _ = msgspec.json.decode(entry.body, type=tuple[str, str])
    except msgspec.MsgspecError:
        return False
    return action in (STOP, DIED)


def _record(outbox: OutboxFile, event_id: str, body: str) -> AuditRecord:
    try:
        return msgspec.json.decode(body, type=AuditRecord)
    except msgspec.MsgspecError as error:
        raise OutboxError(
            f"{outbox.path}: the record {event_id}, which has no number yet, can't be read ({error}); run the"
            " icapd that wrote it once, or keep a copy of the row elsewhere and delete it"
        ) from None
