"""The control socket: who may speak to it, what it answers, and what it does with what is no command."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.policies import RULES, demo_policy
from support.supervision import LoneSupervision

from icapd.errors import ConfigurationError, IcapdError, RestartError, UnreachableError
from icapd.server.control import control_client, exchange_server
from icapd.server.control.control_server import MAX_REQUEST, ControlServer
from icapd.server.listening import unix_socket


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    directory = tmp_path / "rules"
    directory.mkdir()
    demo_policy(directory)
    return directory


@asynccontextmanager
async def controlled(path: Path, rules: Path) -> AsyncIterator[LoneSupervision]:
    supervision = LoneSupervision(rules)
    server = ControlServer(supervision)
    await server.start(unix_socket.bind(path, "server.control"))
    try:
        yield supervision
    finally:
        await server.stop()


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    asyncio.run(main())


async def ask(path: Path, data: bytes) -> dict[str, object]:
    """Send bytes as they are; returns the answer."""

    def exchange() -> bytes:
        with unix_socket.connect(path, 5) as connection, connection.makefile("rb") as stream:
            connection.sendall(data)
            return stream.readline()

    answer: dict[str, object] = json.loads(await asyncio.to_thread(exchange))
    return answer


def test_status_tells_of_the_workers_and_the_listeners(tmp_path: Path, rules: Path) -> None:
    async def test() -> None:
        path = tmp_path / "c.sock"
        async with controlled(path, rules) as supervision:
            status = await asyncio.to_thread(control_client.status, path)
            assert status.pid == os.getpid()
            assert status.unready is None
            assert status.listeners == ["icap 127.0.0.1:1344"]
            assert [worker.istag for worker in status.workers] == [supervision.store.current().istag]
            supervision.problem = "stopping"
            assert (await asyncio.to_thread(control_client.status, path)).unready == "stopping"

    run(test)


def test_reload_is_taken_or_refused_with_the_place_of_the_fault(tmp_path: Path, rules: Path) -> None:
    async def test() -> None:
        path = tmp_path / "c.sock"
        async with controlled(path, rules) as supervision:
            before = supervision.store.current().istag
            (rules / "demo.toml").write_text(RULES.replace("NOTE-ME", "TAKE-NOTE"))
            taken = await asyncio.to_thread(control_client.reload, path, 10)
            assert taken.taken
            assert taken.istag != before
            assert taken.packs == ("demo",)
            (rules / "demo.toml").write_text("[[rule]\n")
            refused = await asyncio.to_thread(control_client.reload, path, 10)
            assert not refused.taken
            assert str(rules / "demo.toml") in refused.problem
            assert refused.istag == taken.istag

    run(test)


def test_restart_returns_when_new_workers_serve(tmp_path: Path, rules: Path) -> None:
    async def test() -> None:
        path = tmp_path / "c.sock"
        async with controlled(path, rules) as supervision:
            old = list(supervision.pids)
            status = await asyncio.to_thread(control_client.restart, path, 10)
            assert [worker.pid for worker in status.workers] == supervision.pids != old
            supervision.restart_problem = "the new icapd does not start: settings: server.listen: wrong"
            with pytest.raises(RestartError, match=r"server\.listen: wrong.*serve on"):
                await asyncio.to_thread(control_client.restart, path, 10)

    run(test)


def test_restart_outlives_the_server_that_was_asked(tmp_path: Path, rules: Path) -> None:
    """A server that replaces itself ends its connections: its successor on the same path tells the rest."""

    class Vanishing(LoneSupervision):
        async def restart(self) -> None:
            await servers[0].stop()
            asked = asyncio.current_task()
            assert asked is not None
            asked.cancel()
            successors.append(asyncio.get_running_loop().create_task(succeed()))
            await asyncio.sleep(0)

    path = tmp_path / "c.sock"
    servers: list[ControlServer] = []
    successors: list[asyncio.Task[None]] = []

    async def succeed() -> None:
        successor = LoneSupervision(rules)
        successor.pids = [99999]
        servers.append(ControlServer(successor))
        await servers[-1].start(unix_socket.bind(path, "server.control"))

    async def test() -> None:
        servers.append(ControlServer(Vanishing(rules)))
        await servers[0].start(unix_socket.bind(path, "server.control"))
        status = await asyncio.to_thread(control_client.restart, path, 10)
        assert [worker.pid for worker in status.workers] == [99999]
        await servers[-1].stop()

    run(test)


def test_restart_does_not_wait_for_ever(tmp_path: Path, rules: Path) -> None:
    async def test() -> None:
        path = tmp_path / "c.sock"
        async with controlled(path, rules) as supervision:
            supervision.state = "starting"
            with pytest.raises(RestartError, match=r"do not serve after 0\.3 s; the server's log"):
                await asyncio.to_thread(control_client.restart, path, 0.3)

    run(test)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"hello\n", "not a command", id="no JSON"),
        pytest.param(b'{"command": "explode"}\n', "not a command", id="unknown command"),
        pytest.param(b'{"command": "status", "x": 1}\n', "not a command", id="unknown key"),
        pytest.param(b"[" * 4000 + b"\n", "not a command", id="deeply nested"),
        pytest.param(b"x" * (MAX_REQUEST + 1), "at most", id="no end of line"),
        pytest.param(b"\xff\xfe\n", "not a command", id="no UTF-8"),
    ],
)
def test_what_is_no_command_is_answered_and_harms_nothing(
    tmp_path: Path, rules: Path, data: bytes, problem: str
) -> None:
    async def test() -> None:
        path = tmp_path / "c.sock"
        async with controlled(path, rules):
            assert problem in str((await ask(path, data))["problem"])
            assert (await ask(path, b'{"command": "status"}\n'))["status"]

    run(test)


def test_too_many_connections_are_told_so(tmp_path: Path, rules: Path) -> None:
    async def test() -> None:
        path = tmp_path / "c.sock"
        async with controlled(path, rules):
            silent = [unix_socket.connect(path, 5) for _ in range(exchange_server.MAX_CONNECTIONS)]
            with pytest.raises(IcapdError, match="too many commands"):
                await asyncio.to_thread(control_client.status, path)
            for connection in silent:
                connection.close()

    run(test)


def test_silent_connection_is_closed(tmp_path: Path, rules: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_server, "TIMEOUT", 0.05)

    async def test() -> None:
        path = tmp_path / "c.sock"
        async with controlled(path, rules):
            with unix_socket.connect(path, 5) as connection:
                assert await asyncio.to_thread(connection.recv, 1) == b""

    run(test)


def test_socket_is_for_its_owner_only(tmp_path: Path, rules: Path) -> None:
    async def test() -> None:
        path = tmp_path / "c.sock"
        before = os.umask(0)
        try:
            async with controlled(path, rules):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
        finally:
            os.umask(before)

    run(test)


def test_path_may_be_longer_than_a_socket_address(tmp_path: Path, rules: Path) -> None:
    async def test() -> None:
        deep = tmp_path / ("d" * 100) / ("e" * 100)
        deep.mkdir(parents=True)
        async with controlled(deep / "c.sock", rules):
            assert (await asyncio.to_thread(control_client.status, deep / "c.sock")).workers

    run(test)


def test_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path, rules: Path) -> None:
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def test() -> None:
        async with controlled(path, rules):
            with pytest.raises(ConfigurationError, match=r"server\.control: .*listens there already"):
                unix_socket.bind(path, "server.control")
            assert (await asyncio.to_thread(control_client.status, path)).workers

    run(test)


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="is no socket; move it away"):
        unix_socket.bind(path, "server.control")
    assert path.read_text() == "precious"


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"can't listen on .*none/c\.sock.*directory must be there"):
        unix_socket.bind(tmp_path / "none" / "c.sock", "server.control")


def test_client_names_the_path_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with pytest.raises(
        UnreachableError, match=rf"{path}: no server answers: there is no such socket.*--config"
    ):
        control_client.status(path)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(UnreachableError, match="has ended; start `icapd serve`"):
        control_client.status(path)


def test_client_does_not_believe_just_anyone(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-2.0-hello\n")
        writer.close()
        await writer.wait_closed()

    async def test() -> None:
        server = await asyncio.start_unix_server(babble, path)
        with pytest.raises(UnreachableError, match="no icapd of this version"):
            await asyncio.to_thread(control_client.status, path)
        server.close()

    run(test)
