"""The disk of the outbox hangs, or refuses what is written, or what is on it is not what it was."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import wire
from support.faults import is_inspected, page, processes, settings, until
from support.icapd import PATIENCE, ask, serving
from support.places import free_port

CLEAN = wire.respmod(wire.OK, wire.chunked(b"{}", ieof=True), Preview="1024")
NOT_RECORDED = b"could not be recorded"
DURABLE = {"ICAPD_AUDIT_MODE": "durable", "ICAPD_AUDIT_PATIENCE": "1"}


@contextlib.contextmanager
def injected(process: int, *injections: str) -> Iterator[None]:
    """Meanwhile these calls of a process to the kernel come to something else (strace(1), --inject)."""
    calls = ",".join(injection.partition(":")[0] for injection in injections)
    command = ["strace", f"--attach={process}", "-f", "-qq", "--output=/dev/null", f"--trace={calls}"]
    command += [f"--inject={injection}" for injection in injections]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    status = Path(f"/proc/{process}/status")
    try:
        until(lambda: f"TracerPid:\t{tracer.pid}" in status.read_text())
        yield
    finally:
        # What is waited for ends then.
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=PATIENCE)


def test_a_disk_that_hangs_blocks_until_it_answers_again(directory: Path) -> None:
    port = free_port()
    with (
        serving(directory, settings(http_port=port), environment=DURABLE) as server,
        server.connect() as connection,
        server.connect() as other,
    ):
        assert is_inspected(connection)
        with injected(processes(server)[1], "fdatasync,fsync:delay_enter=3s"):
            # The first waits for as long as a record may take; what comes then waits no more.
            for line in (connection, other, connection):
                assert NOT_RECORDED in ask(line, CLEAN)
            assert page(port, "/healthz")[0] == 200
            until(lambda: page(port, "/readyz")[0] == 503)
        until(lambda: page(port, "/readyz")[0] == 200)
        assert is_inspected(other)
        ((detail,),) = server.query("SELECT detail FROM audit_admin WHERE action = 'late'")
        # What was on its way is kept, and what came behind it is a gap.
        late = json.loads(detail)
        assert late["from"] == late["to"]
        kept = server.query("SELECT writer_seq FROM audit_event ORDER BY 1")
        assert (late["from"],) in kept and len(kept) == 3
        assert server.query("SELECT count(*) FROM audit_admin WHERE action = 'gap'") == [(1,)]
        assert server.stop() == 0
    assert server.verify() == 0
    assert "Traceback" not in server.log


def test_a_disk_that_hangs_under_what_is_noted_by_the_way_holds_up_no_options(directory: Path) -> None:
    port = free_port()
    with (
        serving(directory, settings(http_port=port), environment=DURABLE) as server,
        server.connect() as connection,
    ):
        # Each thread's first write fails, so there is a gap, which the second next look at the outbox notes.
        with injected(processes(server)[1], "pwrite64:error=ENOSPC:when=1", "fdatasync:delay_enter=5s"):
            assert NOT_RECORDED in ask(connection, CLEAN)
            for _ in range(40):
                began = time.monotonic()
                assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")
                assert time.monotonic() - began < 1
                time.sleep(0.1)
            assert page(port, "/readyz")[0] == 503
        until(lambda: page(port, "/readyz")[0] == 200)
        assert is_inspected(connection)
        assert server.query("SELECT 1 FROM audit_admin WHERE action = 'gap'")
        assert server.stop() == 0
    assert server.verify() == 0


def test_a_disk_that_hangs_under_the_record_of_a_client_that_went_holds_up_no_options(
    directory: Path,
) -> None:
    with (
        serving(directory, settings(), environment=DURABLE) as server,
        server.connect() as connection,
    ):
        with injected(processes(server)[1], "fdatasync:delay_enter=3s"):
            for _ in range(2):
                with server.connect() as gone:
                    gone.sendall(wire.respmod(wire.OK, wire.chunked(b"{}")[:-5]))
            for _ in range(10):
                began = time.monotonic()
                assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")
                assert time.monotonic() - began < 1
                time.sleep(0.1)
        # The first is kept, if late; the other one is kept, too, or part of a gap.
        kept = "SELECT 1 FROM audit_event WHERE skip_reason = 'client-gone'"
        gaps = "SELECT 1 FROM audit_admin WHERE action = 'gap'"
        until(lambda: len(server.query(kept)) + len(server.query(gaps)) >= 2 and bool(server.query(kept)))
        assert server.stop() == 0
    assert server.verify() == 0


ERRORS = ("EIO", "EDQUOT", "EROFS", "ENOSPC")


@pytest.mark.parametrize("calls", ["pwrite64", "fdatasync"])
def test_a_disk_that_refuses_blocks_until_it_takes_again(directory: Path, calls: str) -> None:
    port = free_port()
    with (
        serving(directory, settings(http_port=port), environment=DURABLE) as server,
        server.connect() as connection,
    ):
        for error in ERRORS:
            assert is_inspected(connection)
            with injected(processes(server)[1], f"{calls}:error={error}"):
                for _ in range(2):
                    assert NOT_RECORDED in ask(connection, CLEAN)
                until(lambda: page(port, "/readyz")[0] == 503)
                assert ".outbox" in page(port, "/readyz")[1]
            until(lambda: page(port, "/readyz")[0] == 200)
        assert is_inspected(connection)
        assert server.query("SELECT count(*) FROM audit_admin WHERE action = 'gap'") == [(len(ERRORS),)]
        assert server.stop() == 0
    assert server.verify() == 0
    assert "Traceback" not in server.log


def test_an_outbox_that_was_cut_is_told(directory: Path) -> None:
    port = free_port()
    with serving(directory, settings(http_port=port)) as server, server.connect() as connection:
        for _ in range(20):
            assert is_inspected(connection)
        (outbox,) = (directory / "outbox").glob("*.outbox")
        for file in (outbox, Path(f"{outbox}-wal")):
            os.truncate(file, 0)
        # By the process that ships, or by the worker: whoever looks first.
        for _ in range(20):
            ask(connection, CLEAN)
        until(lambda: ".outbox" in page(port, "/readyz")[1])
    assert "Traceback" not in server.log
