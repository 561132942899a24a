"""Databases: kept where nobody else can write, read back whole or not at all."""

import os
from pathlib import Path

import pytest

from icapd.policy import databases, one_pass
from icapd.policy.databases import Databases, default_cache_directory

EXPRESSIONS = [one_pass.word(f"word-{number}".encode()) for number in range(databases.MIN_EXPRESSIONS)]


def occurring(directory: Path | None) -> set[int]:
    return Databases(directory).one_pass(EXPRESSIONS).occurring(b"a WORD-3 and word-7")


@pytest.fixture
def compiled_count(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each database that is compiled."""
    compiled: list[int] = []
    compile_database = one_pass.compile_database

    def counting(expressions: list[one_pass.Expression]) -> object:
        compiled.append(1)
        return compile_database(expressions)

    monkeypatch.setattr(databases, "compile_database", counting)
    return compiled


def test_a_database_is_compiled_once(tmp_path: Path, compiled_count: list[int]) -> None:
    directory = tmp_path / "cache"
    assert [occurring(directory) for _ in range(3)] == [{3, 7}] * 3
    assert len(compiled_count) == 1
    (file,) = directory.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda content: content[:-1], id="cut short"),
        pytest.param(lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:], id="one bit"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"x" * 100, id="something else"),
    ],
)
def test_a_damaged_file_is_made_anew(tmp_path: Path, compiled_count: list[int], change: object) -> None:
    occurring(tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(change(whole))  # type: ignore[operator]
    assert occurring(tmp_path) == {3, 7}
    assert file.read_bytes() == whole
    assert len(compiled_count) == 2


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_directory_that_others_may_write_to_is_not_used(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    assert occurring(tmp_path) == {3, 7}
    assert not list(tmp_path.iterdir())


def test_a_link_is_no_directory_of_ours(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert occurring(tmp_path / "link") == {3, 7}
    assert not list((tmp_path / "real").iterdir())


def test_a_place_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert occurring(tmp_path / "file" / "cache") == {3, 7}


def test_the_files_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "MAX_FILES", 2)
    made: list[Path] = []
    for number in range(3):
        others = [one_pass.word(f"set-{number}-{word}".encode()) for word in range(databases.MIN_EXPRESSIONS)]
        Databases(tmp_path).one_pass(others)
        made += [file for file in tmp_path.iterdir() if file not in made]
        os.utime(made[-1], (number, number))
    # The third one was written before its time was set back, so the first was the oldest.
    assert sorted(tmp_path.iterdir()) == sorted(made[1:])


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CACHE_DIRECTORY": "/var/cache/icapd:/other", "HOME": "/root"}, Path("/var/cache/icapd")),
        ({"XDG_CACHE_HOME": "/c", "HOME": "/root"}, Path("/c/icapd")),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/root"}, Path("/root/.cache/icapd")),
        ({}, None),
    ],
)
def test_where_databases_are_kept(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: Path | None
) -> None:
    for name in ("CACHE_DIRECTORY", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_cache_directory() == expected
