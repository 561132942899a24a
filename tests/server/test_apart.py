"""Work that takes long goes apart: the others are served, and its own record is written whatever happens."""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import wire
from support.icapd import PATIENCE, Server, ask, read_reply, serving, until

# Takes as long as it may: every rule is looked for in a thread, and this one until its time is over.
RULES = """
[[rule]]
id = "test.slow"
description = "A pattern that blows up"
targets = ["body"]
pattern = '''(a|a)+(?=b)'''
max_length = 100
action = "redact"
severity = "low"
match = ["ab"]
"""
SETTINGS = """
[policy]
directory = "rules"
[limits]
scan_timeout = 2.0
"""
BODY = b'"' + b"a" * 60 + b'" aab'
SLOW = wire.respmod(wire.OK, wire.chunked(BODY, ieof=True), Preview="1024")
QUICK = wire.respmod(wire.OK, wire.chunked(b"nothing", ieof=True), Preview="1024")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/test.toml").write_text(RULES)
    (tmp_path / "rules/policy.toml").write_text('packs = ["test"]\n')
    with serving(tmp_path, SETTINGS) as server:
        yield server


def test_the_others_are_served_meanwhile(server: Server) -> None:
    with server.connect() as slow, server.connect() as quick:
        slow.sendall(SLOW)
        for _ in range(5):
            assert ask(quick, QUICK).startswith(b"ICAP/1.0 204")
        slow.setblocking(False)
        with pytest.raises(BlockingIOError):
            slow.recv(1)
        slow.settimeout(PATIENCE)
        assert read_reply(slow).startswith(b"ICAP/1.0 204")
    *others, first = server.rows()
    assert [row["inspection"] for row in others] == ["complete"] * 5
    assert (first["inspection"], first["skip_reason"]) == ("partial", "budget")


def test_what_comes_behind_it_waits(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(SLOW + QUICK)
        for _ in range(2):
            assert read_reply(connection).startswith(b"ICAP/1.0 204")
    assert [row["skip_reason"] for row in server.rows()] == [None, "budget"]


def test_client_that_goes_meanwhile_has_its_record(server: Server) -> None:
    with server.connect() as slow, server.connect() as quick:
        slow.sendall(SLOW)
        assert ask(quick, QUICK)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        slow.close()
        assert ask(quick, QUICK)
        until(lambda: len(server.rows()) == 3)
        assert ask(quick, QUICK)
    assert server.stop() == 0
    assert "error" not in server.log


def test_stop_waits_for_it(server: Server) -> None:
    with server.connect() as slow, server.connect() as quick:
        slow.sendall(SLOW)
        assert ask(quick, QUICK)
        assert server.stop() == 0
        assert read_reply(slow).startswith(b"ICAP/1.0 204")
    assert [row["skip_reason"] for row in server.rows()] == [None, "budget"]
