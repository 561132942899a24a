"""`icapd scan --batch`: lines in, lines out, in one process or in several."""

import multiprocessing
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import BinaryIO

from icapd.cli.batch import examine_line
from icapd.inspection import Inspector

#: Bytes of lines that one process takes at a time, and how many such portions wait for each.
_PORTION, _WAITING = 1024 * 1024, 3

#: The answers to a portion of lines, and the exit code that they ask for.
Answers = tuple[bytes, int]

# What each process of a pool inspects with; given once, for it can't be sent with every portion.
_inspectors: dict[str, Inspector] = {}


def run_batch(source: BinaryIO, output: BinaryIO, inspectors: Mapping[str, Inspector], jobs: int) -> int:
    """One line out for each line in, in their order; returns the exit code."""
    exit_code = 0
    answers = _one_by_one(source, inspectors) if jobs == 1 else _in_processes(source, inspectors, jobs)
    for lines, code in answers:
        output.write(lines)
        exit_code = max(exit_code, code)
    output.flush()
    return exit_code


def _one_by_one(source: BinaryIO, inspectors: Mapping[str, Inspector]) -> Iterator[Answers]:
    for line in source:
        if line.strip():
            answer, code = examine_line(line, inspectors)
            yield answer + b"\n", code


def _in_processes(source: BinaryIO, inspectors: Mapping[str, Inspector], jobs: int) -> Iterator[Answers]:
    """The same; no more lines are read than are soon to be answered."""
    # A forked process has the rules already, compiled.
    context = multiprocessing.get_context("fork")
    waiting: deque[Future[Answers]] = deque()
    with ProcessPoolExecutor(jobs, context, _begin, (dict(inspectors),)) as pool:
        portions = iter(lambda: source.readlines(_PORTION), [])
        for lines in islice(portions, jobs * _WAITING):
            waiting.append(pool.submit(_answers, lines))
        while waiting:
            yield waiting.popleft().result()
            for lines in islice(portions, 1):
                waiting.append(pool.submit(_answers, lines))


def _begin(inspectors: dict[str, Inspector]) -> None:
    _inspectors.update(inspectors)


def _answers(lines: list[bytes]) -> Answers:
    answered = [examine_line(line, _inspectors) for line in lines if line.strip()]
    return b"".join(answer + b"\n" for answer, _ in answered), max((code for _, code in answered), default=0)
