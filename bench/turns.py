"""Turns: every server gets every case, one after the other, again and again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.cases import Case
from bench.load import Load, WrongAnswer, run_load
from bench.measure import Usage, usage_of
from bench.processes import Unavailable, free_port, running
from bench.servers import Server
from bench.wire import Offer, ask_options, encode

CONNECTIONS = 8
#: A server that used so much of its cores while it was loaded was as fast as it can be.
SATURATED = 0.9


@dataclass
class Figures:
    """One server with one case, from all turns.

    Of each figure the best turn counts, not the mean: other work on the machine and cold caches only add.
    Servers take turns case by case, so that a busy minute hits all of them.
    """

    #: Seconds of the server's CPU per transaction.
    cpu: float = float("inf")
    #: Transactions per second.
    throughput: float = 0.0
    #: In that turn: share of its cores that the server used.
    saturation: float = 0.0
    #: Seconds, with one connection: what a transaction takes, not how long it queues.
    p50: float = float("inf")
    p99: float = float("inf")
    #: Bytes, most of all turns.
    rss: int = 0

    @property
    def is_client_limited(self) -> bool:
        """Whether the server had time left: its throughput is then the load's, not its own."""
        return self.saturation < SATURATED

    def add_load(self, load: Load, before: Usage, after: Usage, cores: int) -> None:
        self.cpu = min(self.cpu, (after.cpu - before.cpu) / load.count)
        self.rss = max(self.rss, after.rss)
        if load.count / load.seconds > self.throughput:
            self.throughput = load.count / load.seconds
            self.saturation = (after.cpu - before.cpu) / load.seconds / cores

    def add_latencies(self, load: Load) -> None:
        ordered = sorted(load.latencies)
        p50 = ordered[len(ordered) // 2]
        if p50 < self.p50:
            self.p50, self.p99 = p50, ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


@dataclass
class Results:
    """Everything that the turns gave."""

    #: In the order of the tables.
    servers: list[str] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    figures: dict[tuple[str, str], Figures] = field(default_factory=dict)
    #: Servers that could not take part, and why.
    missing: dict[str, str] = field(default_factory=dict)
    #: Servers that were put out of the run by a wrong answer, and which.
    wrong: dict[str, str] = field(default_factory=dict)

    def get(self, server: str, case: str) -> Figures | None:
        figures = self.figures.get((server, case))
        return figures if figures and figures.throughput else None


def take_turns(
    kinds: Sequence[type[Server]],
    cases: Sequence[Case],
    directory: Path,
    *,
    rounds: int,
    seconds: float,
    progress: Callable[[Sequence[tuple[Case, Server]]], Iterator[tuple[Case, Server]]],
) -> Results:
    """Start all servers side by side and measure them by turns.

    A wrong answer ends the run of that server, and the report says so: its other figures are dropped as well.
    """
    results = Results(cases=[case.name for case in cases])
    with ExitStack() as stack:
        servers = list(_started(kinds, directory, results, stack))
        offers: dict[tuple[str, str], Offer] = {}
        turns = [(case, server) for _ in range(rounds) for case in cases for server in servers]
        for case, server in progress(turns):
            if server.name in results.wrong or not server.takes(case):
                continue
            try:
                key = server.name, server.paths[case.method]
                if key not in offers:
                    offers[key] = ask_options(server.port, server.paths[case.method])
                figures = results.figures.setdefault((server.name, case.name), Figures())
                _take_turn(server, case, offers[key], seconds, figures)
            except (WrongAnswer, RuntimeError, OSError) as error:
                results.wrong[server.name] = str(error)
    results.figures = {key: value for key, value in results.figures.items() if key[0] not in results.wrong}
    return results


def _started(
    kinds: Sequence[type[Server]], directory: Path, results: Results, stack: ExitStack
) -> Iterator[Server]:
    for kind in kinds:
        server = kind(directory / kind.__name__.lower(), free_port())
        try:
            yield stack.enter_context(running(server))
            results.servers.append(kind.name)
        except Unavailable as reason:
            results.missing[kind.name] = str(reason)


def _take_turn(server: Server, case: Case, offer: Offer, seconds: float, figures: Figures) -> None:
    """One turn: many connections for CPU and throughput, then one alone for the latency."""
    extra = server.extra_headers() if case.method == "RESPMOD" else b""
    parts = encode(case, server.port, server.paths[case.method], offer, extra)
    usages: list[Usage] = []

    def note() -> None:
        usages.append(usage_of(server.pid))

    check = server.check(case)
    load = run_load(
        server.port, parts, check, seconds=seconds, connections=CONNECTIONS, started=note, ended=note
    )
    figures.add_load(load, *usages, cores=server.cores)
    figures.add_latencies(run_load(server.port, parts, check, seconds=seconds / 4, connections=1))
