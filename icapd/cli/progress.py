"""A progress bar for work that tells how much each of its steps did."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def bar() -> Progress:
    """Seen only on a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def followed(steps: Iterator[int], description: str, total: int) -> Iterator[int]:
    """The same steps, each shown when it is done."""
    with bar() as progress:
        task = progress.add_task(description, total=total)
        for count in steps:
            progress.advance(task, count)
            yield count
