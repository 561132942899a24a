"""What the record costs on the way of a verdict: icapd by turns in each mode of the audit.

With one connection each record has a commit of its own; with many, those of one turn share one.
"""

import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from bench.cases import KB, Case, response_case
from bench.load import run_load
from bench.measure import usage_of
from bench.processes import free_port, running
from bench.servers import Icapd
from bench.wire import ask_options, encode

MODES = ("strict", "durable", "relaxed", "off")
CONNECTIONS = (1, 8)
#: Syncs after each turn, and what each is of: about as much as a record takes.
_SYNCS, _RECORD = 50, bytes(1000)


class Recording(Icapd):
    """icapd with one worker, and its trail in one of the modes."""

    mode: ClassVar[str]

    def audit_settings(self) -> str:
        return f'mode = "{self.mode}"\n'


SERVERS = {mode: type(mode.title(), (Recording,), {"mode": mode, "name": mode}) for mode in MODES}


@dataclass
class Verdicts:
    """One mode with so many connections; from all turns. Seconds."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    #: For each transaction: of all of icapd's processes, the one that ships with them.
    cpu: list[float] = field(default_factory=list)

    def median(self, of: str) -> float:
        values: list[float] = getattr(self, of)
        return statistics.median(values)


#: By mode and number of connections.
Results = dict[tuple[str, int], Verdicts]


def measure(directory: Path, rounds: int, seconds: float) -> tuple[Results, list[float]]:
    """All modes run side by side, and are loaded by turns.

    Returns with them the peer: seconds that this disk took to sync what was appended to a file, each time.
    """
    results: Results = {}
    syncs: list[float] = []
    case = response_case("JSON", "1 KB", KB)
    with ExitStack() as stack:
        servers = {
            mode: stack.enter_context(running(kind(directory / mode, free_port())))
            for mode, kind in SERVERS.items()
        }
        for connections, mode in _turns(rounds):
            figures = results.setdefault((mode, connections), Verdicts())
            _take_turn(servers[mode], case, connections, seconds, figures)
            syncs += _syncs(directory / "peer")
    return results, syncs


def _turns(rounds: int) -> Iterator[tuple[int, str]]:
    for _ in range(rounds):
        for connections in CONNECTIONS:
            for mode in MODES:
                yield connections, mode


def _syncs(file: Path) -> Iterator[float]:
    with file.open("ab", buffering=0) as appended:
        for _ in range(_SYNCS):
            began = time.perf_counter()
            appended.write(_RECORD)
            os.fdatasync(appended.fileno())
            yield time.perf_counter() - began


def _take_turn(server: Icapd, case: Case, connections: int, seconds: float, figures: Verdicts) -> None:
    path = server.paths[case.method]
    parts = encode(case, server.port, path, ask_options(server.port, path), server.extra_headers())
    used: list[float] = []

    def note() -> None:
        used.append(usage_of(server.pid).cpu)

    load = run_load(
        server.port,
        parts,
        server.check(case),
        seconds=seconds,
        connections=connections,
        warm_up=20,
        started=note,
        ended=note,
    )
    latencies = sorted(load.latencies)
    figures.p50.append(latencies[len(latencies) // 2])
    figures.p99.append(latencies[len(latencies) * 99 // 100])
    figures.cpu.append((used[1] - used[0]) / load.count)
