"""How fast the shipper is, beside what a driver does with the same rows made ready before.

Peers keep no cursor, chain, checkpoint or index of what is there, and read no outbox: `executemany` inserts a
thousand rows a transaction, `COPY` is PostgreSQL's own way and so the ceiling.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from sqlalchemy import Connection

from bench.audit.databases import Place
from bench.audit.records import MANY, USUAL, records
from bench.audit.trail import Trail, in_batches
from icapd.audit.database import Database
from icapd.audit.outbox.directory import file_of, writers
from icapd.audit.outbox.file import OutboxFile
from icapd.audit.partitions import Period
from icapd.audit.shipping.rows import Batch, batch_of
from icapd.audit.shipping.shipper import BATCH
from icapd.audit.shipping.statements import Way, statements_for

SHIPPER = "shipper"
MIXES = {"1 in 20 has findings": USUAL, "all have findings": MANY}


@dataclass
class Shipped:
    """One way to bring records to one database; from all turns."""

    #: Records a second.
    rates: list[float] = field(default_factory=list)
    #: Seconds of CPU for each record: of the client, and of the server.
    client: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def cpu(self) -> float:
        """The client's and the server's together."""
        return statistics.median(self.client) + statistics.median(self.server)


#: By database, period, mix and way.
Results = dict[tuple[str, Period, str, str], Shipped]


def measure(name: str, place: Place, count: int, rounds: int) -> Results:
    """Turn by turn, each with a new database."""
    results: Results = {}
    periods: tuple[Period, ...] = ("month", "day") if name == "postgresql" else ("month",)
    for _, period, (mix, one_in) in product(range(rounds), periods, MIXES.items()):
        for way in (SHIPPER, *_peers(name)):
            with tempfile.TemporaryDirectory(prefix="icapd-bench-") as directory:
                trail = Trail.make(Path(directory), place.make(), period)
                trail.fill(records(count, one_in, since=time.time_ns() // 1000))
                run = _shipping(trail) if way == SHIPPER else _peer(trail, _peers(name)[way])
                _take_turn(place, run, count, results.setdefault((name, period, mix, way), Shipped()))
    return results


def _take_turn(place: Place, run: Callable[[], None], count: int, figures: Shipped) -> None:
    server, client, began = place.cpu, time.process_time(), time.perf_counter()
    run()
    figures.rates.append(count / (time.perf_counter() - began))
    figures.client.append((time.process_time() - client) / count)
    figures.server.append((place.cpu - server) / count)


def _shipping(trail: Trail) -> Callable[[], None]:
    return trail.drain


def _peers(name: str) -> dict[str, Way]:
    ways = statements_for(name).ways
    return {"executemany": ways[-1]} | ({"COPY": ways[0]} if len(ways) > 1 else {})


def _peer(trail: Trail, way: Way) -> Callable[[], None]:
    """Bring the rows of the only outbox, which are made ready now."""
    batches = list(_batches(trail))
    database = Database.parse(trail.audit.database_url)
    instant = statements_for(database.url.get_backend_name()).instant

    def timed(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
        return [(row[0], instant(row[1]), *row[2:]) for row in rows]  # type: ignore[arg-type]

    ready = [(timed(one.events), timed(one.findings)) for one in batches]

    def put(connection: Connection, statement: str, rows: list[tuple[object, ...]]) -> None:
        if rows:
            way.run(connection, statement, rows)

    def run() -> None:
        with closing(database.connect()) as connection:
            for events, findings in ready:
                connection.begin()
                put(connection, way.event, events)
                put(connection, way.finding, findings)
                connection.commit()

    return run


def _batches(trail: Trail) -> Iterator[Batch]:
    for writer_id in writers(trail.outbox):
        with closing(OutboxFile.open(file_of(trail.outbox, writer_id), "ro")) as outbox:
            for entries in in_batches(outbox.read(0, 2**31), BATCH):
                yield batch_of(writer_id, entries)
