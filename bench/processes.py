"""Servers as processes: started in a session of their own, and ended with all of it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

START_TIMEOUT = 60.0  # seconds; several servers start side by side, and icapd proves all its rules
STOP_TIMEOUT = 20.0  # seconds until a server that was asked to end is made to


class Unavailable(Exception):
    """This server can't run here; the message says why, and the report repeats it."""


class Runnable(Protocol):
    """What `running` needs of a server; see `bench.servers.Server`."""

    directory: Path
    port: int
    pid: int

    def command(self) -> list[str]: ...

    def environment(self) -> dict[str, str]: ...


_Server = TypeVar("_Server", bound=Runnable)


@contextmanager
def running(server: _Server) -> Iterator[_Server]:
    """The server, taking connections, until the context ends; whatever happens no process of it stays."""
    server.directory.mkdir(parents=True, exist_ok=True)
    command = server.command()
    log_file = server.directory / "output.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **server.environment()},
        )
    server.pid = process.pid
    try:
        _wait_until_it_listens(server, process, log_file)
        yield server
    finally:
        stop(process)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its session: asked first, made to after a while."""
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    for pid in session_members(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(STOP_TIMEOUT)


def session_members(session: int) -> list[int]:
    """The processes of a session. A child that makes a session of its own is not found."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[3]) == session:
                members.append(int(stat.parent.name))
    return members


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(server: Runnable, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                return
        time.sleep(0.05)
    how = "does not listen" if process.poll() is None else f"ended with {process.returncode}"
    raise Unavailable(f"{how}: {log.read_text(errors='replace').strip()[-300:]}")
