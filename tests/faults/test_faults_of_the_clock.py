"""The system's clock is stepped while the server runs: libfaketime gives its processes another one."""

import contextlib
import datetime
import email.utils
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import wire
from support.faults import REDACTED, SECRET_BODY, is_inspected, settings
from support.icapd import Server, ask, serving

DAY = 86400
#: Debian's package `faketime`.
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@contextlib.contextmanager
def serving_by_another_clock(directory: Path, **server: float) -> Iterator[tuple[Server, Path]]:
    """A server and the file that says by how many seconds its clock is off, as in `+86400`."""
    assert LIBRARIES, "no libfaketime; install it: scripts/setup --test"
    offset = directory / "clock"
    offset.write_text("+0\n")
    environment = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        # The kernel's monotonic clock does not step, and neither do the times of files.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    with serving(directory, settings(**server), environment=environment) as running:
        yield running, offset


def days_off(reply: bytes) -> int:
    """By how many days the server's Date differs from ours."""
    found = re.search(rb"\r\nDate: ([^\r]+)\r\n", reply)
    assert found is not None
    date = email.utils.parsedate_to_datetime(found[1].decode())
    return round((date - datetime.datetime.now(datetime.UTC)).total_seconds() / DAY)


def test_stepped_clock_neither_closes_nor_holds_up_anything(directory: Path) -> None:
    stream = wire.respmod(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        wire.chunked(b"data: %b\n\n" % SECRET_BODY)[:-5],
        path="/stream",
    )
    with (
        serving_by_another_clock(directory) as (server, offset),
        server.connect() as busy,
        server.connect() as streaming,
    ):
        streaming.sendall(stream)
        received = b""
        while REDACTED not in received:
            received += streaming.recv(65536)
        for days in (0, 1, -1, 0):
            offset.write_text(f"{days * DAY:+}\n")
            assert days_off(ask(busy, wire.options())) == days
            assert is_inspected(busy)
            with server.connect() as fresh:
                assert is_inspected(fresh)
        # It was open all along.
        streaming.sendall(wire.chunked(b"data: %b\n\n" % SECRET_BODY))
        while not received.endswith(b"0\r\n\r\n"):
            received += streaming.recv(65536)
        assert received.count(REDACTED) == 2
        assert server.stop() == 0
    rows = server.query(
        "SELECT writer_seq, julianday(occurred_at), disposition, latency_us FROM audit_event ORDER BY 1"
    )
    # No number is missing, their order is that of the commits, and each step is on record.
    assert [row[0] for row in rows] == [2, 3, 5, 6, 8, 9, 11, 12, 13]
    assert {row[2] for row in rows} == {"redacted"}
    admin = server.query("SELECT action, writer_seq FROM audit_admin ORDER BY 2")
    assert admin == [("start", 1), *(("clock-step", number) for number in (4, 7, 10)), ("stop", 14)]
    steps = server.query("SELECT detail FROM audit_admin WHERE action = 'clock-step' ORDER BY writer_seq")
    assert [round(json.loads(detail)["seconds"] / DAY) for (detail,) in steps] == [1, -2, 1]
    # The time of a row is the clock's, right or wrong; what was measured is not.
    first = rows[0][1]
    assert [round(row[1] - first) for row in rows] == [0, 0, 1, 1, -1, -1, 0, 0, 0]
    assert all(0 <= row[3] < 600_000_000 for row in rows)


@pytest.mark.parametrize("days", [1, -1])
def test_limits_of_time_hold_when_the_clock_is_stepped(directory: Path, days: int) -> None:
    """A connection is closed when its time is up, by a clock that does not step."""
    with (
        serving_by_another_clock(directory, head_timeout=1, idle_timeout=600) as (server, offset),
        server.connect() as idle,
        server.connect() as late,
    ):
        ask(idle, wire.options())
        late.sendall(b"OPTIONS icap")
        offset.write_text(f"{days * DAY:+}\n")
        assert late.recv(100).startswith(b"ICAP/1.0 408")
        assert is_inspected(idle)
