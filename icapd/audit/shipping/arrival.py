"""Sees to it that the database has what the outboxes hold: who asks for records wants the newest, too."""

import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NamedTuple

from icapd.audit.database import Database
from icapd.audit.evidence import notary_for
from icapd.audit.outbox import directory as places
from icapd.audit.outbox.file import OutboxFile
from icapd.audit.shipping.destination import Destination
from icapd.audit.shipping.shipper import Shipper
from icapd.errors import AuditError
from icapd.settings import Audit

#: Seconds between two looks.
_INTERVAL = 0.02


class Outstanding(NamedTuple):
    """What did not come to the database."""

    entries: int
    #: Why, where it was tried here; "" where a server ships.
    problem: str


def outstanding(audit: Audit, within: float) -> Outstanding:
    """Of those entries that the outboxes hold now, the ones that have not come after so many seconds.

    Where no server runs, they are shipped here; else its shipping is waited for. Returns as soon as there are
    none. What this user may not look at, or nobody can read, counts for nothing.
    """
    directory = Path(audit.outbox)
    newest = _newest(directory)
    deadline = time.monotonic() + within
    problem = _ship(audit, deadline) if _missing(directory, newest) else ""
    while (missing := _missing(directory, newest)) and not problem and time.monotonic() < deadline:
        time.sleep(_INTERVAL)
    return Outstanding(missing, problem)


def _ship(audit: Audit, deadline: float) -> str:
    """Unless a server does. What is in the way; "" when nothing is."""
    with ExitStack() as ends:
        try:
            ends.enter_context(places.reserve(Path(audit.outbox)))
        except AuditError:
            return ""
        try:
            destination = Destination(Database.parse(audit.database_url).bounded())
            shipper = ends.enter_context(closing(Shipper(Path(audit.outbox), destination, notary_for(audit))))
            while shipper.round() and time.monotonic() < deadline:
                pass
        except AuditError as error:
            return str(error)
    return ""


def _newest(directory: Path) -> dict[int, int]:
    """By writer: the number of the newest entry."""
    newest = {}
    with suppress(AuditError):
        for writer_id in places.writers(directory):
            with suppress(AuditError):
                outbox = OutboxFile.open(places.file_of(directory, writer_id), "ro")
                with outbox.errors():
                    newest[writer_id] = outbox.last()[0]
                outbox.close()
    return newest


def _missing(directory: Path, newest: dict[int, int]) -> int:
    missing = 0
    for writer_id, last in newest.items():
        shipped = places.shipped(directory, writer_id)
        # An outbox that has gone was shipped to its end.
        missing += 0 if shipped is None else max(0, last - shipped)
    return missing
