"""Audit databases to test on, and a trail in them whose writer has ended."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from support.databases import make_beside, make_sqlite, server_of
from support.trail import Trail
from tampering import Tampered, copied, end


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    """The file of `sqlite_url`, with the audit tables."""
    file = tmp_path / "icapd.db"
    make_sqlite(file)
    return file


@pytest.fixture
def sqlite_url(sqlite_file: Path) -> str:
    return f"sqlite:///{sqlite_file}"


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Tampered]:
    """What `ended` and `in_sqlite` are copies of: made once for each server ("": in SQLite)."""

    @cache
    def original(server: str) -> Tampered:
        directory = tmp_path_factory.mktemp("original")
        return end(Trail.make(directory, make_beside(server, "icapd_original") if server else ""))

    return original


@pytest.fixture
def ended(empty_url: str, tmp_path: Path, originals: Callable[[str], Tampered]) -> Tampered:
    return copied(originals(server_of(empty_url)), tmp_path, empty_url)


@pytest.fixture
def in_sqlite(tmp_path: Path, originals: Callable[[str], Tampered]) -> Tampered:
    return copied(originals(""), tmp_path, f"sqlite:///{tmp_path}/icapd.db")
