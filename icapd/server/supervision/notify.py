"""Tells systemd how the server is: sd_notify(3), its datagrams written by ourselves."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Self

#: Bytes of one message; the notification socket takes one datagram each.
_MAX_MESSAGE = 4096
#: Seconds for systemd to make room for a message: without READY=1 it would end us. WATCHDOG=1 does not wait.
_PATIENCE = 1.0


class Notifier:
    """Writes to the socket that systemd named; without one, does nothing."""

    def __init__(self, address: str = "", watchdog_usec: int = 0) -> None:
        """`address`: NOTIFY_SOCKET, a path or `@name` of an abstract socket."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        #: Seconds between two signs of life; None: systemd doesn't wait for them. Half of the time it allows.
        self.watchdog_interval = watchdog_usec / 2e6 if address and watchdog_usec > 0 else None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """What systemd asked for, if icapd was started by it (sd_notify(3), sd_watchdog_enabled(3))."""
        watchdog = environment.get("WATCHDOG_USEC", "")
        for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(
            environment.get("NOTIFY_SOCKET", ""), int(watchdog) if watchdog.isdecimal() and for_us else 0
        )

    def ready(self, status: str) -> None:
        """Traffic can flow; also the end of a reload."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload has begun; `ready` says that it has ended, whichever way."""
        # The time is that by which systemd knows that this is the answer to its own SIGHUP.
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}", "STATUS=reloading")

    def stopping(self) -> None:
        """The server has begun to stop."""
        self._send("STOPPING=1", "STATUS=stopping: requests under way may end")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def alive(self) -> None:
        """A sign of life."""
        self._send("WATCHDOG=1", patience=0)

    async def keep_alive(self, workers_answer: Callable[[], Awaitable[bool]]) -> None:
        """Signs of life until cancelled, but none while the workers don't answer: systemd then acts."""
        if self.watchdog_interval is None:
            return
        while True:
            if await workers_answer():
                self.alive()
            await asyncio.sleep(self.watchdog_interval)

    def _send(self, *lines: str, patience: float = _PATIENCE) -> None:
        if not self._address:
            return
        # A line break in a value would begin a new assignment.
        message = "\n".join(" ".join(line.splitlines()) for line in lines).encode()[:_MAX_MESSAGE]
        # systemd that is not there, or does not read, is no reason not to serve.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(patience)
            out.sendto(message, self._address)
