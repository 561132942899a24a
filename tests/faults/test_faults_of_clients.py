"""Clients that take a place and do not use it, while others want to be served."""

import contextlib
import select
import socket
from pathlib import Path

import pytest
from support import wire
from support.faults import is_inspected, peak_memory, processes, settings, until
from support.icapd import PATIENCE, Server, read_reply, serving

IMAGE = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
CHUNK = b"10000\r\n" + b"\x89" * 0x10000 + b"\r\n"
MIB = 1024 * 1024
#: What the client that never reads would send, and what the server may need for it.
OFFERED, ALLOWED = 256 * MIB, 32 * MIB


def connect_small(server: Server) -> socket.socket:
    """A connection whose kernel buffers hold little, so that who does not read is felt soon."""
    connection = socket.socket()
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        connection.setsockopt(socket.SOL_SOCKET, buffer, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", server.port))
    return connection


@pytest.mark.usefixtures("engine")
def test_client_that_never_reads_is_stopped_and_loses_its_place(directory: Path) -> None:
    limits = {"max_connections": 2, "stall_timeout": 0.5}
    with serving(directory, settings(**limits)) as server, server.connect() as other:
        worker = processes(server)[1]
        assert is_inspected(other)
        before = peak_memory(worker)
        with connect_small(server) as greedy:
            sent = 0
            greedy.settimeout(0.1)
            greedy.sendall(wire.respmod(IMAGE, b""))
            # Until the server takes no more, and then takes the connection away.
            with pytest.raises(ConnectionError):
                while sent < OFFERED:
                    with contextlib.suppress(TimeoutError):
                        # A piece may be taken in part.
                        sent += greedy.send(CHUNK[sent % len(CHUNK) :])
                    assert is_inspected(other)
        assert peak_memory(worker) - before < ALLOWED
        until(lambda: has_place(server))
        assert server.query("SELECT count(*) FROM audit_event WHERE disposition = 'cut'") == [(1,)]


def has_place(server: Server) -> bool:
    """Whether one who connects now is inspected, and so not one too many."""
    with server.connect() as connection:
        return is_inspected(connection)


@pytest.mark.usefixtures("engine")
def test_client_that_sends_a_byte_now_and_then_is_ended_by_the_clock(directory: Path) -> None:
    """A head is timed from its first byte: no byte buys more time."""
    with (
        serving(directory, settings(head_timeout=1)) as server,
        server.connect() as slow,
        server.connect() as other,
    ):
        head = wire.options().partition(b"\r\n\r\n")[0] + b"\r\nX: " + b"a" * 4096
        for position in range(len(head)):
            slow.sendall(head[position : position + 1])
            assert is_inspected(other)
            if select.select([slow], [], [], 0.05)[0]:
                break
        else:
            pytest.fail("the server never ended it")
        assert read_reply(slow).startswith(b"ICAP/1.0 408")
        # It was busy all along, so it is the clock that ended it.
        assert position > 1
