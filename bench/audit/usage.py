"""CPU of a process and of all that descend from it.

`bench.measure` goes by sessions; PostgreSQL gives each connection's process one of its own.
"""

import os
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")


def cpu_of(pid: int) -> float:
    """Seconds of user and system, with those of children that have ended."""
    used: dict[int, float] = {}
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            process = int(stat.parent.name)
            children[int(fields[1])].append(process)
            # utime, stime, cutime, cstime (proc(5), fields 14 to 17).
            used[process] = sum(map(int, fields[11:15])) * _TICK
    total, left = 0.0, [pid]
    while left:
        process = left.pop()
        total += used.get(process, 0.0)
        left += children[process]
    return total
