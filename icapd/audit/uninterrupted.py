"""What is begun is ended, whatever ends a command in between: signals break into neither."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_T = TypeVar("_T")

_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@contextmanager
def framed(
    begin: Callable[[], _T], end: Callable[[_T, bool], None], *, is_short: bool = False
) -> Iterator[_T]:
    """Call `begin`, and at the end `end` with what that returned, and whether all went well.

    Meanwhile the signals wait; of what `is_short` also in between, for a signal just behind a deed would hide
    that it was done. They wait for this thread, so in a process with others another one may be interrupted.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    begun: list[_T] = []
    is_done = False
    try:
        _hold()
        begun.append(begin())
        try:
            if not is_short:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            yield begun[0]
            is_done = True
        finally:
            _hold()
    finally:
        try:
            for one in begun:
                end(one, is_done)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hold() -> None:
    # One that came just before is raised here, when the others wait already.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
