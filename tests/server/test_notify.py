"""What systemd is told, over a real datagram socket."""

import asyncio
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest
from support.icapd import PATIENCE, serving
from support.policies import RULES, demo_policy

from icapd.server.supervision.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The socket of a service manager, and what NOTIFY_SOCKET says of it."""
    name = f"icapd-test-{secrets.token_hex(8)}"
    address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if request.param == "abstract" else address)
        manager.settimeout(10)
        yield manager, address


def told(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_life_of_a_server(systemd: tuple[socket.socket, str]) -> None:
    manager, address = systemd
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    notifier.ready("2 workers, 4 packs")
    assert told(manager) == ["READY=1", "STATUS=2 workers, 4 packs"]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    state, monotonic, _ = told(manager)
    assert state == "RELOADING=1"
    name, _, value = monotonic.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.stopping()
    assert told(manager)[0] == "STOPPING=1"


def test_value_forges_no_assignment(systemd: tuple[socket.socket, str]) -> None:
    manager, address = systemd
    Notifier(address).status("pack\nMAINPID=1\r\nFDSTORE=1 " + "x" * 5000)
    text = manager.recv(8192).decode()
    assert text.startswith("STATUS=pack MAINPID=1 FDSTORE=1 xxx")
    assert len(text) == 4096


def test_watchdog_gets_signs_of_life_only_while_the_workers_answer(
    systemd: tuple[socket.socket, str],
) -> None:
    manager, address = systemd
    notifier = Notifier.from_environment(
        {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    )
    assert notifier.watchdog_interval == 0.01
    answers = [True, False, False, True]

    async def main() -> None:
        asked = asyncio.Event()

        async def workers_answer() -> bool:
            if not answers:
                asked.set()
                await asyncio.Event().wait()
            return answers.pop(0)

        task = asyncio.create_task(notifier.keep_alive(workers_answer))
        await asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    manager.setblocking(False)
    assert [told(manager), told(manager)] == [["WATCHDOG=1"], ["WATCHDOG=1"]]
    with pytest.raises(BlockingIOError):
        told(manager)


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({}, id="not started by systemd"),
        pytest.param({"WATCHDOG_USEC": "1000000"}, id="no socket"),
        pytest.param(
            {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, id="another's"
        ),
        pytest.param({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "soon"}, id="no number"),
        pytest.param({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "0"}, id="zero"),
    ],
)
def test_no_watchdog_where_none_is_asked_for(environment: dict[str, str]) -> None:
    notifier = Notifier.from_environment(environment)
    assert notifier.watchdog_interval is None
    asyncio.run(notifier.keep_alive(lambda: pytest.fail("asked the workers for nobody")))


def test_manager_that_is_gone_or_does_not_read_is_no_reason_to_fail(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "nowhere")).ready("serving")
    Notifier("").ready("serving")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        for _ in range(1000):
            Notifier(str(tmp_path / "notify")).alive()


def test_server_tells_what_it_does(systemd: tuple[socket.socket, str], tmp_path: Path) -> None:
    """A real server: ready once it listens, reloading and ready again around SIGHUP, then stopping."""
    manager, address = systemd
    (tmp_path / "rules").mkdir()
    demo_policy(tmp_path / "rules")
    settings = (
        '[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\nworkers = 1\n'
        '[policy]\ndirectory = "rules"\nwatch = false\n'
    )
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    messages: Queue[list[str]] = Queue()
    seen: list[str] = []

    def listen() -> None:
        while (lines := told(manager)) != ["end"]:
            messages.put(lines)

    def until(state: str) -> list[str]:
        """The next message that begins so; those between are signs of life."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            lines = messages.get(timeout=PATIENCE)
            if lines[0] != "WATCHDOG=1":
                seen.append(lines[0])
            if lines[0] == state:
                return lines
        raise AssertionError(f"no {state} but {seen}:\n{server.log}")

    # The service manager reads at all times: its queue is short.
    manager.settimeout(None)
    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    with serving(tmp_path, settings, environment=environment) as server:
        assert until("READY=1")[1].startswith("STATUS=")
        # Behind READY traffic flows: the log line that it listens is there too.
        server.connect().close()
        until("WATCHDOG=1")
        for rules in (RULES.replace("NOTE-ME", "TAKE-NOTE"), "[[rule]\n"):
            (tmp_path / "rules" / "demo.toml").write_text(rules)
            server.process.send_signal(signal.SIGHUP)
            assert until("RELOADING=1")[1].startswith("MONOTONIC_USEC=")
            until("READY=1")
        server.process.send_signal(signal.SIGTERM)
        until("STOPPING=1")
        assert server.process.wait(30) == 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
        last.sendto(b"end", manager.getsockname())
    listener.join(PATIENCE)
    assert seen == ["READY=1", *["RELOADING=1", "READY=1"] * 2, "STOPPING=1"]
    assert server.log.count("event=reloaded") == 1
    assert server.log.count("event=reload-refused") == 1
