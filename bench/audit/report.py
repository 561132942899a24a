"""What came out, as Markdown, with where each goal of the audit trail stands."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from bench.audit import shipping, verdict
from bench.audit.millions import Answers, percentile
from bench.audit.outage import Outage
from bench.audit.reading import Passed
from bench.audit.sizes import Size

#: Records a second that the shipper brings, by database; how many times the inflow it drains; seconds in
#: which a question over ten million rows is answered.
SHIPPED_GOALS = {"postgresql": 20_000, "sqlite": 50_000}
DRAIN_GOAL = 3.0
QUESTION_GOAL = 0.2


def shipping_lines(results: shipping.Results) -> Iterator[str]:
    yield "### Shipped, records a second"
    yield ""
    yield from _head(
        ["database", "partitions", "records", "by", "records/s", "/ executemany", "CPU, µs", "/ executemany"],
        4,
    )
    for (name, period, mix, way), figures in results.items():
        peer = results[name, period, mix, "executemany"]
        yield _row(
            [
                *(name, period if name == "postgresql" else "none", mix, way),
                f"{figures.rate:,.0f}",
                f"{figures.rate / peer.rate:.2f}",
                f"{figures.cpu * 1e6:.0f}",
                f"{figures.cpu / peer.cpu:.2f}",
            ]
        )
    yield ""
    for name, goal in SHIPPED_GOALS.items():
        ours = [figures for key, figures in results.items() if (key[0], key[3]) == (name, shipping.SHIPPER)]
        if ours:
            rate = ours[0].rate
            yield (
                f"Goal: {goal:,}/s into {name}: {rate:,.0f} ({_word(rate >= goal)});"
                f" a core for itself would bring {1 / ours[0].cpu:,.0f}."
            )


def verdict_lines(results: verdict.Results, syncs: Sequence[float]) -> Iterator[str]:
    yield "### On the way of a verdict"
    yield ""
    sync = statistics.median(syncs)
    yield f"1 KB of JSON, one worker, SQLite. Peer: one sync of 1,000 bytes appended, {sync * 1e6:.0f} µs."
    yield ""
    yield from _head(
        ["mode", "connections", "p50, ms", "p99, ms", "added p50", "/ a sync", "added p99", "CPU added, µs"],
        1,
    )
    for (mode, connections), figures in results.items():
        off = results["off", connections]
        p50, p99 = figures.median("p50"), figures.median("p99")
        added, added_p99 = p50 - off.median("p50"), p99 - off.median("p99")
        yield _row(
            [
                *(mode, str(connections), f"{p50 * 1e3:.2f}", f"{p99 * 1e3:.2f}"),
                f"{added * 1e3:.2f}",
                f"{added / sync:.2f}",
                f"{added_p99 * 1e3:.2f}",
                f"{(figures.median('cpu') - off.median('cpu')) * 1e6:.0f}",
            ]
        )


def outage_lines(outage: Outage, minutes: float) -> Iterator[str]:
    yield f"### After an outage of {minutes:g} minutes"
    yield ""
    yield from _head(["database", "transactions/s", "p99, ms"], 1)
    for name in ("before", "meanwhile", "draining"):
        phase = getattr(outage, name)
        yield _row([name, f"{phase.rate:,.0f}", f"{phase.p99 * 1e3:.1f}"])
    yield ""
    yield (
        f"{outage.gathered:,} records waited; they, and those of the traffic, came in {outage.took:.0f} s:"
        f" {outage.brought / outage.took:,.0f}/s, {outage.ratio:.1f} times the inflow"
        f" (goal {DRAIN_GOAL:g}: {_word(outage.ratio >= DRAIN_GOAL)})."
    )


def question_lines(answers: Mapping[str, Answers], rows: int) -> Iterator[str]:
    yield f"### Questions over {rows:,} rows, PostgreSQL"
    yield ""
    yield (
        "As `icapd audit search` asks, the newest 100, with a connection of its own each time. Each value was"
        " asked in several rounds, of which the best counts; beside it the first."
    )
    yield ""
    columns = ["by", "values", "records found", "p50, ms", "p99, ms", "p50 at first", "p99 at first", "goal"]
    yield from _head(columns, 1)
    for question, one in answers.items():
        times = [percentile(values, part) for values in (one.best, one.first) for part in (50, 99)]
        figures = [f"{seconds * 1e3:.0f}" for seconds in times]
        is_met = _word(times[1] < QUESTION_GOAL)
        yield _row([question, str(len(one.best)), f"{one.found:,}", *figures, is_met])


def reading_lines(passed: Mapping[tuple[str, str], Passed]) -> Iterator[str]:
    yield "### Verified and exported"
    yield ""
    yield from _head(["database", "command", "rows/s", "CPU of icapd, µs", "more memory, MiB"], 2)
    for (name, command), one in passed.items():
        yield _row([name, command, f"{one.rate:,.0f}", f"{one.cpu * 1e6:.1f}", f"{one.memory:.0f}"])


def size_lines(tables: Mapping[str, Mapping[str, Size]], outboxes: Mapping[str, float]) -> Iterator[str]:
    yield "### Bytes of a row, as it was shipped"
    yield ""
    columns = ["where", "table", "rows", "row alone", "with its indexes", "of these, those for servers"]
    yield from _head(columns, 2)
    for name, sizes in tables.items():
        for table, size in sizes.items():
            for_servers = "-" if size.for_servers is None else f"{size.for_servers:.0f}"
            figures = [f"{size.rows:,}", f"{size.of_table:.0f}", f"{size.with_indexes:.0f}", for_servers]
            yield _row([name, table, *figures])
    for mix, size_of_record in outboxes.items():
        yield _row(["outbox", mix, "", f"{size_of_record:.0f}", "", ""])


def _head(columns: Sequence[str], words: int) -> Iterator[str]:
    """So many of the columns hold words, the others figures."""
    yield _row(columns)
    yield _row(["---"] * words + ["---:"] * (len(columns) - words))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _word(is_met: bool) -> str:
    return "met" if is_met else "not met"
