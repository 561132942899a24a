"""What goes wrong on purpose in the tests of faults, and what they look at."""

import re
import resource
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support import wire
from support.icapd import PATIENCE, Server, ask
from support.policies import FLOWING_RULES, SECRET, demo_policy
from support.processes import workers_under

SECRET_BODY = b'{"key": "KEY-%b"}' % SECRET
#: A message with something to redact: its answer tells that the server inspects and records.
REQUEST = wire.respmod(wire.OK, wire.chunked(SECRET_BODY, ieof=True), Preview="1024")
REDACTED = b"KEY-[REDACTED]"


def prepare(directory: Path) -> Path:
    """The directory of a server, with rules in it that let bodies of any size flow."""
    (directory / "rules").mkdir()
    demo_policy(directory / "rules", rules=FLOWING_RULES)
    return directory


def settings(audit: str = "", *, workers: int = 1, http_port: int = 0, **server: float) -> str:
    """icapd.toml; `http_port` 0: no status pages."""
    lines = [f"{key} = {value}\n" for key, value in server.items()]
    http = f"127.0.0.1:{http_port}" if http_port else ""
    return (
        f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "{http}"\nworkers = {workers}\n{"".join(lines)}'
        f'[policy]\ndirectory = "rules"\nwatch = false\n{audit}'
    )


def page(port: int, path: str) -> tuple[int, str]:
    """Status and text of a status page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that no event tells of."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_inspected(connection: socket.socket) -> bool:
    return REDACTED in ask(connection, REQUEST)


def processes(server: Server) -> list[int]:
    """The supervisor, then its workers."""
    return [server.process.pid, *workers_under(server.process.pid)]


@contextmanager
def limited(pids: list[int], what: int, limit: Callable[[int], int]) -> Iterator[None]:
    """The soft limit of a resource of running processes, as `prlimit --pid` sets it: `limit` of the pid."""
    before = {pid: resource.prlimit(pid, what) for pid in pids}
    try:
        for pid, (_, hard) in before.items():
            resource.prlimit(pid, what, (limit(pid), hard))
        yield
    finally:
        for pid, limits in before.items():
            resource.prlimit(pid, what, limits)


def descriptors_in_use(pid: int) -> int:
    """The lowest limit that leaves a process what it has, and not one descriptor more."""
    taken = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    free = next(number for number in range(len(taken) + 1) if number not in taken)
    # The limit is on the number of a new descriptor, which is the lowest that is free.
    return free


def peak_memory(pid: int) -> int:
    """Bytes that a process has had in memory at most."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
