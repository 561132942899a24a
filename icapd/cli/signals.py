"""What ends a command from outside, as an exception: so that what it did until then is put on record."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

#: A service manager or `timeout`; a terminal that closes. Ctrl-C is Python's own KeyboardInterrupt.
_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def raised() -> Iterator[None]:
    """Within, these signals raise SystemExit with the code that shells have for them (128 and the number).

    Those that are ignored, as under `nohup`, stay so. For the main thread.
    """
    usual = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in usual:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    # Once: a terminal that closes has the kernel and the shell tell of it, and more.
    for ending in _ENDING:
        signal.signal(ending, lambda *_: None)
    raise SystemExit(128 + number)
