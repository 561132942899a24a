"""Audit databases to test on: SQLite files, and a PostgreSQL server of the tests' own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from icapd.audit import migrations


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    """The file of `sqlite_url`, with the audit tables."""
    file = tmp_path / "icapd.db"
    migrations.upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(sqlite_file: Path) -> str:
    return f"sqlite:///{sqlite_file}"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables, of each kind in turn; the SQLite file does not exist yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/icapd.db"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def postgresql_url(postgresql_directory: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A new database on the tests' server."""
    name = "icapd_test"
    administer = f"postgresql://icapd@/postgres?host={postgresql_directory}"
    with psycopg.connect(administer, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"postgresql://icapd@/{name}?host={postgresql_directory}"
    with psycopg.connect(administer, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgresql_directory() -> Iterator[Path]:
    """The directory of the Unix socket of a running server, a private one that listens nowhere else."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        pytest.fail("PostgreSQL is not installed; scripts/test installs it (Debian's package postgresql)")
    # PostgreSQL refuses to run as root; Debian's package made a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    # Not pytest's own directory, which only root may enter, and with too long a path for a socket.
    directory = Path(tempfile.mkdtemp(prefix="icapd-postgresql-"))
    if user is not None:
        shutil.chown(directory, user)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs[-1] / program), "--pgdata", str(directory / "data"), *arguments]
        as_user: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
        subprocess.run(command, check=True, cwd=directory, stdout=subprocess.DEVNULL, **as_user)

    try:
        run("initdb", "--auth=trust", "--username=icapd", "--encoding=UTF8", "--no-locale", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off"
        run("pg_ctl", "start", "--wait", "--log", str(directory / "log"), "--options", options)
        try:
            yield directory
        finally:
            # By the process id in postmaster.pid.
            run("pg_ctl", "stop", "--wait", "--mode=immediate")
    finally:
        shutil.rmtree(directory)
