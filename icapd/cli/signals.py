"""What ends a command from outside, as an exception: so that what it did until then is put on record."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: A service manager or `timeout`; a terminal that closes. Ctrl-C is Python's own KeyboardInterrupt.
_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def raised() -> Iterator[None]:
    """Within, the first of these signals raises SystemExit with the code that shells have for it (128 and its
    number), and later ones nothing: a terminal that closes has the kernel and the shell tell of it.

    Those that are ignored, as under `nohup`, stay so. For the main thread.
    """
    usual = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, _frame: FrameType | None) -> None:
        for other in usual:
            signal.signal(other, lambda *_: None)
        raise SystemExit(128 + number)

    for number in usual:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)
