"""What the kernel says that a server's processes used."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.processes import session_members

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """Of all processes of a session together."""

    #: Seconds, of user and system; children that have ended included.
    cpu: float
    #: Bytes. Pages that processes share count for each of them.
    rss: int
    processes: int


def usage_of(session: int) -> Usage:
    """CPU so far and memory now of a server, by the id of its session."""
    cpu, rss, processes = 0.0, 0, 0
    for pid in session_members(session):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            # utime, stime, cutime, cstime (proc(5), fields 14 to 17). Precise but for the tick of 10 ms.
            cpu += sum(map(int, fields[11:15])) * _TICK
            rss += int(fields[21]) * _PAGE
            processes += 1
    return Usage(cpu, rss, processes)
