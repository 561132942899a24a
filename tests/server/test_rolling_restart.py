"""SIGUSR2: new processes take over, and no client notices."""

import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import wire
from support.icapd import PATIENCE, Server, ask, serving
from support.persistent import loaded
from support.places import free_port
from support.policies import RULES, SECRET, demo_policy
from support.processes import lives, workers_under

JSON = b'{"key": "KEY-%b"}' % SECRET
RESPMOD = wire.respmod(wire.OK, wire.chunked(JSON, ieof=True), Preview="1024")
SETTINGS = """
[server]
listen = "127.0.0.1:0"
listen_unix = "icap.sock"
http_listen = "{http}"
workers = {workers}
shutdown_timeout = 5
[policy]
directory = "rules"
watch = false
"""


def settings(workers: int = 2, http: str = "") -> str:
    return SETTINGS.format(workers=workers, http=http)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    demo_policy(tmp_path / "rules")
    return tmp_path


@pytest.fixture
def server(directory: Path) -> Iterator[Server]:
    with serving(directory, settings()) as server:
        yield server


def restart(server: Server) -> None:
    server.process.send_signal(signal.SIGUSR2)
    server.wait_for_log("event=ready")


def wait_for_ends(server: Server, count: int) -> None:
    for _ in range(count):
        server.wait_for_log('event=worker-ended.*how="with exit code 0"')


def connect_unix(server: Server) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    # A relative name: the whole path may be too long for a socket's address.
    connection.connect(os.path.relpath(server.directory / "icap.sock"))
    return connection


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_restarts_under_load_lose_no_transaction(server: Server, kind: str) -> None:
    pid = server.process.pid
    connect = server.connect if kind == "tcp" else lambda: connect_unix(server)
    with loaded(connect, RESPMOD) as load:
        for _ in range(3):
            load.wait_for_more(100)
            old = workers_under(pid)
            restart(server)
            load.wait_for_more(100)
            wait_for_ends(server, 2)
            assert len(workers_under(pid)) == 2
            assert not any(map(lives, old))
    assert not load.failures
    assert not load.retried
    assert server.stop() == 0
    recorded = [txn_id.encode() for (txn_id,) in server.query("SELECT txn_id FROM audit_event")]
    assert sorted(recorded) == sorted(load.answered)


def test_restart_takes_new_settings_and_new_rules(server: Server) -> None:
    (server.directory / "icapd.toml").write_text(settings(workers=3))
    (server.directory / "rules" / "demo.toml").write_text(RULES.replace("KEY-", "TOKEN-"))
    restart(server)
    wait_for_ends(server, 2)
    assert len(workers_under(server.process.pid)) == 3
    with server.connect() as connection:
        assert ask(connection, RESPMOD).startswith(b"ICAP/1.0 204")


def test_request_under_way_and_idle_connection_end_with_their_next_answer(server: Server) -> None:
    whole = wire.respmod(wire.OK, wire.chunked(JSON))
    with server.connect() as busy, server.connect() as idle:
        for connection in (busy, idle):
            assert b"Connection: close" not in ask(connection, wire.options())
        busy.sendall(whole[:-10])
        restart(server)
        for connection, rest in ((busy, whole[-10:]), (idle, whole)):
            reply = ask(connection, rest)
            assert b"KEY-[REDACTED]" in reply and b"Connection: close" in reply
            assert connection.recv(1) == b""
        wait_for_ends(server, 2)


def broken_settings(server: Server) -> str:
    (server.directory / "icapd.toml").write_text("[server]\nlistne = 1\n")
    return 'key "listne" is unknown'


def broken_rules(server: Server) -> str:
    (server.directory / "rules" / "demo.toml").write_text(RULES.replace("severity = ", "severty = ", 1))
    return "demo.toml"


def taken_address(server: Server) -> str:
    text = settings(http=f"127.0.0.1:{server.port}")
    (server.directory / "icapd.toml").write_text(text)
    return f"server.http_listen: can't listen on 127.0.0.1:{server.port}"


@pytest.mark.parametrize("break_it", [broken_settings, broken_rules, taken_address])
def test_restart_that_could_not_work_is_refused(server: Server, break_it: "type[broken_settings]") -> None:  # type: ignore[valid-type]
    workers = workers_under(server.process.pid)
    problem = break_it(server)
    with server.connect() as connection:
        server.process.send_signal(signal.SIGUSR2)
        line = server.wait_for_log("event=restart-refused.*")[0]
        assert problem in line.replace('\\"', '"')
        assert b"Connection: close" not in ask(connection, RESPMOD)
    assert workers_under(server.process.pid) == workers


def test_old_workers_serve_on_when_the_new_ones_can_not_start(server: Server) -> None:
    """What only a worker's own start finds out: no place for its records."""
    (server.directory / "icapd.toml").write_text(settings() + '[audit]\noutbox = "icapd.toml"\n')
    workers = workers_under(server.process.pid)
    with server.connect() as connection:
        ask(connection, wire.options())
        server.process.send_signal(signal.SIGUSR2)
        server.wait_for_log("event=restart-failed.*Not a directory")
        assert b"Connection: close" not in ask(connection, RESPMOD)
        with server.connect() as new:
            assert b"KEY-[REDACTED]" in ask(new, RESPMOD)
    (server.directory / "icapd.toml").write_text(settings())
    restart(server)
    wait_for_ends(server, 2)
    assert not set(workers) & set(workers_under(server.process.pid))


def test_signals_that_come_while_programs_change_are_kept(server: Server) -> None:
    server.process.send_signal(signal.SIGUSR2)
    server.wait_for_log("event=restarting")
    for _ in range(3):
        server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("event=ready")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("event=reloaded")
    assert server.stop() == 0


def test_counts_go_on_through_a_restart(directory: Path) -> None:
    http = f"127.0.0.1:{free_port()}"

    def transactions() -> str:
        with urllib.request.urlopen(f"http://{http}/metrics", timeout=PATIENCE) as response:
            lines = str(response.read(), "utf-8").splitlines()
        (line,) = [line for line in lines if line.startswith("icapd_transactions_total{")]
        return line.rpartition(" ")[2]

    with serving(directory, settings(http=http)) as server:
        for expected in ("1.0", "2.0", "3.0"):
            with server.connect() as connection:
                ask(connection, RESPMOD)
            assert transactions() == expected
            restart(server)
            wait_for_ends(server, 2)
            assert transactions() == expected


def test_stop_while_new_workers_start_stops_all(server: Server) -> None:
    server.process.send_signal(signal.SIGUSR2)
    server.wait_for_log("event=restarting")
    assert server.stop() == 0
    assert not (server.directory / "icap.sock").exists()


def test_stop_does_not_wait_for_idle_connections_of_old_workers(directory: Path) -> None:
    patient = settings().replace("shutdown_timeout = 5", "shutdown_timeout = 600")
    with serving(directory, patient) as server, server.connect() as idle:
        ask(idle, wire.options())
        restart(server)
        assert server.stop() == 0
        assert idle.recv(1) == b""
