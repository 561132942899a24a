"""How fast a trail is verified and exported: rows that were written and shipped before."""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from bench.audit.trail import Trail
from icapd.audit.evidence.notes import load_signer
from icapd.audit.evidence.verify import verify
from icapd.audit.export import Format, export
from icapd.audit.search import Filters

#: What exports are measured in: with every column, and what a SIEM takes.
FORMATS: tuple[Format, ...] = ("jsonl", "parquet", "csv", "cef")
#: What a KiB of ru_maxrss is.
_MIB = 1024


@dataclass(frozen=True)
class Passed:
    """One reading of all."""

    #: Rows a second; of verification those of all tables.
    rate: float
    #: Seconds for each.
    cpu: float
    #: MiB more than the process had taken at most before.
    memory: float


def verified(trail: Trail) -> Passed:
    """`icapd audit verify`. Raises RuntimeError for a trail that is not whole."""
    verifier = load_signer(Path(trail.audit.signing_key)).verifier
    before = _Before()
    report = verify(trail.audit.database_url, {verifier.id: verifier})
    if report.faults:
        raise RuntimeError(f"the trail has {len(report.faults)} faults")
    return before.passed(report.rows)


def exported(trail: Trail, format_: Format) -> Passed:
    """`icapd audit export`, to a file that nobody reads."""
    before = _Before()
    with Path(os.devnull).open("wb") as output:
        return before.passed(max(export(trail.audit.database_url, Filters(), format_, output), default=0))


class _Before:
    """What the clocks said at the beginning."""

    def __init__(self) -> None:
        self.memory, self.began, self.cpu = _most_memory(), time.perf_counter(), time.process_time()

    def passed(self, rows: int) -> Passed:
        seconds, cpu = time.perf_counter() - self.began, time.process_time() - self.cpu
        return Passed(rows / seconds, cpu / rows, _most_memory() - self.memory)


def _most_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB
