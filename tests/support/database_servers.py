"""Servers of the tests' own: a plugin of pytest with real PostgreSQL and MariaDB, and databases on them."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.databases import administering, make_beside

#: The name of a test's database on a server.
NAME = "icapd_test"
#: Of each kind, with what tests of it are marked with.
KINDS = [
    "sqlite",
    pytest.param("postgresql", marks=pytest.mark.postgresql),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
]
#: Seconds in which a server is ready, on a machine that has much else to do.
START = 120


@pytest.fixture(scope="module", params=KINDS)
def kept_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """As `empty_url`, for a module whose tests only read what was put there once."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('kept')}/icapd.db"
    else:
        yield from _database(request.getfixturevalue(f"{request.param}_server"), "icapd_kept")


@pytest.fixture(params=KINDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables, of each kind in turn; the SQLite file does not exist yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/icapd.db"
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def postgresql_url(postgresql_server: str) -> Iterator[str]:
    """A new database on the tests' server."""
    yield from _database(postgresql_server, NAME)


@pytest.fixture
def mariadb_url(mariadb_server: str) -> Iterator[str]:
    """The same on the other one, whose settings are another world: latin1, cut texts, its own zone."""
    yield from _database(mariadb_server, NAME)


def _database(server: str, name: str) -> Iterator[str]:
    url = make_beside(server, name)
    yield url
    with administering(server) as run:
        run(f"DROP DATABASE {name}" + (" WITH (FORCE)" if url.startswith("postgresql") else ""))


@contextmanager
def directory_of(kind: str, user: str | None) -> Iterator[Path]:
    """For a server's data and its Unix socket.

    Not pytest's own directory, which only root may enter, and with too long a path for a socket.
    """
    directory = Path(tempfile.mkdtemp(prefix=f"icapd-{kind}-"))
    try:
        if user is not None:
            shutil.chown(directory, user)
        yield directory
    finally:
        shutil.rmtree(directory)


def as_user(name: str | None) -> dict[str, Any]:
    """What makes a child another user's; these servers don't run as root."""
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []} if name else {}


class PostgreSQL:
    """A private server, which listens on a Unix socket in its directory and nowhere else."""

    def __init__(self, directory: Path, user: str | None) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        if not programs:
            pytest.fail("PostgreSQL is not installed; scripts/test installs it (Debian's package postgresql)")
        self.directory = directory
        self._programs, self._user = programs[-1], user
        self._run("initdb", "--auth=trust", "--username=icapd", "--encoding=UTF8", "--no-locale", "--no-sync")

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.directory} -c fsync=off"
        log = str(self.directory / "log")
        self._run("pg_ctl", "start", "--wait", "--log", log, "--options", options)

    def stop(self) -> None:
        """At once, as in a crash, by the process id in postmaster.pid."""
        self._run("pg_ctl", "stop", "--wait", "--mode=immediate")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """For that long; then it recovers."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "--pgdata", str(self.directory / "data"), *arguments]
        user = as_user(self._user)
        subprocess.run(command, check=True, cwd=self.directory, stdout=subprocess.DEVNULL, **user)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running one."""
    # Debian's package made the user.
    user = "postgres" if os.geteuid() == 0 else None
    with directory_of("postgresql", user) as directory:
        server = PostgreSQL(directory, user)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgresql_server(postgresql: PostgreSQL) -> str:
    """Its address."""
    return f"postgresql://icapd@/?host={postgresql.directory}"


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """The address of a running server, a private one that listens on a Unix socket and nowhere else."""
    program = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.fail(
            "MariaDB is not installed; scripts/test installs it (Debian's package mariadb-server-core)"
        )
    user = "nobody" if os.geteuid() == 0 else None
    with directory_of("mariadb", user) as directory:
        data = ["--no-defaults", f"--datadir={directory}/data"]
        make = ["mariadb-install-db", *data, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(make, check=True, cwd=directory, stdout=subprocess.DEVNULL, **as_user(user))
        place = directory / "socket"
        options = [
            "--skip-networking",
            f"--socket={place}",
            # At its start a server removes what it takes for its own temporary tables.
            f"--tmpdir={directory}",
            "--innodb-flush-log-at-trx-commit=0",
            "--sql-mode=",
            "--default-time-zone=+05:00",
        ]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, (directory / "log").open("wb") as log:
            # As systemd would have it tell that it is ready (sd_notify(3)).
            ready.bind(f"{directory}/ready")
            ready.settimeout(START)
            (directory / "ready").chmod(0o666)
            environment = {**os.environ, "NOTIFY_SOCKET": f"{directory}/ready"}
            server = subprocess.Popen(
                [program, *data, *options], cwd=directory, env=environment, stderr=log, **as_user(user)
            )
            try:
                while b"READY=1" not in ready.recv(4096):
                    pass
                yield f"mariadb://root@/?unix_socket={place}"
            finally:
                server.terminate()
                server.wait()
