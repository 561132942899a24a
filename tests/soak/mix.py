"""The mix: visits of all kinds, drawn by a seed, many at a time."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from soak import broken_kinds, odd_kinds, plain_kinds
from soak.clients import NoAnswer, Proxy
from soak.origin import Origin
from soak.visit import Kind, Row, Visit

#: Clients at one time.
USERS = 12
#: Seconds that one visit may take; far above anything measured.
PATIENCE = 200.0

#: Bytes from which Squid 5 may drop an upload that goes on more slowly than it comes (bug 5405): now and then
#: with squid.conf as shipped, on a machine under load; mostly without its client_request_buffer_max_size.
DROPPABLE = 512 * 1024

#: How often each kind comes; the first round has each of them once.
WEIGHTS: dict[Kind, float] = {
    plain_kinds.small_page: 20,
    plain_kinds.json_answer: 20,
    plain_kinds.large_json_answer: 6,
    plain_kinds.chunked_answer: 8,
    plain_kinds.closed_answer: 4,
    plain_kinds.gzip_answer: 8,
    plain_kinds.image: 8,
    plain_kinds.secret_in_json: 8,
    plain_kinds.secret_in_gzip: 6,
    plain_kinds.secret_in_chunks: 6,
    plain_kinds.big_archive: 0.3,
    plain_kinds.big_log: 0.2,
    plain_kinds.big_clean_log: 1,
    plain_kinds.events: 4,
    plain_kinds.json_post: 10,
    plain_kinds.form_post: 6,
    plain_kinds.multipart_post: 4,
    plain_kinds.chunked_post: 4,
    plain_kinds.large_upload: 1,
    plain_kinds.archive_upload: 2,
    plain_kinds.secret_in_post: 5,
    plain_kinds.attack: 6,
    plain_kinds.many_small_objects: 0.3,
    odd_kinds.head_request: 4,
    odd_kinds.not_modified: 4,
    odd_kinds.redirection: 3,
    odd_kinds.error_of_origin: 4,
    odd_kinds.range_of_text: 4,
    odd_kinds.range_with_secret: 2,
    odd_kinds.cached_object: 4,
    odd_kinds.cached_redaction: 2,
    odd_kinds.tunnel_denied: 2,
    odd_kinds.tunnel_spliced: 3,
    odd_kinds.expected_upload: 3,
    odd_kinds.expected_upload_by_curl: 3,
    odd_kinds.upgrade_dropped: 2,
    odd_kinds.upgrade_taken: 2,
    broken_kinds.slow_origin: 4,
    broken_kinds.slow_client: 1,
    broken_kinds.slow_upload: 2,
    broken_kinds.origin_dies_by_length: 4,
    broken_kinds.origin_dies_in_chunks: 4,
    broken_kinds.archive_dies: 2,
    broken_kinds.upload_cut: 4,
    broken_kinds.upload_cut_in_chunks: 3,
    broken_kinds.client_leaves: 3,
    broken_kinds.early_answer: 2,
}


@dataclass(slots=True)
class Tally:
    """What became of all visits of one kind."""

    visits: int = 0
    bytes: int = 0
    seconds: float = 0.0
    #: Uploads that Squid gave up (see DROPPABLE).
    dropped: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Ledger:
    """What became of all visits."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    #: The rows that each visit is to leave, by its path; None for one that went wrong, which may leave any.
    rows: dict[str, list[Row] | None] = field(default_factory=dict)

    def of(self, kind: str) -> Tally:
        return self.tallies.setdefault(kind, Tally())

    @property
    def visits(self) -> int:
        return sum(tally.visits for tally in self.tallies.values())

    @property
    def dropped(self) -> int:
        return sum(tally.dropped for tally in self.tallies.values())

    @property
    def uploads(self) -> int:
        """Visits of the kinds whose uploads Squid may drop."""
        return sum(self.of(kind).visits for kind in ("large_upload", "archive_upload"))

    @property
    def problems(self) -> int:
        return sum(len(tally.problems) for tally in self.tallies.values())


async def run_mix(
    origin: Origin,
    proxy: Proxy,
    *,
    seed: int,
    seconds: float,
    kinds: str = "",
    progress: Callable[[Ledger], None] = lambda _: None,
) -> Ledger:
    """Visits until the time is up, but all kinds once; `kinds`: only those with this word in their name."""
    ledger = Ledger()
    chosen = {kind: weight for kind, weight in WEIGHTS.items() if kinds in kind.__name__}
    deadline = time.monotonic() + seconds
    drawn = enumerate(_draw(Random(seed), chosen))
    first_round = len(chosen)

    async def user() -> None:
        for number, kind in drawn:
            if number >= first_round and time.monotonic() > deadline:
                return
            # Each visit has its own randomness: what it does depends on the seed and its number alone.
            visit = Visit(number, kind.__name__, Random(f"{seed}/{number}"), origin, proxy)
            await _visit(visit, kind, ledger)
            progress(ledger)

    await asyncio.gather(*(user() for _ in range(USERS)))
    return ledger


def _draw(rng: Random, weights: dict[Kind, float]) -> Iterator[Kind]:
    kinds = list(weights)
    yield from rng.sample(kinds, len(kinds))
    while True:
        yield from rng.choices(kinds, list(weights.values()))


async def _visit(visit: Visit, kind: Kind, ledger: Ledger) -> None:
    tally, began = ledger.of(visit.kind), time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            await kind(visit)
    except NoAnswer as error:
        ledger.rows[visit.path] = None
        if visit.upload > DROPPABLE:
            tally.dropped += 1
        else:
            tally.problems.append(f"{visit.path}: {error}")
    except Exception as error:  # whatever a client makes of what it got
        tally.problems.append(f"{visit.path}: {type(error).__name__}: {error}")
        ledger.rows[visit.path] = None
    else:
        ledger.rows[visit.path] = visit.rows
    tally.visits += 1
    tally.bytes += visit.bytes
    tally.seconds += time.monotonic() - began
