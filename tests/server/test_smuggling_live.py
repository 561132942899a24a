"""The smuggling probes over a socket, with both engines: what a request says stays in that request."""

import contextlib
import socket
from collections.abc import Iterator

import pytest
from support.icapd import PATIENCE, Server, serving
from support.policies import demo_policy
from support.replies import replies_of
from support.sessions import plain
from support.smuggling import NEXT, PROBES, Probe

CONFIGURATION = """
[server]
listen = "127.0.0.1:0"
http_listen = ""
engine = "{}"
[policy]
directory = "rules"
"""


@pytest.fixture(scope="module", params=["asyncio", "pyicap"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp(request.param)
    (directory / "rules").mkdir()
    demo_policy(directory / "rules")
    with serving(directory, CONFIGURATION.format(request.param)) as server:
        yield server
    assert "Traceback" not in server.log
    assert "internal-error" not in server.log


def converse(server: Server, data: bytes, *, bytewise: bool = False) -> bytes:
    """All that the server says to this until it closes; our side is closed behind it."""
    with server.connect() as connection, contextlib.suppress(ConnectionError):
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for at in range(0, len(data), 1 if bytewise else len(data)):
                connection.sendall(data[at : at + 1] if bytewise else data)
            connection.shutdown(socket.SHUT_WR)
        said = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                said += piece
    return said


@pytest.mark.parametrize("probe", PROBES[::3], ids=lambda probe: probe.name)
def test_probe_at_once(server: Server, probe: Probe) -> None:
    check(server, probe, converse(server, probe.complete))


@pytest.mark.parametrize("probe", PROBES[::20], ids=lambda probe: probe.name)
def test_probe_byte_by_byte(server: Server, probe: Probe) -> None:
    check(server, probe, converse(server, probe.complete, bytewise=True))


def check(server: Server, probe: Probe, said: bytes) -> None:
    statuses = [reply.status for reply in replies_of(said)]
    assert b"hidden" not in said
    assert statuses == [*probe.statuses, *([] if probe.closes else [204])]
    if not probe.closes:
        assert plain(said).endswith(plain(converse(server, NEXT)))
