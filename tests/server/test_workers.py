"""A server of several processes: who gets what, and what becomes of it when one of them dies."""

import contextlib
import os
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import wire
from support.icapd import PATIENCE, Server, ask, serving, until
from support.policies import RULES, SECRET, demo_policy
from support.processes import lives, workers_under

JSON = b'{"key": "KEY-%b"}' % SECRET
RESPMOD = wire.respmod(wire.OK, wire.chunked(JSON, ieof=True), Preview="1024")


def settings(workers: int, **server: float) -> str:
    lines = [f"{key} = {value}\n" for key, value in server.items()]
    return (
        f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\nworkers = {workers}\n{"".join(lines)}'
        '[policy]\ndirectory = "rules"\nwatch = false\n'
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    demo_policy(tmp_path / "rules")
    return tmp_path


@pytest.fixture
def pair(directory: Path) -> Iterator[Server]:
    """A server of two workers."""
    with serving(directory, settings(2)) as server:
        yield server


def workers_of(server: Server) -> list[int]:
    return workers_under(server.process.pid)


def worker_behind(server: Server, connection: socket.socket) -> int:
    """The process at the other end of a connection."""
    ours, theirs = connection.getsockname()[1], connection.getpeername()[1]
    (inode,) = [
        fields[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if (fields := line.split())[1].endswith(f":{theirs:04X}") and fields[2].endswith(f":{ours:04X}")
    ]
    (worker,) = [
        pid
        for pid in workers_of(server)
        if f"socket:[{inode}]" in {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    ]
    return worker


@pytest.mark.parametrize(("workers", "connections"), [(2, 4), (3, 7)])
def test_few_connections_are_spread_evenly(directory: Path, workers: int, connections: int) -> None:
    with serving(directory, settings(workers)) as server, contextlib.ExitStack() as stack:
        load: Counter[int] = Counter()
        for _ in range(connections):
            connection = stack.enter_context(server.connect())
            assert b"KEY-[REDACTED]" in ask(connection, RESPMOD)
            load[worker_behind(server, connection)] += 1
        assert len(load) == workers
        assert max(load.values()) - min(load.values()) <= 1


def test_connection_goes_to_the_worker_with_the_fewest(pair: Server) -> None:
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(pair.connect()) for _ in range(6)]
        for connection in connections:
            ask(connection, wire.options())
        quiet = worker_behind(pair, connections[0])
        gone = [one for one in connections if worker_behind(pair, one) == quiet]
        for connection in gone:
            connection.close()
        time_for_news = stack.enter_context(pair.connect())
        ask(time_for_news, wire.options())
        assert worker_behind(pair, time_for_news) == quiet


def test_killed_worker_takes_only_its_own_connections_along_and_comes_back(pair: Server) -> None:
    with pair.connect() as first, pair.connect() as second:
        for connection in (first, second):
            ask(connection, wire.options())
        victim, survivor = worker_behind(pair, first), worker_behind(pair, second)
        assert victim != survivor
        os.kill(victim, signal.SIGKILL)
        assert first.recv(1) == b""
        assert b"KEY-[REDACTED]" in ask(second, RESPMOD)
        pair.wait_for_log(f"event=worker-died.*pid={victim}.*SIGKILL.*restart_in=0.1")
        pair.wait_for_log("event=worker-started")
        until(lambda: len(workers_of(pair)) == 2)
        with pair.connect() as third:
            ask(third, wire.options())
            assert worker_behind(pair, third) not in (victim, survivor)


def test_connections_wait_while_the_only_worker_is_started_anew(directory: Path) -> None:
    with serving(directory, settings(1)) as server:
        os.kill(workers_of(server)[0], signal.SIGKILL)
        server.wait_for_log("event=worker-died")
        with server.connect() as connection:
            assert b"KEY-[REDACTED]" in ask(connection, RESPMOD)


def test_verdicts_seen_before_a_worker_was_killed_have_their_rows_and_streams_are_closed(
    pair: Server,
) -> None:
    """The one that takes its place records what it left open, and nothing of the others."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    opening = wire.respmod(head, wire.chunked(b"data: KEY-%b\n\n" % SECRET)[:-5], path="/stream")
    with pair.connect() as first, pair.connect() as second:
        for connection in (first, second):
            connection.sendall(opening)
            received = b""
            while b"KEY-[REDACTED]" not in received:
                received += connection.recv(65536)
        os.kill(worker_behind(pair, first), signal.SIGKILL)
        pair.wait_for_log("event=worker-died")
        pair.wait_for_log("event=worker-started")
        until(lambda: cut_of(pair) == [("cut", "server-stopped")])
        second.sendall(b"0\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            received += second.recv(65536)
    assert sorted(pair.query("SELECT coalesce(skip_reason, '') FROM audit_event")) == [
        ("",),
        ("server-stopped",),
    ]


def test_server_ends_with_its_supervisor(pair: Server) -> None:
    """kill -9 of the supervisor: its workers end what they have, record it, and go."""
    whole = wire.respmod(wire.OK, wire.chunked(JSON))
    workers = workers_of(pair)
    with pair.connect() as busy, pair.connect() as idle:
        ask(idle, wire.options())
        begin(pair, busy, whole[:-10])
        pair.process.kill()
        assert idle.recv(1) == b""
        # Both workers know by then, and tell the peer of the request that is under way.
        until(lambda: pair.log.count("event=supervisor-gone") == len(workers))
        reply = ask(busy, whole[-10:])
        assert b"KEY-[REDACTED]" in reply and b"Connection: close" in reply
    until(lambda: not any(map(lives, workers)))
    assert pair.query("SELECT verdict FROM audit_event") == [("redacted",)]
    assert pair.query("SELECT count(*) FROM audit_admin WHERE action = 'stop'") == [(2,)]


def cut_of(server: Server) -> list[tuple[str, str]]:
    return server.query("SELECT disposition, skip_reason FROM audit_event WHERE disposition = 'cut'")


def begin(server: Server, connection: socket.socket, data: bytes) -> None:
    """Send the beginning of a request, and wait until it is with a worker."""
    ask(connection, wire.options())
    connection.sendall(data)
    # Where another has a connection to our port as well, only both ends tell which is which.
    ends = [f":{port:04X}" for port in (server.port, connection.getsockname()[1])]

    def is_read() -> bool:
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        (line,) = [line for line in lines if [end[-5:] for end in line[1:3]] == ends]
        return line[4].endswith(":00000000")

    until(is_read)
    # An answer to another says that what was read before it was looked at.
    for _ in workers_of(server):
        with server.connect() as other:
            ask(other, wire.options())


def test_next_server_can_start_while_orphans_end_what_they_have(directory: Path) -> None:
    whole = wire.respmod(wire.OK, wire.chunked(JSON))
    with serving(directory, settings(1)) as server, server.connect() as busy:
        begin(server, busy, whole[:-10])
        server.process.kill()
        with serving(directory, settings(1)) as next_server, next_server.connect() as other:
            assert b"KEY-[REDACTED]" in ask(other, RESPMOD)
            assert b"KEY-[REDACTED]" in ask(busy, whole[-10:])
    assert server.query("SELECT verdict FROM audit_event") == [("redacted",)] * 2


def test_signals_of_a_terminal_are_the_supervisors(pair: Server) -> None:
    for worker in workers_of(pair):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
            os.kill(worker, number)
    with pair.connect() as connection:
        assert b"KEY-[REDACTED]" in ask(connection, RESPMOD)
    assert pair.stop(signal.SIGINT) == 0


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        pytest.param("severity = ", "severty = ", "demo.toml", id="key"),
        pytest.param("severity = ", f"{'k' * 300_000} = ", "demo.toml", id="longer than a message"),
        pytest.param("ATTACK!", f"{'(?:' * 900}A{')' * 900}", "maximum recursion depth", id="too deep"),
    ],
)
def test_reload_is_taken_by_all_workers_or_by_none(
    pair: Server, right: str, wrong: str, problem: str
) -> None:
    rules = pair.directory / "rules" / "demo.toml"
    with pair.connect() as first, pair.connect() as second:

        def tags() -> set[bytes]:
            replies = [ask(connection, wire.options()) for connection in (first, second)]
            return {line for reply in replies for line in reply.split(b"\r\n") if line.startswith(b"ISTag")}

        (before,) = tags()
        rules.write_text(RULES.replace(right, wrong, 1))
        pair.process.send_signal(signal.SIGHUP)
        pair.wait_for_log(f"event=reload-refused.*{problem}")
        assert tags() == {before}
        rules.write_text(RULES.replace("KEY-", "TOKEN-"))
        pair.process.send_signal(signal.SIGHUP)
        pair.wait_for_log("event=reloaded")
        (after,) = tags()
        assert after != before


def test_worker_that_is_started_anew_has_the_policy_of_the_others(pair: Server) -> None:
    """It reads the files as they are now; the others follow."""
    (pair.directory / "rules" / "demo.toml").write_text(RULES.replace("KEY-", "TOKEN-"))
    victim, survivor = workers_of(pair)
    os.kill(victim, signal.SIGKILL)
    pair.wait_for_log("event=worker-started")
    pair.wait_for_log("event=reloaded")
    for _ in range(2):
        with pair.connect() as connection:
            assert ask(connection, RESPMOD).startswith(b"ICAP/1.0 204")
    assert survivor in workers_of(pair)


def test_worker_inherits_only_its_channel(pair: Server) -> None:
    with pair.connect() as connection:
        ask(connection, wire.options())
        listening = listening_inodes(pair.port)
        for worker in workers_of(pair):
            links = [str(descriptor.readlink()) for descriptor in Path(f"/proc/{worker}/fd").iterdir()]
            assert not listening & set(links)
            # Its channel, and its share of the one connection.
            assert sum(link.startswith("socket:") for link in links) <= 4
        connection.close()


def listening_inodes(port: int) -> set[str]:
    return {
        f"socket:[{fields[9]}]"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if (fields := line.split())[1].endswith(f":{port:04X}") and fields[3] == "0A"
    }


def test_max_connections_follows_the_limit_of_open_files(directory: Path) -> None:
    """96 files are 32 besides those a process needs: 16 connections, and as many that are not inspected."""
    with serving(directory, settings(1), limits={"nofile": 96}) as server, contextlib.ExitStack() as stack:
        assert "event=fewer-connections" in server.log
        connections = [stack.enter_context(server.connect()) for _ in range(32)]
        reply = ask(connections[0], wire.options())
        assert re.search(rb"\r\nMax-Connections: (\d+)\r\n", reply)[1] == b"5"  # type: ignore[index]
        for connection in connections:
            assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")
        with server.connect() as waiting:
            waiting.sendall(wire.options())
            connections[0].close()
            assert waiting.recv(12) == b"ICAP/1.0 200"


def test_limit_of_open_files_below_what_a_process_needs_leaves_one_connection(directory: Path) -> None:
    with serving(directory, settings(1), limits={"nofile": 48}) as server, server.connect() as connection:
        assert "event=fewer-connections" in server.log and "max_connections=1 " in server.log
        assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")


def test_threads_of_load_survive_the_death_of_workers(pair: Server) -> None:
    """Clients that connect again, as Squid does, see failures only on what the dead one had."""
    stop, failures, answered = threading.Event(), Counter[str](), Counter[bool]()

    def load() -> None:
        while not stop.is_set():
            try:
                with pair.connect() as connection:
                    while not stop.is_set():
                        reply = ask(connection, RESPMOD)
                        if not reply:
                            failures["closed"] += 1
                            break
                        answered[b"KEY-[REDACTED]" in reply] += 1
            except TimeoutError:
                failures["unanswered"] += 1
            except (OSError, AssertionError):
                failures["broken"] += 1

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: answered[True] > 200)
    os.kill(workers_of(pair)[0], signal.SIGKILL)
    pair.wait_for_log("event=worker-died")
    pair.wait_for_log("event=worker-started")
    before = answered[True]
    until(lambda: answered[True] > before + 200)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert not answered[False]
    assert not failures["unanswered"]
    # The system closes a dying worker's connections before its channel: each of its two clients may come to
    # it once more, to be turned away at once.
    assert failures.total() <= 4
