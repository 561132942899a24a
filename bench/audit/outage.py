"""After an outage of the database: how fast what gathered is brought, while traffic goes on.

The database refuses connections meanwhile. What ten minutes of this load would have gathered is written to
one more outbox, as of a worker that died, so that nobody has to wait for ten minutes.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import psycopg

from bench.audit.databases import Place
from bench.audit.records import USUAL, records
from bench.audit.trail import LIMIT, in_batches
from bench.cases import KB, response_case
from bench.load import Load, run_load
from bench.processes import free_port, running
from bench.servers import Icapd
from bench.wire import ask_options, encode
from icapd.audit import AuditWriter

CONNECTIONS = 8
#: Seconds of one piece of load.
_PIECE = 1.0
#: Seconds in which a drain ends, or it is none.
_PATIENCE = 900.0


class Shipping(Icapd):
    """icapd with one worker and a database of the run's own."""

    name = "icapd"
    database_url: ClassVar[str]

    def audit_settings(self) -> str:
        return f'database_url = "{self.database_url}"\noutbox = "outbox"\noutbox_limit = {2**36}\n'


@dataclass
class Phase:
    """One piece of load after the other, with the database as it was meanwhile."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def add(self, load: Load) -> None:
        self.seconds += load.seconds
        self.latencies += load.latencies

    @property
    def rate(self) -> float:
        """Transactions, and so records, a second."""
        return len(self.latencies) / self.seconds

    @property
    def p99(self) -> float:
        """Seconds."""
        return statistics.quantiles(self.latencies, n=100)[98]


@dataclass
class Outage:
    """What came of it."""

    before: Phase
    meanwhile: Phase
    draining: Phase
    #: Records that waited in all when the database came back, and seconds until all of those were there.
    gathered: int
    took: float
    #: Records that came to the database in that time, those of the traffic with them.
    brought: int

    @property
    def ratio(self) -> float:
        """How many times as fast as they come records were brought."""
        return self.brought / self.took / self.draining.rate


def measure(directory: Path, place: Place, minutes: float, seconds: float) -> Outage:
    """`seconds` of load with the database there, and as many without it. The place is PostgreSQL's."""
    url = place.make()
    kind = type("ShippingTo", (Shipping,), {"database_url": url})
    with running(kind(directory, free_port())) as server:
        load = _loader(server)
        before = _loaded(load, seconds)
        with _away(url):
            meanwhile = _loaded(load, seconds)
            gathered = round(max(before.rate, meanwhile.rate) * minutes * 60)
            outbox = directory / "outbox"
            with AuditWriter.open(outbox, max_size=LIMIT, mode="relaxed", role="worker") as writer:
                for some in in_batches(records(gathered, USUAL, since=time.time_ns() // 1000), 500):
                    writer.write_all(("final", record) for record in some)
        draining, began, at_first = Phase(), time.perf_counter(), _shipped(url)
        # Its start and its end are records, too.
        while _shipped(url, writer.writer_id) < gathered + 2:
            if time.perf_counter() - began > _PATIENCE:
                raise RuntimeError("what gathered did not get to the database")
            draining.add(load())
        took = time.perf_counter() - began
        return Outage(before, meanwhile, draining, gathered, took, _shipped(url) - at_first)


def _loader(server: Icapd) -> Callable[[], Load]:
    case = response_case("JSON", "1 KB", KB)
    path = server.paths[case.method]
    parts = encode(case, server.port, path, ask_options(server.port, path), server.extra_headers())
    check = server.check(case)
    return lambda: run_load(server.port, parts, check, seconds=_PIECE, connections=CONNECTIONS)


def _loaded(load: Callable[[], Load], seconds: float) -> Phase:
    phase = Phase()
    while phase.seconds < seconds:
        phase.add(load())
    return phase


@contextmanager
def _away(url: str) -> Iterator[None]:
    """The database ends all connections, and takes none."""
    base, _, rest = url.rpartition("/icapd_")
    name = f"icapd_{rest.partition('?')[0]}"
    administer = f"{base}/postgres?{rest.partition('?')[2]}"
    with psycopg.connect(administer, autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def _shipped(url: str, writer_id: int | None = None) -> int:
    """How many entries are there, of one writer or of all."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT coalesce(sum(shipped_seq), 0) FROM audit_shipment"
            " WHERE writer_id = %(id)s OR %(id)s::bigint IS NULL",
            {"id": writer_id},
        ).fetchone()
        assert row is not None
        return int(row[0])
