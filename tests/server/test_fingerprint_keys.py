"""The file of the fingerprint keys: made once, replaced whole, and never by guess."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from icapd.errors import ConfigurationError
from icapd.inspection import Fingerprinter
from icapd.server.fingerprint_keys import KEY_SIZE, MAX_KEYS, add_key, load_keys, load_or_create_keys

OLD, NEW = "aa" * KEY_SIZE, "bb" * KEY_SIZE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fingerprint.key"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_made_for_its_owner_only_and_then_left_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        keys = load_or_create_keys(path)
    finally:
        os.umask(before)
    assert [len(key) for key in keys] == [KEY_SIZE]
    assert mode_of(path) == 0o600
    assert load_or_create_keys(path) == load_keys(path) == keys
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_all_that_start_together_find_one_key(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(load_or_create_keys, [path] * 32))
    assert len(found) == 1


def test_newest_comes_first(path: Path) -> None:
    path.write_text(f"{OLD}\n{NEW}\n")
    assert [key.hex() for key in load_keys(path)] == [NEW, OLD]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "holds no key; restore it", id="empty"),
        pytest.param(
            f"{OLD}\n{NEW[:40]}", "line 2 is not a key of 32 or more bytes in hexadecimal", id="half"
        ),
        pytest.param(f"{OLD}\n\n{NEW}\n", "line 2 is not a key", id="empty-line"),
        pytest.param(f"{OLD}\n{NEW}\n{OLD.upper()}\n", "line 3 is the key of line 1 again; take", id="twice"),
        pytest.param("hunter2", "line 1 is not a key", id="text"),
        pytest.param("\xe9" * KEY_SIZE, "line 1 is not a key", id="no-ascii"),
        pytest.param("\0" * 100, "line 1 is not a key", id="zeros-of-a-lost-write"),
        pytest.param(
            "".join(f"{number:064x}\n" for number in range(MAX_KEYS + 1)),
            f"has {MAX_KEYS} keys, which is the most; take the oldest out",
            id="too-many",
        ),
        pytest.param("a" * 70_000, "too large", id="too-large"),
    ],
)
def test_what_is_no_file_of_keys_is_told_and_left_alone(path: Path, text: str, problem: str) -> None:
    path.write_text(text)
    for work in (load_keys, load_or_create_keys, add_key):
        with pytest.raises(ConfigurationError) as caught:
            work(path)
        assert problem in str(caught.value) and str(path) in str(caught.value)
        assert NEW not in str(caught.value) and NEW[:40] not in str(caught.value)
    assert path.read_text() == text
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("work", [load_keys, add_key])
def test_no_file_is_no_key(path: Path, work: object) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        work(path)  # type: ignore[operator]
    assert not path.exists()


def test_a_key_is_added_and_owner_and_mode_stay(path: Path) -> None:
    path.write_text(OLD)
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    first, *older = add_key(path)
    assert [key.hex() for key in older] == [OLD] and len(first) == KEY_SIZE
    after = path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert after.st_ino != before.st_ino, "replaced whole"
    assert path.read_text() == f"{OLD}\n{first.hex()}\n"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_link_stays_and_leads_to_the_new_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = tmp_path / "real" / "key"
    real.write_text(OLD)
    path.symlink_to(real)
    keys = add_key(path)
    assert path.is_symlink() and load_keys(real) == keys


def test_no_rotation_is_lost_to_another_one(path: Path) -> None:
    load_or_create_keys(path)
    with ThreadPoolExecutor(4) as pool:
        added = [keys[0] for keys in pool.map(add_key, [path] * 16)]
    assert sorted(load_keys(path)[:-1]) == sorted(added)


def test_there_is_an_end_to_keys(path: Path) -> None:
    path.write_text("".join(f"{number:064x}\n" for number in range(MAX_KEYS - 1)))
    assert len(add_key(path)) == MAX_KEYS
    with pytest.raises(ConfigurationError, match="which is the most"):
        add_key(path)
    assert len(load_keys(path)) == MAX_KEYS


def test_where_no_file_can_be_made_the_old_one_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(OLD)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        add_key(path)
    assert path.read_text() == OLD
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_id_of_a_key_tells_nothing_of_it() -> None:
    key = bytes.fromhex(OLD)
    key_id = Fingerprinter(key).key_id
    assert key_id not in OLD and key_id not in Fingerprinter(key).fingerprint(b"x")[9:]
    assert key_id != Fingerprinter(bytes.fromhex(NEW)).key_id
