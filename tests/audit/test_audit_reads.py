"""Each read leaves a row: who, what, how many."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.trail import Trail

from icapd.audit import AuditWriter, deeds
from icapd.audit.outbox.directory import as_owner
from icapd.audit.reads import on_record, reader
from icapd.audit.search import Filters, search
from icapd.cli.signals import raised

#: Nobody, and no one's group.
NOBODY = 65534


@pytest.fixture
def trail(empty_url: str, tmp_path: Path) -> Trail:
    return Trail.make(tmp_path, empty_url)


def reads(trail: Trail) -> list[dict[str, object]]:
    trail.ship()
    rows = trail.rows("SELECT detail FROM audit_admin WHERE action = 'audit-read' ORDER BY occurred_at")
    return [json.loads(detail) for (detail,) in rows]


def test_a_read_is_numbered_and_chained_like_all_rows(trail: Trail) -> None:
    with on_record(trail.outbox, "durable", "search", {"host": "a.example", "rule": None}) as read:
        read.rows = 3
    assert read.problem == ""
    assert reads(trail) == [{**reader(), "command": "search", "asked": {"host": "a.example"}, "rows": 3}]
    rows = trail.rows(
        "SELECT writer_seq, action FROM audit_admin WHERE chain IS NOT NULL ORDER BY writer_seq"
    )
    assert rows == [(1, "start"), (2, "audit-read-begin"), (3, "audit-read"), (4, "stop")]
    # The reader's outbox is gone once it is shipped.
    assert list(trail.outbox.glob("*.outbox")) == []


def test_a_read_that_broke_off_is_on_record_with_what_it_gave(trail: Trail) -> None:
    with pytest.raises(BrokenPipeError), on_record(trail.outbox, "durable", "export", {}) as read:
        read.rows = 7
        raise BrokenPipeError
    assert [row["rows"] for row in reads(trail)] == [7]


def test_a_read_that_is_killed_is_on_record_without_a_count(trail: Trail) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from icapd.audit.reads import on_record\n"
        "with on_record(Path(sys.argv[1]), 'durable', 'search', {'user': 'alice'}):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(trail.outbox)], check=False)
    trail.ship()
    actions = trail.rows("SELECT action FROM audit_admin ORDER BY writer_seq")
    assert actions == [("start",), ("audit-read-begin",), ("died",)]
    assert trail.rows("SELECT user_name, command, row_count FROM audit_read") == [
        (reader()["user"], "search", None)
    ]


def test_without_an_outbox_the_read_goes_on_and_says_so(tmp_path: Path) -> None:
    with on_record(tmp_path / "none", "durable", "search", {}) as read:
        assert read.problem == f"{tmp_path}/none: No such file or directory"
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_without_the_right_to_the_outbox_the_read_goes_on_and_says_so(trail: Trail) -> None:
    trail.outbox.chmod(0o700)
    os.seteuid(NOBODY)
    try:
        with on_record(trail.outbox, "durable", "search", {}) as read:
            assert "give the user that icapd runs as the right" in read.problem or "denied" in read.problem
    finally:
        os.seteuid(0)
    assert reads(trail) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_leaves_in_the_outbox_belongs_to_the_server_s_user(trail: Trail) -> None:
    os.chown(trail.outbox, NOBODY, NOBODY)
    # pytest's own directories are for root only.
    for directory in trail.outbox.parents:
        if directory.owner() == "root" and directory != Path("/"):
            directory.chmod(0o711 if directory.parent != Path("/") else directory.stat().st_mode)
    with on_record(trail.outbox, "durable", "search", {}):
        files = list(trail.outbox.iterdir())
        assert files
        assert {file.stat().st_uid for file in files} == {NOBODY}
    assert os.geteuid() == 0
    assert {file.stat().st_uid for file in trail.outbox.iterdir()} == {NOBODY}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_root_is_root_again_whatever_happens(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    with pytest.raises(ZeroDivisionError), as_owner(tmp_path):
        assert (os.geteuid(), os.getegid()) == (NOBODY, NOBODY)
        raise ZeroDivisionError
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_reading_changes_nothing_but_the_outbox(trail: Trail) -> None:
    with on_record(trail.outbox, "durable", "search", {}):
        assert list(search(trail.url, Filters())) == []
    assert trail.rows("SELECT count(*) FROM audit_admin") == [(0,)]


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """As a process has them; the tests' own handlers are back afterwards."""
    before = {one: signal.signal(one, signal.SIG_DFL) for one in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.usefixtures("usual_signals")
def test_no_signal_breaks_into_the_record_of_a_read(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    note = AuditWriter.note

    def interrupted(writer: AuditWriter, action: str, detail: dict[str, object]) -> None:
        signal.raise_signal(signal.SIGTERM)
        note(writer, action, detail)
        signal.raise_signal(signal.SIGHUP)

    monkeypatch.setattr(AuditWriter, "note", interrupted)
    # At its beginning already, so nothing is read.
    with pytest.raises(SystemExit), raised(), on_record(trail.outbox, "durable", "search", {}):
        pytest.fail("was not ended")
    monkeypatch.undo()
    trail.ship()
    rows = trail.rows("SELECT action FROM audit_admin ORDER BY writer_seq")
    assert rows == [("start",), ("audit-read-begin",), ("audit-read",), ("stop",)]
    assert trail.rows("SELECT role FROM audit_writer") == [("command",)]
    assert trail.verify().faults == []


@pytest.mark.usefixtures("usual_signals")
def test_no_signal_hides_a_deed_that_was_done(trail: Trail) -> None:
    with (
        pytest.raises(SystemExit),
        raised(),
        deeds.on_record(trail.settings, "hold-add", {}, is_long=False) as deed,
    ):
        signal.raise_signal(signal.SIGTERM)
        deed.outcome["hold"] = "one"
    trail.ship()
    ((detail,),) = trail.rows("SELECT detail FROM audit_admin WHERE action = 'hold-add'")
    assert json.loads(detail)["hold"] == "one"
