"""How fast the shipped rules go over real files, and `regex` alone: `python -m bench.engine [FILES]`.

Each file is cut at 100 KB and inspected as a whole body, as a response and as a request. Without files those
of the installed packages serve. Times are CPU time of the best of some runs; what counts is the ratio.
"""

import sys
import sysconfig
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from icapd.http.media_types import MediaType
from icapd.inspection import Fingerprinter, InspectionLimits, Inspector
from icapd.policy import RuleSet, default_rules_directory, load_policy

SIZE = 100_000
MIN_SIZE = 60_000
FILES_OF_A_KIND = 12
RUNS = 3
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "application/javascript",
    ".json": "application/json",
    ".md": "text/markdown",
    ".py": "text/plain",
    ".txt": "text/plain",
}


def installed() -> Iterator[Path]:
    """Large text files of the interpreter and its packages, in the order of their names."""
    for directory in ("purelib", "stdlib"):
        root = Path(sysconfig.get_path(directory))
        yield from sorted(path for path in root.rglob("*") if path.suffix in TYPES and path.is_file())


def chosen(paths: Iterable[Path]) -> dict[str, list[bytes]]:
    """Their beginnings, by ending."""
    kinds: dict[str, list[bytes]] = defaultdict(list)
    for path in paths:
        if len(kinds[path.suffix]) < FILES_OF_A_KIND and path.stat().st_size >= MIN_SIZE:
            kinds[path.suffix].append(path.read_bytes()[:SIZE])
    return {kind: texts for kind, texts in sorted(kinds.items()) if texts}


def seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    best = float("inf")
    for _ in range(runs):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def warm_up(inspect: Callable[[bytes], object], texts: Iterable[bytes]) -> None:
    """Inspect them all once, and wait for the databases that threads make on that account."""
    for text in texts:
        inspect(text)
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()


def alone(rules: RuleSet, text: bytes) -> None:
    """Every pattern in turn, once over the text."""
    for rule in rules.body_rules:
        if rule.pattern is not None and not rule.unicode:
            rule.pattern.search(text)


def main() -> None:
    policy = load_policy(default_rules_directory())
    limits, fingerprinter = InspectionLimits(scan_timeout=60), Fingerprinter.ephemeral()
    table = Table(
        "kind", "files", "response, MB/s", "request, MB/s", "`regex` alone, MB/s", "ratio (response)"
    )
    named = [Path(name) for name in sys.argv[1:]]
    for kind, texts in chosen(named or installed()).items():
        media_type = MediaType(TYPES[kind])
        size = sum(map(len, texts)) / 1e6
        taken = []
        for rules in (policy.response, policy.request):
            inspect = partial(Inspector(rules, fingerprinter, limits).inspect_body, media_type=media_type)
            warm_up(inspect, texts)
            taken.append(sum(seconds(partial(inspect, text)) for text in texts))
        peer = sum(seconds(partial(alone, policy.response, text), 1) for text in texts)
        figures = [size / taken[0], size / taken[1], size / peer, peer / taken[0]]
        table.add_row(kind, str(len(texts)), *(f"{figure:.1f}" for figure in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
