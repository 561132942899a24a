"""Databases that can't be opened: each says in one line what is wrong, where, and what to do."""

import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from icapd.audit import migrations, require_destination, schema
from icapd.audit.search import Filters, search
from icapd.errors import AuditError

ORDINARY_USER = 65534


def with_revision(revision: str) -> Callable[[Path], None]:
    def prepare(file: Path) -> None:
        migrations.upgrade(f"sqlite:///{file}")
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE audit_schema_version SET version_num = ?", (revision,))

    return prepare


def nothing(_file: Path) -> None:
    pass


def damaged(file: Path) -> None:
    migrations.upgrade(f"sqlite:///{file}")
    data = file.read_bytes()
    # The first page's header stays, what it says of its content does not.
    file.write_bytes(data[:100] + bytes(len(data) - 100))


CASES = [
    pytest.param(
        "none/icapd.db",
        nothing,
        "none/icapd.db: the directory .*none does not exist; make it",
        id="no-directory",
    ),
    pytest.param(
        "icapd.db", nothing, "icapd.db: does not exist; make it with `icapd db upgrade`", id="no-file"
    ),
    pytest.param("icapd.db", Path.mkdir, "icapd.db: is a directory; name a file", id="directory"),
    pytest.param(
        "icapd.db",
        lambda file: file.write_text("dear diary " * 100),
        r"icapd.db: is not a SQLite database; name another in \[audit\] database_url",
        id="not-a-database",
    ),
    pytest.param("icapd.db", damaged, "icapd.db: is damaged; restore it", id="damaged"),
    pytest.param(
        "icapd.db", Path.touch, "icapd.db: has no audit tables; .*`icapd db upgrade`", id="empty-file"
    ),
    pytest.param(
        "icapd.db",
        with_revision("0000"),
        f"icapd.db: its schema is 0000, behind this icapd's {schema.HEAD}; run `icapd db upgrade`",
        id="schema-behind",
    ),
    pytest.param(
        "icapd.db",
        with_revision("9999"),
        f"icapd.db: its schema is 9999, ahead of this icapd's {schema.HEAD}; run the icapd that upgraded it",
        id="schema-ahead",
    ),
]


@pytest.mark.parametrize(("name", "prepare", "problem"), CASES)
def test_serving_and_searching_name_the_file_and_the_remedy(
    tmp_path: Path, name: str, prepare: Callable[[Path], None], problem: str
) -> None:
    file = tmp_path / name
    prepare(file)
    url = f"sqlite:///{file}"
    with pytest.raises(AuditError, match=problem):
        require_destination(url)
    with pytest.raises(AuditError, match=problem):
        list(search(url, Filters()))
    with pytest.raises(AuditError, match=problem):
        migrations.check(url)


@pytest.mark.parametrize(
    ("name", "prepare", "problem"),
    [
        case
        for case in CASES
        if case.id in ("no-directory", "directory", "not-a-database", "damaged", "schema-ahead")
    ],
)
def test_upgrading_does_too(tmp_path: Path, name: str, prepare: Callable[[Path], None], problem: str) -> None:
    file = tmp_path / name
    prepare(file)
    with pytest.raises(AuditError, match=problem):
        migrations.upgrade(f"sqlite:///{file}")


@pytest.fixture
def directory_of_an_ordinary_user() -> Iterator[Path]:
    """Holds an upgraded database. Not pytest's own directory, which nobody but root may enter."""
    with tempfile.TemporaryDirectory(prefix="icapd-audit-") as directory:
        file = Path(directory) / "icapd.db"
        migrations.upgrade(f"sqlite:///{file}")
        if os.geteuid() == 0:
            for path in (directory, file):
                os.chown(path, ORDINARY_USER, ORDINARY_USER)
        yield Path(directory)
        Path(directory).chmod(0o700)


def error_of_an_ordinary_user(attempt: Callable[[str], object], url: str) -> BaseException | None:
    """What an attempt ends in when it is not made by root, whom no permission stops."""
    with ProcessPoolExecutor(1, get_context("fork"), initializer=become_an_ordinary_user) as pool:
        return pool.submit(attempt, url).exception()


def become_an_ordinary_user() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(ORDINARY_USER)
        os.setuid(ORDINARY_USER)


@pytest.mark.parametrize(
    ("file_mode", "directory_mode", "problem"),
    [
        pytest.param(0o400, 0o700, r"icapd\.db: can't be written; give the user", id="read-only-file"),
        pytest.param(0o600, 0o500, r"icapd\.db.*: can't be \w+.*give the user", id="read-only-directory"),
        pytest.param(0o000, 0o700, r"icapd\.db: can't be opened; give the user", id="unreadable-file"),
        pytest.param(0o600, 0o000, r"icapd\.db: can't be opened; give the user", id="closed-directory"),
    ],
)
def test_missing_rights_are_named(
    directory_of_an_ordinary_user: Path, file_mode: int, directory_mode: int, problem: str
) -> None:
    file = directory_of_an_ordinary_user / "icapd.db"
    file.chmod(file_mode)
    directory_of_an_ordinary_user.chmod(directory_mode)
    error = error_of_an_ordinary_user(require_destination, f"sqlite:///{file}")
    assert isinstance(error, AuditError)
    assert re.search(problem, str(error))


def test_a_directory_where_nothing_may_be_made_is_named(directory_of_an_ordinary_user: Path) -> None:
    directory_of_an_ordinary_user.chmod(0o500)
    error = error_of_an_ordinary_user(migrations.upgrade, f"sqlite:///{directory_of_an_ordinary_user}/new.db")
    assert isinstance(error, AuditError)
    assert re.search(r"new\.db: can't be opened; give the user", str(error))
