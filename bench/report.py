"""What came out, as Markdown: figures, ratios, and where each goal stands."""

import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from bench.proxied import NO_ICAP, ProxyResults
from bench.turns import CONNECTIONS, Results

ECHO, FILTER, FLOOR = "c-icap echo", "c-icap content filtering", "floor"
OURS, COMPILED, TWO_WORKERS = "icapd", "icapd compiled", "icapd, 2 workers"
#: Most of c-icap content filtering's CPU that icapd may take, by size.
FILTER_GOALS = {"1 KB": 1 / 2, "16 KB": 1 / 10, "100 KB": 1 / 25, "1 MB": 1 / 30}
#: Most of the floor's CPU that icapd may take, by size.
FLOOR_GOALS = {"1 KB": 3.0, "100 KB": 1.5, "1 MB": 1.5}
TWO_WORKERS_GOAL = 1.8
MAX_ADDED_LATENCY = 1e-3  # seconds, for 1 KB
MAX_EVENT_LAG = 5e-3  # seconds

_DEBIAN_PACKAGES = ("c-icap", "libc-icap-mod-contentfiltering", "e2guardian", "squid-openssl")
_PYTHON_PACKAGES = ("uvloop", "hyperscan", "pyicap", "regex")


def render(results: Results | None, proxied: ProxyResults | None, command: str) -> str:
    """The whole report."""
    lines = [f"`{command}`", "", *machine(), ""]
    if results is not None:
        lines += list(_cpu_table(results))
        lines += list(_speed_table(results))
        lines += list(_absent(results))
    if proxied is not None:
        lines += list(_proxied_tables(proxied))
    lines += ["### Goals", "", *_head(["goal", OURS, "", COMPILED, ""])]
    for plain, compiled in zip(goals(results, proxied, OURS), goals(results, proxied, COMPILED), strict=True):
        lines.append(_row([*plain, *compiled[1:]]))
    return "\n".join(lines) + "\n"


def goals(results: Results | None, proxied: ProxyResults | None, ours: str) -> Iterator[tuple[str, str, str]]:
    """Each goal, what was measured of ours, and "met", "not met" or "not measured"."""
    if results is not None:
        for size, goal in FILTER_GOALS.items():
            ratio = _ratio(results, ours, FILTER, f"{size} JSON")
            text = f"1/{1 / ratio:.1f}" if ratio else "-"
            yield f"{size}: CPU at most 1/{1 / goal:.0f} of {FILTER}'s", text, _word(ratio, goal)
        for size, goal in FLOOR_GOALS.items():
            ratio = _ratio(results, ours, FLOOR, f"{size} JSON")
            yield f"{size}: CPU at most {goal:g}x the floor's", _times(ratio), _word(ratio, goal)
        for case in ("1 KB JSON", "100 KB JSON"):
            one, two = results.get(OURS, case), results.get(TWO_WORKERS, case) if ours == OURS else None
            gain = two.throughput / one.throughput if one and two else None
            word = "not measured" if gain is None else "met" if gain >= TWO_WORKERS_GOAL else "not met"
            if two and two.is_client_limited and word == "not met":
                word = "not met (client-limited)"
            yield f"{case}: 2 workers at least {TWO_WORKERS_GOAL}x one", _times(gain), word
    if proxied is not None:
        yield from _proxied_goals(proxied, ours)


def _proxied_goals(proxied: ProxyResults, ours: str) -> Iterator[tuple[str, str, str]]:
    plain, echo, own = (
        {path: proxied.figures.get((name, path)) for path in ("/1k", "/100k")}
        for name in (NO_ICAP, ECHO, ours)
    )
    for path, label in (("/1k", "1 KB"), ("/100k", "100 KB")):
        both = own[path], echo[path]
        ratio = both[0].throughput / both[1].throughput if both[0] and both[1] else None
        word = "not measured" if ratio is None else "met" if ratio >= 1 else "not met"
        yield f"through Squid, {label}: throughput at least that with {ECHO}", _times(ratio), word
    both = own["/1k"], plain["/1k"]
    added = both[0].p50 - both[1].p50 if both[0] and both[1] else None
    yield "through Squid, 1 KB: added latency p50 at most 1 ms", *_milliseconds(added, MAX_ADDED_LATENCY)
    lags = sorted(proxied.lags.get(ours, []))
    p99 = lags[len(lags) * 99 // 100] if lags else None
    yield "200 event streams: lag p99 at most 5 ms per event", *_milliseconds(p99, MAX_EVENT_LAG)


def _milliseconds(seconds: float | None, goal: float) -> tuple[str, str]:
    return "-" if seconds is None else f"{seconds * 1e3:.2f} ms", _word(seconds, goal)


def machine(
    debian: Sequence[str] = _DEBIAN_PACKAGES, python: Sequence[str] = _PYTHON_PACKAGES
) -> Iterator[str]:
    """The line that tells what was measured on; of the packages, those that are installed."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    cores = len(
        [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")]
    )
    build = "with" if "--enable-optimizations" in _configuration() else "without"
    versions = [f"Python {platform.python_version()} ({build} --enable-optimizations)"]
    for package in python:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    query = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *debian]
    with suppress(OSError):
        versions += subprocess.run(query, capture_output=True, text=True, check=False).stdout.splitlines()
    yield f"{cores} cores, {model}; {', '.join(versions)}."


def _configuration() -> str:
    import sysconfig  # noqa: PLC0415 (needed here alone)

    return str(sysconfig.get_config_var("CONFIG_ARGS"))


def _cpu_table(results: Results) -> Iterator[str]:
    """The main figure, and icapd's ratios."""
    yield "### CPU of the server per transaction, µs"
    yield ""
    ours = COMPILED if COMPILED in results.servers else OURS
    yield f"Ratios are those of {ours}, with one worker, to the peer in the same run."
    yield ""
    peers = [name for name in (ECHO, FILTER, FLOOR) if name in results.servers]
    yield from _head(["message", *results.servers, *(f"/ {peer}" for peer in peers)])
    for case in results.cases:
        cells = [_cell(results, server, case) for server in results.servers]
        yield _row([case, *cells, *(_times(_ratio(results, ours, peer, case)) for peer in peers)])
    yield ""


def _cell(results: Results, server: str, case: str) -> str:
    figures = results.get(server, case)
    return f"{figures.cpu * 1e6:.0f}" if figures else "-"


def _speed_table(results: Results) -> Iterator[str]:
    yield "### Throughput, latency, memory"
    yield ""
    yield (
        f"Transactions a second with {CONNECTIONS} connections; `~`: the server was not busy all the time, "
        "so the client, or other work on the machine, set the pace. Then p50 / p99 in ms with one connection."
    )
    yield ""
    yield from _head(["message", *results.servers])
    for case in results.cases:
        cells = []
        for server in results.servers:
            figures = results.get(server, case)
            if figures is None:
                cells.append("-")
                continue
            sign = "~" if figures.is_client_limited else ""
            cells.append(f"{sign}{figures.throughput:.0f}, {figures.p50 * 1e3:.2f} / {figures.p99 * 1e3:.2f}")
        yield _row([case, *cells])
    most = []
    for server in results.servers:
        sizes = [figures.rss for (name, _), figures in results.figures.items() if name == server]
        most.append(f"{max(sizes) / 1e6:.0f} MB" if sizes else "-")
    yield _row(["RSS, most", *most])
    yield ""


def _absent(results: Results) -> Iterator[str]:
    """Who did not take part, and who answered wrongly."""
    for name, reason in results.missing.items():
        yield f"- **{name}** did not take part: {_inline(reason)}"
    for name, problem in results.wrong.items():
        yield f"- **{name}** answered wrongly, so it has no figures: {_inline(problem)}"
    if results.missing or results.wrong:
        yield ""


def _proxied_tables(proxied: ProxyResults) -> Iterator[str]:
    yield "### Through Squid, TLS decrypted on both sides"
    yield ""
    if proxied.missing:
        yield f"Not measured: {_inline(proxied.missing)}"
        yield ""
        return
    yield "Throughput with 8 connections on the whole machine, which the clients and the origin share."
    yield ""
    yield from _head(
        [
            "body",
            "ICAP",
            "requests/s",
            "p50, ms",
            "p99, ms",
            "added p50 / p99, ms",
            "Squid µs",
            "ICAP server µs",
        ]
    )
    for (name, path), figures in sorted(
        proxied.figures.items(), key=lambda item: (len(item[0][1]), item[0][1])
    ):
        plain = proxied.figures.get((NO_ICAP, path))
        added = "-"
        if plain and name != NO_ICAP:
            added = f"{(figures.p50 - plain.p50) * 1e3:.2f} / {(figures.p99 - plain.p99) * 1e3:.2f}"
        icap = f"{figures.icap_cpu * 1e6:.0f}" if figures.icap_cpu < float("inf") else "-"
        yield _row(
            [
                path[1:],
                name,
                f"{figures.throughput:.0f}",
                f"{figures.p50 * 1e3:.2f}",
                f"{figures.p99 * 1e3:.2f}",
                added,
                f"{figures.squid_cpu * 1e6:.0f}",
                icap,
            ]
        )
    yield ""
    yield from _head(["200 event streams", "events", "lag p50, ms", "lag p99, ms"])
    for name, unordered in proxied.lags.items():
        lags = sorted(unordered)
        yield _row(
            [
                name,
                str(len(lags)),
                f"{lags[len(lags) // 2] * 1e3:.2f}",
                f"{lags[len(lags) * 99 // 100] * 1e3:.2f}",
            ]
        )
    for (name, path), problem in proxied.failures.items():
        yield f"- **{name}, {path}** failed: {_inline(problem)}"
    yield ""


def _head(cells: Sequence[str]) -> Iterator[str]:
    yield _row(cells)
    yield "|" + "---|" * len(cells)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ratio(results: Results, ours: str, theirs: str, case: str) -> float | None:
    """Of the CPU per transaction."""
    mine, other = results.get(ours, case), results.get(theirs, case)
    return mine.cpu / other.cpu if mine and other and other.cpu else None


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _word(ratio: float | None, goal: float) -> str:
    return "not measured" if ratio is None else "met" if ratio <= goal else "not met"


def _inline(text: str) -> str:
    return " ".join(text.split())[:400]


def command_line(module: str = "bench") -> str:
    """What was typed, as one can type it again."""
    return " ".join([f"python -m {module}", *sys.argv[1:]])
