"""`icapd serve` as its users have it: a process, its sockets, its signals, its log and its rows."""

import contextlib
import select
import signal
import socket
import sqlite3
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support import wire
from support.icapd import ICAPD, PATIENCE, Server, ask, configure, read_reply, serving, until
from support.places import free_port
from support.policies import RULES, SECRET, demo_policy

pytestmark = pytest.mark.usefixtures("engine")

JSON = b'{"key": "KEY-%b"}' % SECRET
POLICY = '[policy]\ndirectory = "rules"\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    demo_policy(tmp_path / "rules")
    return tmp_path


@pytest.fixture
def server(directory: Path) -> Iterator[Server]:
    with serving(directory, POLICY) as server:
        yield server


def respmod(body: bytes) -> bytes:
    return wire.respmod(wire.OK, wire.chunked(body, ieof=True), Preview="1024")


def test_transactions_on_one_connection_each_have_their_row(server: Server) -> None:
    with server.connect() as connection:
        assert ask(connection, wire.options("/respmod")).startswith(b"ICAP/1.0 200 OK")
        assert ask(connection, respmod(b"{}")).startswith(b"ICAP/1.0 204")
        assert b"KEY-[REDACTED]" in ask(connection, respmod(JSON))
        assert ask(connection, wire.reqmod(Preview="0")).startswith(b"ICAP/1.0 204")
    verdicts = [(row["method_icap"], row["verdict"]) for row in server.rows()]
    assert sorted(verdicts) == [("REQMOD", "allowed"), ("RESPMOD", "allowed"), ("RESPMOD", "redacted")]
    # Those rows were read by a command.
    assert set(server.query("SELECT role FROM audit_writer")) == {("worker",), ("command",)}


def test_client_that_goes_in_the_middle_leaves_a_row(server: Server) -> None:
    whole = wire.respmod(wire.OK, wire.chunked(b"a" * 1000))
    with server.connect() as connection:
        connection.sendall(whole[:-500])
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    (row,) = server.rows()
    assert (row["disposition"], row["inspection"], row["skip_reason"]) == ("failed", "partial", "client-gone")


def test_connections_over_the_limit_meet_the_fail_mode_and_then_wait(directory: Path) -> None:
    text = '[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\nworkers = 1\nmax_connections = 1\n' + POLICY
    with serving(directory, text) as server, server.connect() as first:
        assert b"KEY-[REDACTED]" in ask(first, respmod(JSON))
        with server.connect() as second, server.connect() as third:
            third.sendall(respmod(JSON))
            assert b"KEY-[REDACTED]" in ask(first, respmod(JSON))
            assert not readable(third)
            answer = ask(second, respmod(JSON))
            assert answer.startswith(b"ICAP/1.0 204")
            # It does not stay in the client's pool, to bypass what comes when there is room again.
            assert b"Connection: close" in answer and second.recv(1) == b""
            second.close()
            assert read_reply(third).startswith(b"ICAP/1.0 204")
        overloaded = [row for row in server.rows() if row["skip_reason"] == "overload"]
        assert [(row["disposition"], row["inspection"]) for row in overloaded] == [
            ("bypassed", "skipped")
        ] * 2


def readable(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


@pytest.mark.parametrize(
    ("key", "data"),
    [
        pytest.param("first_byte_timeout", b"", id="silent from the start"),
        pytest.param("head_timeout", b"OPTIONS icap", id="half a head"),
        pytest.param("stall_timeout", wire.respmod(wire.OK, b"5\r\nab"), id="half a body"),
    ],
)
def test_silent_connection_is_closed(directory: Path, key: str, data: bytes) -> None:
    text = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\nworkers = 1\n{key} = 0.2\n' + POLICY
    with serving(directory, text) as server, server.connect() as connection:
        connection.sendall(data)
        reply = read_reply(connection)
        assert reply == b"" if not data else reply.startswith(b"ICAP/1.0 408")
        assert connection.recv(1) == b""


def test_idle_connection_is_closed(directory: Path) -> None:
    text = '[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\nworkers = 1\nidle_timeout = 0.2\n' + POLICY
    with serving(directory, text) as server, server.connect() as connection:
        assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")
        assert connection.recv(1) == b""


def test_client_that_sends_on_and_never_reads_its_block_page_loses_its_place(directory: Path) -> None:
    limits = "max_connections = 1\nstall_timeout = 0.2\ndrain_timeout = 0.2\n"
    text = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\nworkers = 1\n{limits}' + POLICY
    image = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
    # Without the rule on sizes: it would cut the image, and end it soon.
    demo_policy(directory / "rules", rules=RULES.partition('[[rule]]\nid = "demo.size"')[0])
    with serving(directory, text) as server, server.connect() as greedy:
        greedy.settimeout(1)
        # The server takes no more from a client that takes nothing.
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            greedy.sendall(wire.respmod(image, b"3000000\r\n" + b"\x89" * 0x3000000))
        poller = select.poll()
        poller.register(greedy, 0)
        assert poller.poll(PATIENCE * 1000), "it was not cut off"
        # Its place is free once the supervisor has heard of it; meanwhile the next one is over capacity.
        until(lambda: b"KEY-[REDACTED]" in answer_to(server, respmod(JSON)))


def answer_to(server: Server, data: bytes) -> bytes:
    with server.connect() as connection:
        return ask(connection, data)


def test_stop_lets_the_request_under_way_end(server: Server) -> None:
    whole = respmod(JSON)
    with server.connect() as connection:
        connection.sendall(whole[:-10])
        # An answer to a second connection says that the server has seen the first one's bytes.
        with server.connect() as other:
            ask(other, wire.options())
            server.process.send_signal(signal.SIGTERM)
            assert other.recv(1) == b""
        server.wait_for_log("event=stopping")
        reply = ask(connection, whole[-10:])
        assert b"KEY-[REDACTED]" in reply
        assert b"Connection: close" in reply
        assert connection.recv(1) == b""
    assert server.process.wait(PATIENCE) == 0
    assert len(server.rows()) == 1


def test_reload_takes_a_new_rule_and_refuses_a_broken_one(server: Server) -> None:
    rules = server.directory / "rules" / "demo.toml"

    def reload(text: str, event: str) -> str:
        rules.write_text(text)
        server.process.send_signal(signal.SIGHUP)
        return server.wait_for_log(f"event={event}.*")[0]

    with server.connect() as connection:
        before = ask(connection, wire.options())
        line = reload(RULES.replace("severity = ", "severty = ", 1), "reload-refused")
        assert "demo.toml" in line and "demo.key" in line and "severty" in line
        assert b"KEY-[REDACTED]" in ask(connection, respmod(JSON))
        reload(RULES.replace("KEY-", "TOKEN-"), "reloaded")
        assert ask(connection, respmod(JSON)).startswith(b"ICAP/1.0 204")
        assert istag(ask(connection, wire.options())) != istag(before)


def istag(reply: bytes) -> bytes:
    return next(line for line in reply.split(b"\r\n") if line.startswith(b"ISTag: "))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_status_pages(directory: Path, host: str) -> None:
    port = free_port()
    text = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "{host}:{port}"\nworkers = 1\n' + POLICY
    with serving(directory, text) as server, server.connect() as connection:
        ask(connection, respmod(JSON))

        def page(path: str) -> str:
            with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=PATIENCE) as response:
                return str(response.read(), "utf-8")

        assert page("/healthz") == "ok\n"
        assert page("/readyz") == "ready\n"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            page("/")
        metrics = page("/metrics")
        expected = 'icapd_transactions_total{disposition="redacted",method="RESPMOD",verdict="redacted"} 1.0'
        assert expected in metrics
        assert 'icapd_findings_total{rule="demo.key"} 1.0' in metrics


def test_no_secret_is_left_anywhere(server: Server) -> None:
    with server.connect() as connection:
        ask(connection, respmod(JSON))
        http = b"GET https://h/%b?k=KEY-%b HTTP/1.1\r\nHost: h\r\nX-Key: KEY-%b\r\n\r\n" % (
            b"KEY-" + SECRET,
            SECRET,
            SECRET,
        )
        ask(connection, wire.reqmod(http))
        connection.sendall(b"REQMOD icap://h/reqmod ICAP/1.0\r\nHost: h\r\nKEY-%b\r\n\r\n" % SECRET)
        assert connection.recv(100).startswith(b"ICAP/1.0 400")
    assert server.stop() == 0
    for path in (*server.directory.glob("icapd.db*"), *server.directory.glob("outbox/*")):
        assert SECRET not in path.read_bytes()
    assert SECRET.decode() not in server.log


def break_outboxes(server: Server) -> None:
    for file in (server.directory / "outbox").glob("*.outbox"):
        with closing(sqlite3.connect(file)) as outbox, outbox:
            outbox.execute("DROP TABLE entry")


def test_record_that_can_not_be_written_blocks_the_message(server: Server) -> None:
    with server.connect() as connection:
        break_outboxes(server)
        reply = ask(connection, respmod(b"{}"))
        assert b"HTTP/1.1 503 " in reply
        assert b"could not be recorded" in reply
    server.wait_for_log("event=audit-failed.*outbox")


def test_record_that_can_not_be_written_lets_the_message_pass_where_that_is_set(directory: Path) -> None:
    with (
        serving(directory, POLICY + '[audit]\nfail_mode = "open"\n') as server,
        server.connect() as connection,
    ):
        break_outboxes(server)
        assert ask(connection, respmod(b"{}")).startswith(b"ICAP/1.0 204")


def test_every_verdict_seen_before_a_kill_has_its_row(server: Server) -> None:
    seen: list[str] = []
    enough = threading.Event()

    def load() -> None:
        try:
            with server.connect() as connection:
                while True:
                    reply = ask(connection, respmod(JSON))
                    if not reply:
                        return
                    seen.append(reply.partition(b"X-Icapd-Txn: ")[2].partition(b"\r\n")[0].decode())
                    if len(seen) > 500:
                        enough.set()
        except (OSError, AssertionError):
            return

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert enough.wait(PATIENCE)
    server.stop(signal.SIGKILL)
    for thread in threads:
        thread.join(PATIENCE)
    recorded = [row["txn_id"] for row in server.rows()]
    assert set(seen) <= set(recorded)
    assert len(recorded) == len(set(recorded))
    assert server.verify() == 0


STARTS = [
    pytest.param("[server]\nlistne = 1\n", 'key "listne" is unknown', id="unknown key"),
    pytest.param('[policy]\ndirectory = "nowhere"\n', "nowhere", id="no rules"),
    pytest.param('[audit]\ndatabase_url = "sqlite:////nowhere/x.db"\n', "/nowhere", id="no such directory"),
    pytest.param('[audit]\ndatabase_url = "sqlite:///new.db"\n', "icapd db upgrade", id="database not made"),
    pytest.param('[audit]\nfingerprint_key = "icapd.toml"\n', "is not a key of 32", id="broken key"),
    pytest.param('[audit]\nsigning_key = "icapd.toml"\n', "signing_key", id="broken signing key"),
    pytest.param('[audit]\nanchor_syslog = "here"\n', "write udp://HOST:PORT", id="no syslog"),
]


@pytest.mark.parametrize("engine", ["asyncio"], indirect=True)  # nothing of it depends on the engine
@pytest.mark.parametrize(("text", "message"), STARTS)
def test_server_that_can_not_start_says_why(directory: Path, text: str, message: str) -> None:
    outcome = start(configure(directory, text if "[policy]" in text else text + POLICY))
    assert outcome.returncode == 3
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("engine", ["asyncio"], indirect=True)  # nothing of it depends on the engine
@pytest.mark.parametrize("key", ["listen", "http_listen"])
def test_port_in_use_is_told(directory: Path, key: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = "http_listen" if key == "listen" else "listen"
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = configure(
            directory, f'[server]\n{key} = "{address}"\n{other} = "127.0.0.1:0"\nworkers = 1\n' + POLICY
        )
        outcome = start(config)
    assert outcome.returncode == 3
    assert f"server.{key}" in outcome.stderr and address in outcome.stderr
    assert "Traceback" not in outcome.stderr


def start(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ICAPD, "--config", config, "serve"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
