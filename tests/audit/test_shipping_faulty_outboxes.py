"""Outboxes that can't be read, opened or removed: they are named, and hold up no other."""

import errno
import itertools
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from audit_records import make_record
from support.trail import Trail

from icapd.audit import AuditWriter, sqlite
from icapd.audit.outbox.file import OutboxFile


@pytest.fixture
def trail(empty_url: str, tmp_path: Path) -> Trail:
    return Trail.make(tmp_path, empty_url)


def test_an_unreadable_stream_is_named_and_holds_only_its_outbox_up(trail: Trail) -> None:
    dead = trail.writer()
    dead._outbox.put("stream", "some-event", "{}")
    dead._outbox.close()
    dead._mark.close()
    shipper = trail.shipper()
    trail.write(make_record())
    while shipper.round():
        pass
    assert trail.rows("SELECT count(*) FROM audit_event") == [(1,)]
    assert (
        "the record some-event, which has no number yet, can't be read" in shipper.unreadable[dead.writer_id]
    )
    shipper.close()


def test_an_outbox_that_is_none_is_named_and_one_never_begun_goes(tmp_path: Path) -> None:
    trail = Trail.make(tmp_path)
    (trail.outbox / "1.outbox").write_text("dear diary " * 1000)
    (trail.outbox / "2.outbox").touch(0o600)
    trail.write(make_record())
    shipper = trail.shipper()
    while shipper.round():
        pass
    assert list(shipper.unreadable) == [1]
    assert "1.outbox: is not a SQLite database" in shipper.unreadable[1]
    assert [path.name for path in trail.outbox.glob("*.outbox")] == ["1.outbox"]
    shipper.close()


def test_an_outbox_that_is_being_made_is_left_alone(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(trail.shipper()) as shipper:
        begin = OutboxFile.open.__func__

        def open_beside_a_shipper(kind: type[OutboxFile], path: Path, mode: sqlite.Mode) -> OutboxFile:
            with monkeypatch.context() as patch:
                patch.setattr(OutboxFile, "open", None)
                shipper.round()
            return begin(kind, path, mode)

        with monkeypatch.context() as patch:
            patch.setattr(OutboxFile, "open", classmethod(open_beside_a_shipper))
            writer = trail.writer()
        with writer:
            shipper.round()
            assert trail.rows("SELECT count(*) FROM audit_admin") == [(1,)]
            assert not shipper.problems


def empty(writer: AuditWriter) -> None:
    for file in (writer.file, Path(f"{writer.file}-wal")):
        os.truncate(file, 0)


def empty_its_tables(writer: AuditWriter) -> None:
    with closing(sqlite3.connect(writer.file)) as outbox, outbox:
        outbox.execute("DELETE FROM writer")


@pytest.mark.parametrize(
    ("harm", "problem"),
    [(empty, "outbox: "), (empty_its_tables, "outbox: was emptied while in use; restart icapd")],
)
def test_a_living_writer_s_outbox_that_was_emptied_is_named(
    tmp_path: Path, harm: Callable[[AuditWriter], None], problem: str
) -> None:
    trail = Trail.make(tmp_path)
    writer = trail.writer()
    harm(writer)
    with closing(trail.shipper()) as shipper, closing(writer._outbox), writer._mark:
        shipper.round()
        assert f"{writer.writer_id}.{problem}" in shipper.unreadable[writer.writer_id]


def test_a_mark_that_can_not_be_had_holds_only_its_outbox_up(trail: Trail) -> None:
    # In the order of their names: those behind it, too.
    writers = [trail.writer() for _ in range(3)]
    for writer in writers:
        writer.write(make_record())
    first = min(writers, key=lambda writer: str(writer.writer_id))
    mark = trail.outbox / f"{first.writer_id}.mark"
    mark.unlink()
    mark.mkdir()
    with closing(trail.shipper()) as shipper:
        shipper.round()
        assert list(shipper.unreadable) == [first.writer_id]
    assert trail.rows("SELECT count(*) FROM audit_event") == [(2,)]
    mark.rmdir()
    for writer in writers:
        writer.close()
    assert len(trail.records()) == 3


def test_files_that_can_not_be_removed_hold_nothing_up(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        trail.write(make_record())

    def unlink(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with closing(trail.shipper()) as shipper:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", unlink)
            for _ in range(3):
                shipper.round()
            assert len(shipper.unreadable) == 2
            assert all("Read-only file system" in problem for problem in shipper.problems)
        while any(trail.outbox.iterdir()):
            shipper.round()
        assert not shipper.problems
    assert len(trail.records()) == 2
    assert trail.verify().exit_code(strict=True) == 0


@pytest.mark.parametrize("reached", range(4))
@pytest.mark.parametrize("is_begun", [True, False], ids=["begun", "never-begun"])
def test_a_shipper_that_dies_while_it_removes_files_leaves_none_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: int, is_begun: bool
) -> None:
    trail = Trail.make(tmp_path)
    if is_begun:
        trail.write(make_record())
    else:
        (trail.outbox / "2.outbox").touch(0o600)
    unlink, calls = Path.unlink, itertools.count()

    def die(file: Path, *, missing_ok: bool = False) -> None:
        if next(calls) == reached:
            raise KeyboardInterrupt
        unlink(file, missing_ok=missing_ok)

    with closing(trail.shipper()) as shipper, monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            while True:
                shipper.round()
    with closing(trail.shipper()) as shipper:
        for _ in range(5):
            shipper.round()
        assert (list(trail.outbox.iterdir()), shipper.problems) == ([], [])
    assert len(trail.records()) == is_begun


def test_what_can_not_be_ended_is_shipped_as_far_as_it_goes(trail: Trail) -> None:
    dead = trail.writer()
    dead.write(make_record())
    dead._outbox.put("stream", "some-event", "{}")
    dead._outbox.close()
    dead._mark.close()
    with closing(trail.shipper()) as shipper:
        for _ in range(2):
            shipper.round()
            assert "the record some-event" in shipper.unreadable[dead.writer_id]
        assert trail.rows("SELECT count(*) FROM audit_event") == [(1,)]
    assert dead.file.exists()


#: By format: what makes one of the present format one of it, as far as a writer's own tables go.
OLDER = {
    2: "ALTER TABLE writer DROP COLUMN role; PRAGMA user_version = 2",
    1: "ALTER TABLE writer DROP COLUMN role; DROP TABLE tally; PRAGMA user_version = 1",
}


def left_as(trail: Trail, script: str) -> AuditWriter:
    """Of a dead writer, an outbox with a record that was changed so."""
    dead = trail.writer()
    dead.write(make_record())
    dead._outbox.connection.executescript(script)
    dead._outbox.close()
    dead._mark.close()
    return dead


@pytest.mark.parametrize("format_", OLDER)
def test_an_older_icapd_s_outbox_is_shipped_whole(trail: Trail, format_: int) -> None:
    left_as(trail, OLDER[format_])
    assert trail.ship() == 3
    assert trail.rows("SELECT action FROM audit_admin ORDER BY writer_seq") == [("start",), ("died",)]
    assert trail.rows("SELECT count(*) FROM audit_event") == [(1,)]
    assert trail.rows("SELECT role FROM audit_writer") == [(None,)]
    assert list(trail.outbox.iterdir()) == []


def test_a_newer_icapd_s_outbox_stays_and_is_named(trail: Trail) -> None:
    dead = left_as(trail, "PRAGMA user_version = 99")
    trail.write(make_record())
    with closing(trail.shipper()) as shipper:
        while shipper.round():
            pass
        assert "was written by a newer icapd" in shipper.unreadable[dead.writer_id]
    assert dead.file.exists()
    assert trail.rows("SELECT count(*) FROM audit_event") == [(1,)]
