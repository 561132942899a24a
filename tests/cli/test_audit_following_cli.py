"""`icapd audit tail` and `forward`, and how commands end that someone ends."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from reading_trail import ROOT, icapd_audit, reads
from support.trail import Trail
from test_audit_cli import HIDES_THE_SCREEN, OLD, make_record

from icapd.cli.signals import raised
from icapd.errors import UnreachableError


def running(trail: Trail, *arguments: str) -> "subprocess.Popen[str]":
    """`icapd audit` in a process of its own."""
    environment = os.environ | {
        "ICAPD_AUDIT_DATABASE_URL": trail.url,
        "ICAPD_AUDIT_OUTBOX": str(trail.outbox),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", "from icapd.cli import main; main()", "audit", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=trail.outbox.parent, env=environment, stdout=pipe, text=True)


@pytest.mark.parametrize("format_", ["table", "jsonl", "csv"])
def test_tail_prints_what_comes_until_ctrl_c(trail: Trail, format_: str) -> None:
    with running(trail, "tail", "-n", "2", "--format", format_) as process:
        assert process.stdout is not None
        if format_ == "csv":
            assert process.stdout.readline().startswith("occurred_at,event_id,")
            # The first has two findings.
            process.stdout.readline()
        older = [process.stdout.readline() for _ in range(2)]
        # In the order of time, the newest last.
        assert "credentials.demo" in older[0]
        assert "mallory" in older[1]
        assert HIDES_THE_SCREEN not in older[1]
        for user in ("first", "second"):
            trail.write(make_record(0, client_user=user))
            trail.ship()
            line = process.stdout.readline()
            assert user in line
            assert line[:-1].isprintable()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
        assert process.wait() == 0
    (read,) = reads(trail)
    assert (read["command"], read["rows"]) == ("tail", 4)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_who_ends_a_command_does_not_take_its_end_off_the_record(
    trail: Trail, ending: signal.Signals
) -> None:
    with running(trail, "tail", "-n", "1") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(ending)
        assert process.wait() == 0
    assert [(read["command"], read["rows"]) for read in reads(trail)] == [("tail", 1)]
    trail.write(*(make_record(0, path="/" + "x" * 1000) for _ in range(200)))
    trail.ship()
    with running(trail, "search", "--format", "jsonl") as process:
        assert process.stdout is not None
        # It has more than its pipe takes.
        process.stdout.readline()
        process.send_signal(ending)
        process.stdout.read()
        assert process.wait() == 128 + ending
    *_, read = reads(trail)
    assert read["command"] == "search"
    assert trail.rows("SELECT count(*) FROM audit_admin WHERE action = 'died'") == [(0,)]


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = {
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    }
    try:
        with raised():
            signal.raise_signal(signal.SIGHUP)
            with pytest.raises(SystemExit, match="143"):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_forward_once_ends_with_4_when_nobody_is_there(trail: Trail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    cursor = trail.outbox.parent / "cursor"
    result = icapd_audit(
        trail, "forward", f"syslog+tcp://127.0.0.1:{port}", "--cursor", str(cursor), "--once"
    )
    assert isinstance(result.exception, UnreachableError)
    assert result.exception.exit_code == 4
    assert not cursor.exists()


def test_forward_once_sends_all_and_is_on_record(trail: Trail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        url = f"syslog+tcp://127.0.0.1:{listener.getsockname()[1]}"
        cursor = trail.outbox.parent / "cursor"
        # What is sent fits into the buffers of the connection.
        result = icapd_audit(trail, "forward", url, "--cursor", str(cursor), "--once", "--user", "bob")
        assert (result.exit_code, result.output) == (0, "")
        with listener.accept()[0] as connection, connection.makefile("rb") as file:
            received = file.read()
    assert OLD.event_id.encode() in received
    assert received.count(b"CEF:0|") == 1
    (read,) = reads(trail)
    assert (read["command"], read["rows"]) == ("forward", 1)
    assert read["asked"] == {"user": "bob", "format": "cef", "to": url}


def test_forward_records_no_path_of_a_webhook(trail: Trail) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"http://127.0.0.1:{listener.getsockname()[1]}"
    cursor = trail.outbox.parent / "cursor"
    result = icapd_audit(trail, "forward", f"{place}/hush?key=hush", "--cursor", str(cursor), "--once")
    assert isinstance(result.exception, UnreachableError)
    assert "hush" not in str(result.exception)
    (read,) = reads(trail)
    assert read["asked"] == {"format": "cef", "to": place}
