"""Child processes: started, waited for until they serve, watched, and stopped, each by its own id."""

import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Self

from icapd.errors import IcapdError

START_TIMEOUT = 60.0  # seconds; a slow machine proving all rules at its first start
STOP_TIMEOUT = 30.0  # seconds; icapd gives requests under way 20
RETRY_INTERVAL = 0.05  # seconds between two looks whether a process serves

#: Ways to ask a program in a terminal to end: Ctrl-C, kill, and the terminal closing.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def never() -> bool:
    """What asks to be interrupted when nobody does."""
    return False


class ProcessError(IcapdError):
    """A process that ended by itself, or does not come to serve; the message ends in its last log lines."""


class Interrupted(IcapdError):
    """A stop signal came before everything was up."""


class Signals:
    """Stop signals and the end of children, noted instead of raised: nothing is interrupted halfway.

    A context manager, for the main thread only (Python delivers signals nowhere else).
    """

    def __init__(self) -> None:
        self.stop_requested = False

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._wakeup_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._handlers = {
            number: signal.signal(number, self._note) for number in (*STOP_SIGNALS, signal.SIGCHLD)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_fd)
        self._reader.close()
        self._writer.close()

    def _note(self, number: int, _: FrameType | None) -> None:
        self.stop_requested |= number in STOP_SIGNALS

    def wait(self) -> None:
        """Until the next signal."""
        select.select([self._reader], [], [])
        self._reader.recv(4096)


class Process:
    """One child, which runs while its context lasts.

    It has a session of its own, so that Ctrl-C in the terminal reaches its parent alone.
    """

    def __init__(self, name: str, command: Sequence[str | Path], log: Path, *more_logs: Path) -> None:
        """What it prints goes to `log`; `more_logs` are those that it writes itself."""
        self.name = name
        self._command = command
        self._logs = (log, *more_logs)

    def __enter__(self) -> Self:
        self._log_starts = {path: _size(path) for path in self._logs}
        with self._logs[0].open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603 (our own programs)
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        return self

    def __exit__(self, *_: object) -> None:
        """Ask it to end, and make it after a while."""
        self._popen.terminate()
        try:
            self._popen.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def ended(self) -> bool:
        return self._popen.poll() is not None

    def wait_until(
        self,
        serves: Callable[[], bool],
        interrupted: Callable[[], bool] = never,
        timeout: float = START_TIMEOUT,
    ) -> None:
        """Until `serves`; ProcessError when it ends before that or takes too long."""
        deadline = time.monotonic() + timeout
        while not serves():
            if interrupted():
                raise Interrupted(f"stopped before {self.name} was up")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} does not serve after {timeout:.0f} s{self._last_lines()}")
            try:
                self._popen.wait(RETRY_INTERVAL)
            except subprocess.TimeoutExpired:
                continue
            raise self.obituary()

    def obituary(self) -> ProcessError:
        """The error that tells how the process ended."""
        code = self._popen.wait()
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return ProcessError(f"{self.name} ended {how}{self._last_lines()}")

    def _last_lines(self, count: int = 15) -> str:
        """What the logs got since the start, the end of it, below a colon."""
        lines: list[str] = []
        for path in self._logs:
            if path.exists():
                with path.open("rb") as log:
                    log.seek(self._log_starts[path])
                    lines += log.read().decode("utf-8", "replace").splitlines()[-count:]
        return ":\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


@contextmanager
def following(logs: Sequence[Path]) -> Iterator[None]:
    """Print what the logs get from now on, as `tail -F` does."""
    command: list[str | Path] = ["tail", f"--pid={os.getpid()}", "-n", "0", "-F", *logs]
    with subprocess.Popen(command, start_new_session=True) as tail:  # noqa: S603 (coreutils)
        try:
            yield
        finally:
            tail.terminate()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
