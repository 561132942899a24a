"""The pyicap engine by itself: real sockets and threads, handed over as a worker does it."""

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from support import wire
from support.icapd import PATIENCE, ask, read_reply
from support.policies import KEY, RULES, SECRET, demo_policy
from support.trail import Trail

from icapd.audit import migrations
from icapd.server.engine import LOCAL, Peer
from icapd.server.pyicap_engine.engine import PyicapEngine
from icapd.server.pyicap_engine.mount import Icapd

TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
IMAGE = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
#: Large bodies are of use here.
RULES_WITHOUT_SIZE = RULES[: RULES.index('[[rule]]\nid = "demo.size"')]
PREVIEW = wire.respmod(TEXT, wire.chunked(b"KEY-"), Preview="4")


@dataclass
class Bench:
    """An engine on an event loop of another thread."""

    engine: PyicapEngine
    loop: asyncio.AbstractEventLoop
    database: Path
    left: list[Peer]
    refused: list[tuple[str, BaseException]]

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        async def run() -> None:
            function(*arguments)

        asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE)

    def connect(self, peer: Peer = LOCAL, tls: ssl.SSLContext | None = None) -> socket.socket:
        """Our end of a TCP connection that the engine has taken."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname(), PATIENCE)
            self.call(self.engine.take, listener.accept()[0], peer, tls)
        return client

    def stop(self, seconds: float = PATIENCE) -> None:
        asyncio.run_coroutine_threadsafe(self.engine.stop(seconds), self.loop).result(2 * PATIENCE)

    def recorded(self, column: str = "skip_reason") -> list[str]:
        """That column of all records."""
        trail = Trail(self.database.with_name("outbox"), f"sqlite:///{self.database}")
        trail.ship()
        return [value for (value,) in trail.rows(f"SELECT {column} FROM audit_event")]


@contextmanager
def engine(directory: Path, server: str = "") -> Iterator[Bench]:
    (directory / "rules").mkdir()
    demo_policy(directory / "rules", rules=RULES_WITHOUT_SIZE)
    config = directory / "icapd.toml"
    config.write_text(f'[server]\n{server}\n[policy]\ndirectory = "rules"\n[audit]\ncoalesce_after = 0\n')
    migrations.upgrade(f"sqlite:///{directory / 'icapd.db'}")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with Icapd.open(config) as icapd:
            left: list[Peer] = []
            refused: list[tuple[str, BaseException]] = []
            made = PyicapEngine(
                icapd.context,
                icapd.settings,
                left.append,
                lambda address, error: refused.append((address, error)),
            )
            bench = Bench(made, loop, directory / "icapd.db", left, refused)
            asyncio.run_coroutine_threadsafe(made.start(), loop).result(PATIENCE)
            yield bench
            bench.stop(0)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with engine(tmp_path) as bench:
        yield bench


def test_connection_is_served_and_its_end_is_told(bench: Bench) -> None:
    peer = Peer("192.0.2.1")
    with bench.connect(peer) as connection:
        assert b"KEY-[REDACTED]" in ask(connection, wire.respmod(TEXT, wire.chunked(KEY)))
        assert bench.engine.connections == 1
    bench.stop()
    assert (bench.engine.connections, bench.left) == (0, [peer])


def test_unix_socket_is_served(bench: Bench) -> None:
    client, server = socket.socketpair()
    with client:
        bench.call(bench.engine.take, server, LOCAL, None)
        assert b"KEY-[REDACTED]" in ask(client, wire.respmod(TEXT, wire.chunked(KEY)))


def test_peer_over_capacity_meets_the_fail_mode(bench: Bench) -> None:
    with bench.connect(Peer("192.0.2.1", overloaded=True)) as connection:
        reply = ask(connection, wire.respmod(TEXT, wire.chunked(KEY, ieof=True), Preview="100"))
        assert reply.startswith(b"ICAP/1.0 204")
    assert bench.recorded() == ["overload"]


def test_many_connections_at_once_keep_apart_what_is_theirs(bench: Bench) -> None:
    def talk(number: int) -> None:
        with bench.connect() as connection:
            for turn in range(25):
                word = b"%d-%d" % (number, turn)
                reply = ask(connection, wire.respmod(TEXT, wire.chunked(word + b" " + KEY, b" " + word)))
                assert word + b" KEY-[REDACTED] " + word in reply
                url = b"GET http://h/%b?%b HTTP/1.1\r\nHost: h\r\n\r\n" % (word, KEY)
                assert b"/%b?KEY-%%5BREDACTED%%5D " % word in ask(connection, wire.reqmod(url, Preview="0"))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(talk, range(12)))
    assert len(bench.recorded()) == 12 * 50
    metrics = bench.engine.context.metrics.text()
    assert 'icapd_findings_total{rule="demo.key"} 600.0' in metrics


def test_stop_ends_the_idle_and_waits_for_requests_under_way(bench: Bench) -> None:
    with bench.connect() as idle, bench.connect() as busy, bench.connect() as new:
        ask(idle, wire.options())
        assert ask(busy, PREVIEW).startswith(b"ICAP/1.0 100")
        stopper = threading.Thread(target=bench.stop)
        stopper.start()
        assert idle.recv(1) == new.recv(1) == b""
        reply = ask(busy, wire.chunked(SECRET))
        assert b"KEY-[REDACTED]" in reply and b"Connection: close" in reply
        assert busy.recv(1) == b""
        stopper.join()
    assert bench.engine.connections == 0


def test_stop_cuts_the_rest_and_records_it(bench: Bench) -> None:
    with bench.connect() as connection:
        ask(connection, PREVIEW)
        bench.stop(0)
        assert connection.recv(1) == b""
    assert bench.recorded() == ["server-stopped"]
    assert bench.engine.connections == 0


def test_retired_connection_answers_once_more(bench: Bench) -> None:
    with bench.connect() as connection:
        ask(connection, wire.options())
        bench.call(bench.engine.retire)
        assert b"Connection: close" in ask(connection, wire.options())
        assert connection.recv(1) == b""


def test_client_that_goes_leaves_a_record(bench: Bench) -> None:
    with bench.connect() as connection:
        ask(connection, PREVIEW)
    bench.stop()
    assert bench.recorded() == ["client-gone"]


def test_client_that_resets_the_connection_leaves_a_record(bench: Bench) -> None:
    with bench.connect() as connection:
        ask(connection, PREVIEW)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    bench.stop()
    assert bench.recorded() == ["client-gone"]


def test_client_that_takes_nothing_is_let_go(tmp_path: Path) -> None:
    with engine(tmp_path, "stall_timeout = 0.2") as bench, bench.connect() as connection:
        connection.settimeout(1)
        with pytest.raises(OSError):
            connection.sendall(wire.respmod(IMAGE, b"3000000\r\n" + b"\x89" * 0x3000000))
        bench.stop()
        assert bench.recorded("disposition") == ["cut"]


def test_slow_reader_gets_it_all(tmp_path: Path) -> None:
    """More than one send takes longer than the limit of a single one."""
    with engine(tmp_path, "stall_timeout = 1.0") as bench, bench.connect() as connection:
        body = wire.chunked(*[b"\x89" * 100_000] * 100)
        sender = threading.Thread(target=connection.sendall, args=(wire.respmod(IMAGE, body),))
        sender.start()
        assert read_reply(connection).count(b"\x89") == 10_000_000
        sender.join()


def test_answer_before_the_end_of_a_request_reaches_who_is_still_sending(bench: Bench) -> None:
    """Without lingering, the close would reset the connection, and the answer could be lost."""
    with bench.connect() as connection:
        connection.sendall(wire.respmod(TEXT, b"no chunk\r\n"))
        connection.sendall(b"x" * 5_000_000)
        assert read_reply(connection).startswith(b"ICAP/1.0 400")
        assert connection.recv(1) == b""


def test_drain_ends(tmp_path: Path) -> None:
    with engine(tmp_path, "drain_timeout = 0.2") as bench, bench.connect() as connection:
        url = b"POST http://h/ HTTP/1.1\r\nHost: h\r\n\r\n"
        wrong = wire.reqmod(url, b"5\r\nab").replace(b"/reqmod", b"/nowhere")
        assert ask(connection, wrong).startswith(b"ICAP/1.0 404")
        assert connection.recv(1) == b""


def test_thread_that_can_not_be_had_costs_one_connection(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with bench.connect() as connection:
            assert connection.recv(1) == b""
    assert (bench.left, bench.engine.connections) == ([LOCAL], 0)
    with bench.connect() as connection:
        assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")


# --- TLS


@dataclass
class Tls:
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def tls() -> Tls:
    ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("localhost", key_type=trustme.KeyType.ECDSA).configure_cert(server)
    ca.configure_trust(client)
    return Tls(server, client)


def test_tls_is_served_to_its_end(bench: Bench, tls: Tls) -> None:
    with (
        bench.connect(tls=tls.server) as plain,
        tls.client.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as connection,
    ):
        body = KEY + b" " + b"x" * 300_000
        data = wire.respmod(TEXT, wire.chunked(body))
        for _ in range(2):
            reply = ask(connection, data)
            assert reply.count(b"x") > 300_000 and b"KEY-[REDACTED]" in reply
        stopper = threading.Thread(target=bench.stop)
        stopper.start()
        # Closed by the book: with close_notify, or this would raise.
        assert connection.recv(1) == b""
        stopper.join()


def test_handshake_that_fails_is_told(bench: Bench, tls: Tls) -> None:
    with bench.connect(Peer("192.0.2.1"), tls.server) as connection:
        connection.sendall(wire.options())
        with suppress(ConnectionError):
            while connection.recv(4096):
                pass
    bench.stop()
    ((address, error),) = bench.refused
    assert address == "192.0.2.1" and isinstance(error, ssl.SSLError)
    assert bench.left == [Peer("192.0.2.1")]


def test_silence_in_a_handshake_ends(tmp_path: Path, tls: Tls) -> None:
    with engine(tmp_path, "first_byte_timeout = 0.2") as bench, bench.connect(tls=tls.server) as connection:
        connection.sendall(b"\x16\x03\x01")
        assert connection.recv(1) == b""
    assert [type(error) for _, error in bench.refused] == [TimeoutError]


# --- more work than can be done


def test_options_pass_where_work_waits_and_long_waiting_means_overload(tmp_path: Path) -> None:
    with engine(tmp_path, "max_queue_delay = 0.05") as bench, ExitStack() as held:
        metrics = bench.engine.context.metrics
        gate = bench.engine.open_connections.gate
        for _ in os.sched_getaffinity(0):
            held.enter_context(gate.passed())
        with bench.connect() as busy, bench.connect() as other:
            busy.sendall(wire.respmod(TEXT, wire.chunked(KEY, ieof=True), Preview="100"))
            while "icapd_queue_waiting 1.0" not in metrics.text():
                assert ask(other, wire.options()).startswith(b"ICAP/1.0 200")
            while next(iter(metrics.queue_oldest.collect())).samples[0].value <= 0.06:
                assert ask(other, wire.options()).startswith(b"ICAP/1.0 200")
            held.close()
            assert read_reply(busy).startswith(b"ICAP/1.0 204")
        assert bench.recorded() == ["overload"]
        with bench.connect() as connection:
            assert b"KEY-[REDACTED]" in ask(connection, wire.respmod(TEXT, wire.chunked(KEY)))
