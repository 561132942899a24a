"""Copies that people edit: brought up to date until somebody does."""

from pathlib import Path

from icapd.fleet.shipped import refresh

SHIPPED = {"rules/a.toml": b"first a", "splice.txt": b"first splice"}
NEWER = {"rules/a.toml": b"second a", "splice.txt": b"second splice"}


def test_missing_files_are_written(tmp_path: Path) -> None:
    assert refresh(tmp_path, SHIPPED) == []
    assert (tmp_path / "rules/a.toml").read_bytes() == b"first a"
    assert (tmp_path / "splice.txt").read_bytes() == b"first splice"


def test_file_nobody_edited_follows_the_shipped_one(tmp_path: Path) -> None:
    refresh(tmp_path, SHIPPED)
    assert refresh(tmp_path, NEWER) == []
    assert (tmp_path / "rules/a.toml").read_bytes() == b"second a"


def test_edited_file_stays_and_is_told(tmp_path: Path) -> None:
    refresh(tmp_path, SHIPPED)
    (tmp_path / "rules/a.toml").write_bytes(b"my own")
    for shipped in (SHIPPED, NEWER, NEWER):
        assert refresh(tmp_path, shipped) == ["rules/a.toml"]
    assert (tmp_path / "rules/a.toml").read_bytes() == b"my own"
    assert (tmp_path / "splice.txt").read_bytes() == b"second splice"


def test_file_that_was_there_before_is_taken_for_edited(tmp_path: Path) -> None:
    (tmp_path / "splice.txt").write_bytes(b"somebody's")
    assert refresh(tmp_path, SHIPPED) == ["splice.txt"]


def test_edit_that_equals_the_newer_file_follows_again(tmp_path: Path) -> None:
    refresh(tmp_path, SHIPPED)
    (tmp_path / "splice.txt").write_bytes(b"second splice")
    assert refresh(tmp_path, NEWER) == []
    assert refresh(tmp_path, SHIPPED) == []
    assert (tmp_path / "splice.txt").read_bytes() == b"first splice"


def test_deleted_file_comes_back(tmp_path: Path) -> None:
    refresh(tmp_path, SHIPPED)
    (tmp_path / "splice.txt").unlink()
    assert refresh(tmp_path, SHIPPED) == []
    assert (tmp_path / "splice.txt").exists()
