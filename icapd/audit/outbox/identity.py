"""Who writes: each run of a worker is a writer of its own."""

import os
from dataclasses import asdict
from pathlib import Path

from icapd import __version__
from icapd.audit.outbox import directory as places
from icapd.audit.outbox.appender import now
from icapd.audit.outbox.file import Role, Writer
from icapd.audit.storable import fit_text


def in_chain(writer: Writer) -> dict[str, object]:
    """Of a writer, what its first row tells, so that it can't be said to have been another."""
    return {name: value for name, value in asdict(writer).items() if name != "writer_id"}


def new_writer(node: str, role: Role) -> Writer:
    """This process, from now on; `node` names its server."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot_id = ""
    node = fit_text(node, limit=255)
    return Writer(places.new_writer_id(), node, os.getpid(), __version__, now(), boot_id, role)
