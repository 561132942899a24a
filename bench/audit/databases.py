"""Databases to measure on: a SQLite file, and servers of this run's own, as durable as they come.

The servers keep their files in a directory of the run's, listen on a Unix socket there and nowhere else, and
are what Debian's packages install, without a line of tuning.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pymysql

from bench.audit.usage import cpu_of
from bench.processes import Unavailable

#: Seconds in which a server is ready.
_START = 120.0


@dataclass(frozen=True)
class Place:
    """Where databases can be made."""

    #: Makes a new, empty one, and gives its address.
    make: Callable[[], str]
    #: Of the server; 0 for SQLite, which has none.
    pid: int = 0

    @property
    def cpu(self) -> float:
        """Seconds that the server has used so far."""
        return cpu_of(self.pid) if self.pid else 0.0


@contextmanager
def sqlite() -> Iterator[Place]:
    """Files in a directory of their own."""
    with _directory(None) as directory:
        numbers = count(1)
        yield Place(lambda: f"sqlite:///{directory}/{next(numbers)}.db")


@contextmanager
def postgresql() -> Iterator[Place]:
    """A PostgreSQL server. Raises Unavailable."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        raise Unavailable("PostgreSQL is not installed: apt-get install postgresql")
    # It does not run as root; Debian's package made this user.
    user = "postgres" if os.geteuid() == 0 else None
    with _directory(user) as directory:

        def run(program: str, *arguments: str) -> None:
            command = [str(programs[-1] / program), "--pgdata", str(directory / "data"), *arguments]
            subprocess.run(command, check=True, cwd=directory, stdout=subprocess.DEVNULL, **_as_user(user))

        run("initdb", "--auth=trust", "--username=icapd", "--encoding=UTF8", "--no-locale")
        options = f"-c listen_addresses= -c unix_socket_directories={directory}"
        run("pg_ctl", "start", "--wait", "--log", str(directory / "log"), "--options", options)
        numbers = count(1)

        def make() -> str:
            name = f"icapd_{next(numbers)}"
            with psycopg.connect(f"postgresql://icapd@/postgres?host={directory}", autocommit=True) as server:
                server.execute(f"CREATE DATABASE {name}")
            return f"postgresql://icapd@/{name}?host={directory}"

        try:
            yield Place(make, int((directory / "data" / "postmaster.pid").read_text().split()[0]))
        finally:
            # By the process id in postmaster.pid.
            run("pg_ctl", "stop", "--wait", "--mode=fast")


@contextmanager
def mariadb() -> Iterator[Place]:
    """A MariaDB server. Raises Unavailable."""
    program = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise Unavailable("MariaDB is not installed: apt-get install mariadb-server-core")
    user = "nobody" if os.geteuid() == 0 else None
    with _directory(user) as directory:
        data = ["--no-defaults", f"--datadir={directory}/data"]
        install = ["mariadb-install-db", *data, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(install, check=True, cwd=directory, stdout=subprocess.DEVNULL, **_as_user(user))
        place, numbers = directory / "socket", count(1)

        def make() -> str:
            name = f"icapd_{next(numbers)}"
            with pymysql.connect(unix_socket=str(place), user="root") as server:
                server.cursor().execute(f"CREATE DATABASE {name}")
            return f"mariadb://root@/{name}?unix_socket={place}"

        with _ready_socket(directory) as ready, (directory / "log").open("wb") as log:
            server = subprocess.Popen(
                [program, *data, "--skip-networking", f"--socket={place}"],
                cwd=directory,
                env={**os.environ, "NOTIFY_SOCKET": f"{directory}/ready"},
                stderr=log,
                **_as_user(user),
            )
            try:
                while b"READY=1" not in ready.recv(4096):
                    pass
                # What it tells from now on nobody reads; at its end it would wait for that.
                ready.close()
                yield Place(make, server.pid)
            finally:
                server.terminate()
                server.wait()


#: In the order of the tables.
KINDS: dict[str, Callable[[], AbstractContextManager[Place]]] = {
    "postgresql": postgresql,
    "sqlite": sqlite,
    "mariadb": mariadb,
}


@contextmanager
def _directory(user: str | None) -> Iterator[Path]:
    # The path of a Unix socket must be short, and a server's user must be able to reach it.
    directory = Path(tempfile.mkdtemp(prefix="icapd-bench-"))
    try:
        if user is not None:
            shutil.chown(directory, user)
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def _ready_socket(directory: Path) -> Iterator[socket.socket]:
    """Where a server tells that it is ready, as systemd would have it (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(f"{directory}/ready")
        ready.settimeout(_START)
        (directory / "ready").chmod(0o666)
        yield ready


def _as_user(name: str | None) -> dict[str, Any]:
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []} if name else {}
