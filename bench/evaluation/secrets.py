"""Messages that carry one secret each: tokens in the form that their vendor publishes, in every carrier."""

from collections.abc import Iterator

from bench.evaluation.case import Case


def cases() -> Iterator[Case]:
    yield from ()
