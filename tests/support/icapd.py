"""A real `icapd serve` for tests: its own process, its own directory, ports of the system's choice."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from click.testing import CliRunner
from support.databases import make_sqlite
from support.policies import FLOWING_RULES, demo_policy
from support.processes import children

from icapd.audit.shipping.arrival import outstanding
from icapd.cli import main
from icapd.settings import Audit

ICAPD = Path(sys.executable).with_name("icapd")
#: Seconds after which something that should have happened counts as not happening: more than any pause of
#: icapd's own, such as the one before a worker that died again and again is started anew.
PATIENCE = 60.0
#: No test but those that say so asks whether a record survives a loss of power; nearly all look for the row
#: of each message, however many equal ones they send; and the disk may have much else to do.
PATIENT = {"ICAPD_AUDIT_PATIENCE": "30"}
QUICK = {"ICAPD_AUDIT_MODE": "relaxed", "ICAPD_AUDIT_COALESCE_AFTER": "0", **PATIENT}
_READY = re.compile(r"event=ready\b.* icap=([\d.]+):(\d+)")


@dataclass
class Server:
    """A running server and the lines of its log."""

    process: subprocess.Popen[str]
    directory: Path
    port: int = 0
    lines: list[str] = field(default_factory=list)
    _new_lines: "Queue[str | None]" = field(default_factory=Queue)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read_log, daemon=True).start()

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def database(self) -> Path:
        return self.directory / "icapd.db"

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        """The first line that holds the pattern, from the lines not looked at so far."""
        while True:
            try:
                line = self._new_lines.get(timeout=PATIENCE)
            except Empty:
                raise AssertionError(f"no {pattern!r} in the log:\n{self.log}") from None
            if line is None:
                raise AssertionError(f"the server ended without {pattern!r}:\n{self.log}")
            if found := re.search(pattern, line):
                return found

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def rows(self) -> list[dict[str, object]]:
        """The audit rows, newest first, as `icapd audit search` prints them."""
        command = ["--config", str(self.directory / "icapd.toml"), "audit", "search", "--format", "jsonl"]
        result = CliRunner().invoke(main, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.output.splitlines()]

    def verify(self, *arguments: str) -> int:
        """The exit code of `icapd audit verify --strict`; what it says is printed."""
        command = ["--config", str(self.directory / "icapd.toml"), "audit", "verify", "--strict"]
        result = CliRunner().invoke(main, [*command, *arguments], catch_exceptions=False)
        sys.stdout.write(result.output)
        return result.exit_code

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """What a statement finds in the database, once it has all that was committed until now."""
        audit = Audit(
            database_url=f"sqlite:///{self.database}",
            outbox=str(self.directory / "outbox"),
            signing_key=str(self.directory / "signing.key"),
        )
        outstanding(audit, PATIENCE)
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return database.execute(statement).fetchall()

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """End the server and return its exit code."""
        self.process.send_signal(signal_number)
        return self.process.wait(PATIENCE)

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            self._new_lines.put(line)
        self._new_lines.put(None)


def configure(directory: Path, text: str = "", program: Path = ICAPD) -> Path:
    """icapd.toml and an empty database in the directory.

    A text that says nothing of a policy gets a small one: the shipped rules take two seconds of each worker.
    """
    config = directory / "icapd.toml"
    plain = '[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\nworkers = 1\n'
    if program == ICAPD:
        if not (directory / "icapd.db").exists():
            make_sqlite(directory / "icapd.db")
        if "[policy]" not in text:
            rules = directory / "few-rules"
            rules.mkdir(exist_ok=True)
            demo_policy(rules, rules=FLOWING_RULES)
            text += f'\n[policy]\ndirectory = "{rules.name}"\n'
    else:
        # The text may hold a mistake on purpose; the database is made without it.
        config.write_text(plain)
        subprocess.run([program, "--config", config, "db", "upgrade"], check=True, capture_output=True)
    config.write_text(text if "[server]" in text else plain + text)
    return config


@contextmanager
def serving(
    directory: Path,
    text: str = "",
    *,
    program: Path = ICAPD,
    environment: dict[str, str] | None = None,
    limits: dict[str, int] | None = None,
) -> Iterator[Server]:
    """A server that is ready; `text`: icapd.toml, with a plain [server] section unless it has its own.

    `limits`: of its processes, by their options of prlimit(1).
    """
    config = configure(directory, text, program)
    # prlimit(1) becomes the server, with the same id.
    prlimit = ["prlimit", *(f"--{name}={limit}" for name, limit in limits.items())] if limits else []
    process = subprocess.Popen(
        [*prlimit, str(program), "--config", str(config), "serve"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **QUICK, **(environment or {})},
    )
    server = Server(process, directory)
    try:
        server.port = int(server.wait_for_log(_READY.pattern)[2])
        yield server
    finally:
        if process.poll() is None:
            workers = children(process.pid)
            process.kill()
            for worker in workers:
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        process.wait(PATIENCE)
        assert process.stderr is not None
        process.stderr.close()


def ask(connection: socket.socket, data: bytes) -> bytes:
    """Send a request and return its whole answer, with the 100 before it if there is one."""
    connection.sendall(data)
    return read_reply(connection)


def read_reply(connection: socket.socket) -> bytes:
    """One ICAP reply, read to its last byte and not beyond."""
    with connection.makefile("rb", buffering=0) as stream:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = stream.read(1)
            if not byte:
                return head
            head += byte
        if not head.startswith(b"ICAP/1.0 200"):
            return head
        encapsulated = re.search(rb"(?i)encapsulated:.*?(null-body|[a-z]+-body)=(\d+)", head)
        assert encapsulated is not None
        reply = head + _exactly(stream, int(encapsulated[2]))
        if encapsulated[1] == b"null-body":
            return reply
        while True:
            line = stream.readline()
            size = int(line, 16)
            reply += line + _exactly(stream, size + 2)
            if not size:
                return reply


def _exactly(stream: "socket.SocketIO | object", size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.read(size - len(data))  # type: ignore[union-attr]
        assert piece, "the server closed the connection within its reply"
        data += piece
    return data


def until(happened: Callable[[], bool]) -> None:
    """Wait for something that no event tells of."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
