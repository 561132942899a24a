"""icapd's services beside a site's own pyicap services, on the same connections of the site's server."""

import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support import wire
from support.icapd import PATIENCE, ask, read_reply, until
from support.policies import KEY, RULES, SECRET, demo_policy
from support.site import SiteHandler, site

from icapd.audit import migrations
from icapd.errors import ConfigurationError, PolicyError
from icapd.server.pyicap_engine.compat import BaseICAPRequestHandler
from icapd.server.pyicap_engine.handler import IcapdRequestHandler
from icapd.server.pyicap_engine.mount import Icapd

TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


def ours(body: bytes, **headers: str) -> bytes:
    return wire.respmod(TEXT, wire.chunked(body), **headers)


MANUAL = Path(__file__).parent.parent.parent / "docs" / "pyicap.md"


def theirs(service: str, chunks: bytes | None, **headers: str) -> bytes:
    return wire.respmod(TEXT, chunks, path=f"/{service}", **headers)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    demo_policy(tmp_path / "rules")
    return tmp_path


def config_of(directory: Path, server: str = "") -> Path:
    text = f'[server]\n{server}\n[policy]\ndirectory = "rules"\n[limits]\nmax_drain = 100_000\n'
    config = directory / "icapd.toml"
    config.write_text(text)
    migrations.upgrade(f"sqlite:///{directory / 'icapd.db'}")
    return config


@pytest.fixture
def icapd(directory: Path) -> Iterator[Icapd]:
    with Icapd.open(config_of(directory)) as icapd:
        yield icapd


@pytest.fixture
def connection(icapd: Icapd) -> Iterator[socket.socket]:
    with site(icapd) as address, socket.create_connection(address, PATIENCE) as connection:
        yield connection


def body_of(reply: bytes) -> bytes:
    head, _, rest = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"ICAP/1.0 200"), reply
    return wire.dechunked(rest.partition(b"\r\n\r\n")[2])[0]


def test_requests_of_both_kinds_take_turns_on_one_connection(icapd: Icapd, connection: socket.socket) -> None:
    for number in range(3):
        assert body_of(ask(connection, theirs("shout", wire.chunked(b"abc%d" % number)))) == b"ABC%d" % number
        assert body_of(ask(connection, ours(KEY + b" %d" % number))) == b"KEY-[REDACTED] %d" % number
        assert ask(connection, wire.options("/shout")).startswith(b"ICAP/1.0 200")
        assert b"icapd ResponseFilter" in ask(connection, wire.options("/respmod"))
        assert ask(connection, wire.options("/nowhere")).startswith(b"ICAP/1.0 404")
    assert icapd.context.catalogue().policy.istag.encode() in ask(connection, wire.options("/stream"))


def exchange(random_source: random.Random, number: int) -> tuple[bytes, bytes | None]:
    """One request without a pause in it, and the body of its answer; None: a 204."""
    word = b"w%d-" % number + b"x" * random_source.choice((0, 1, 10, 3000))
    cuts = random_source.choice(((), (1,), (2, 3)))
    pieces = list(wire.pieces(word, cuts))
    match random_source.randrange(6):
        case 0:
            return ours(word + b" " + KEY), word + b" KEY-[REDACTED]"
        case 1:
            return wire.respmod(TEXT, wire.chunked(word, ieof=True), Preview="4096"), None
        case 2:
            return theirs("shout", wire.chunked(*pieces)), word.upper()
        case 3:
            return theirs("shout", wire.chunked(*pieces, ieof=True), Preview="4096"), word.upper()
        case 4:
            return theirs("lazy", wire.chunked(*pieces), Allow="204"), None
        case _:
            trailers = wire.chunked(word)[:-2] + b"X-Sum: 1\r\n\r\n"
            return theirs("pass", trailers, Allow="204"), None


@pytest.mark.parametrize("seed", range(12))
def test_pipelined_requests_in_any_order_and_any_pieces_are_each_answered_in_turn(
    connection: socket.socket, seed: int
) -> None:
    random_source = random.Random(seed)
    exchanges = [exchange(random_source, number) for number in range(40)]
    data = b"".join(request for request, _ in exchanges)
    sizes = [random_source.choice((1, 2, 17, 300, 5000)) for _ in range(len(data))]

    def send() -> None:
        for piece in wire.pieces(data, sizes if seed else ()):
            connection.sendall(piece)

    sender = threading.Thread(target=send)
    sender.start()
    for _, body in exchanges:
        reply = read_reply(connection)
        if body is None:
            assert reply.startswith(b"ICAP/1.0 204"), reply
        else:
            assert body_of(reply) == body
    sender.join()


def test_preview_of_a_site_goes_on_after_100_continue_with_the_next_request_behind_it(
    connection: socket.socket,
) -> None:
    reply = ask(connection, theirs("shout", wire.chunked(b"begin "), Preview="6"))
    assert reply == b"ICAP/1.0 100 Continue\r\n\r\n"
    connection.sendall(wire.chunked(b"end") + ours(KEY))
    assert body_of(read_reply(connection)) == b"BEGIN END"
    assert body_of(read_reply(connection)) == b"KEY-[REDACTED]"


def test_preview_of_ours_goes_on_with_a_site_s_request_behind_it(connection: socket.socket) -> None:
    assert ask(connection, wire.respmod(TEXT, wire.chunked(b"KEY-"), Preview="4")).startswith(b"ICAP/1.0 100")
    connection.sendall(wire.chunked(SECRET) + theirs("shout", wire.chunked(b"abc")))
    assert body_of(read_reply(connection)) == b"KEY-[REDACTED]"
    assert body_of(read_reply(connection)) == b"ABC"


def test_site_that_reads_its_body_by_hand(connection: socket.socket) -> None:
    connection.sendall(theirs("lines", wire.chunked(b"abcde")) + ours(KEY))
    assert b"X-Size: 5" in read_reply(connection)
    assert body_of(read_reply(connection)) == b"KEY-[REDACTED]"


FAULTS = [
    pytest.param("raises", b"ICAP/1.0 500", id="raises"),
    pytest.param("mute", b"ICAP/1.0 500", id="does not answer"),
    pytest.param("half", b"ICAP/1.0 200", id="breaks in its answer"),
    pytest.param("refuses", b"ICAP/1.0 404", id="refuses"),
]


@pytest.mark.parametrize(("service", "status"), FAULTS)
def test_faulty_service_ends_its_connection_and_no_other(icapd: Icapd, service: str, status: bytes) -> None:
    with site(icapd) as address, socket.create_connection(address, PATIENCE) as good:
        ask(good, ours(KEY))
        with capture_logs() as logs, socket.create_connection(address, PATIENCE) as bad:
            # The next request is there already: no answer may be taken for its answer.
            bad.sendall(theirs(service, wire.chunked(b"abc")) + ours(KEY))
            reply = b"".join(iter(lambda: bad.recv(4096), b""))
            assert reply.startswith(status)
            assert b"REDACTED" not in reply
        assert body_of(ask(good, ours(KEY))) == b"KEY-[REDACTED]"
    failures = [line for line in logs if line["event"] == "site-service-failed"]
    assert len(failures) == (service in {"raises", "half"})
    for line in failures:
        assert line["error"] == "RuntimeError" and line["place"].startswith("site.py:")
        assert "of the body" not in str(line)


BROKEN = [
    pytest.param(b"Encapsulated: res-body\r\n", wire.chunked(b""), b"400", id="malformed Encapsulated"),
    pytest.param(b"no colon\r\nEncapsulated: res-body=0\r\n", b"", b"400", id="malformed header"),
    pytest.param(b"Encapsulated: res-body=0\r\n", b"-1\r\nabc\r\n", b"400", id="negative chunk size"),
    pytest.param(b"Encapsulated: res-body=0\r\n", b"-2\r\nabc\r\n", b"400", id="more negative chunk size"),
    pytest.param(b"Encapsulated: res-body=0\r\n", b"5\r\nabcdefg\r\n", b"400", id="lying chunk size"),
    pytest.param(b"X: " + b"x" * 500_000, b"", b"400", id="head without end"),
]


@pytest.mark.parametrize(("headers", "body", "status"), BROKEN)
def test_broken_request_to_a_site_is_answered_and_ends_the_connection(
    connection: socket.socket, headers: bytes, body: bytes, status: bytes
) -> None:
    head = b"RESPMOD icap://h/pass ICAP/1.0\r\nHost: h\r\nAllow: 204\r\n%b\r\n" % headers
    connection.sendall(head + body)
    assert read_reply(connection).startswith(b"ICAP/1.0 " + status)
    assert connection.recv(1) == b""


def test_body_that_breaks_off_is_not_taken_for_whole(connection: socket.socket) -> None:
    connection.sendall(theirs("shout", b"3\r\nabc\r\n"))
    connection.shutdown(socket.SHUT_WR)
    reply = read_reply(connection)
    assert b"ABC" not in reply and reply.startswith(b"ICAP/1.0 400")


def test_more_left_of_a_body_than_is_drained_ends_the_connection(connection: socket.socket) -> None:
    connection.sendall(theirs("lazy", b"30000\r\n" + b"x" * 0x30000 + b"\r\n0\r\n\r\n", Allow="204"))
    assert read_reply(connection).startswith(b"ICAP/1.0 204")
    assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("key", "data", "answer"),
    [
        pytest.param("first_byte_timeout", b"", b"", id="first byte"),
        pytest.param("idle_timeout", wire.options("/shout"), b"ICAP/1.0 200", id="idle"),
        pytest.param("head_timeout", b"RESPMOD icap://h/sh", b"ICAP/1.0 408", id="request line"),
        pytest.param("head_timeout", b"RESPMOD icap://h/shout ICAP/1.0\r\nA", b"ICAP/1.0 408", id="head"),
        pytest.param("stall_timeout", theirs("shout", b"3\r\nab"), b"ICAP/1.0 408", id="body"),
        pytest.param("drain_timeout", theirs("lazy", b"3\r\nab", Allow="204"), b"ICAP/1.0 204", id="drain"),
    ],
)
def test_silent_client_of_a_site_is_let_go(directory: Path, key: str, data: bytes, answer: bytes) -> None:
    with (
        Icapd.open(config_of(directory, f"{key} = 0.2")) as icapd,
        site(icapd) as address,
        socket.create_connection(address, PATIENCE) as connection,
    ):
        connection.sendall(data)
        assert read_reply(connection).startswith(answer)
        assert connection.recv(1) == b""


def test_close_lets_requests_under_way_end_and_ends_the_idle(directory: Path) -> None:
    icapd = Icapd.open(config_of(directory))
    with site(icapd) as address:
        idle, busy = (socket.create_connection(address, PATIENCE) for _ in range(2))
        with idle, busy:
            ask(idle, wire.options("/shout"))
            assert ask(busy, wire.respmod(TEXT, wire.chunked(b"KEY-"), Preview="4")).startswith(
                b"ICAP/1.0 100"
            )
            closer = threading.Thread(target=icapd.close)
            closer.start()
            assert idle.recv(1) == b""
            reply = ask(busy, wire.chunked(SECRET))
            assert b"KEY-[REDACTED]" in reply
            assert b"Connection: close" in reply
            assert busy.recv(1) == b""
            closer.join()
    icapd.close()


def test_close_cuts_what_does_not_end_and_records_it(directory: Path) -> None:
    with (
        Icapd.open(config_of(directory, "shutdown_timeout = 0.1")) as icapd,
        site(icapd) as address,
        socket.create_connection(address, PATIENCE) as connection,
    ):
        ask(connection, wire.respmod(TEXT, wire.chunked(b"KEY-"), Preview="4"))
        icapd.close()
        assert connection.recv(1) == b""
    # Shipped before `close` returned.
    with closing(sqlite3.connect(directory / "icapd.db")) as database:
        assert database.execute("SELECT skip_reason FROM audit_event").fetchall() == [("server-stopped",)]
        assert database.execute("SELECT role FROM audit_writer").fetchall() == [("worker",)]


def test_what_is_counted_gets_to_the_trail_without_another_message(icapd: Icapd, directory: Path) -> None:
    icapd._audit._omitted._interval = 0.0
    icapd._audit.count_omitted("some-scope")
    with closing(sqlite3.connect(directory / "icapd.db")) as database:
        query = "SELECT detail FROM audit_admin WHERE action = 'not-recorded'"
        until(lambda: "some-scope" in str(database.execute(query).fetchall()))


def test_client_from_elsewhere_gets_nothing(directory: Path) -> None:
    with (
        Icapd.open(config_of(directory, 'allow_from = ["192.0.2.0/24"]')) as icapd,
        site(icapd) as address,
        capture_logs() as logs,
        socket.create_connection(address, PATIENCE) as connection,
    ):
        assert connection.recv(1) == b""
    assert [line["event"] for line in logs] == ["connection-refused"]


def test_reload_takes_changed_rules_and_keeps_the_old_ones_of_a_broken_file(
    directory: Path, icapd: Icapd, connection: socket.socket
) -> None:
    rules = directory / "rules" / "demo.toml"
    rules.write_text(RULES.replace("severity = ", "severty = ", 1))
    with pytest.raises(PolicyError, match="severty"):
        icapd.reload()
    assert body_of(ask(connection, ours(KEY))) == b"KEY-[REDACTED]"
    rules.write_text(RULES.replace("KEY-", "TOKEN-"))
    assert icapd.reload().encode() in ask(connection, wire.options())
    assert body_of(ask(connection, ours(KEY))) == KEY


def test_handler_derived_from_ours_is_taken_as_it_is(icapd: Icapd) -> None:
    class Derived(IcapdRequestHandler):
        def own_OPTIONS(self) -> None:
            self.set_icap_response(200)
            self.set_icap_header(b"Encapsulated", b"null-body=0")
            self.send_headers(False)

    assert issubclass(icapd.mount(Derived), Derived)
    with site(icapd, Derived) as address, socket.create_connection(address, PATIENCE) as connection:
        assert ask(connection, wire.options("/own")).startswith(b"ICAP/1.0 200")
        assert body_of(ask(connection, ours(KEY))) == b"KEY-[REDACTED]"


def test_handler_that_could_not_work_is_refused(icapd: Icapd) -> None:
    class Shadowed(SiteHandler):
        def respmod_RESPMOD(self) -> None:
            """Never called."""

    class Handling(BaseICAPRequestHandler):
        def handle(self) -> None:
            """Never called."""

    for handler, problem in ((Shadowed, "respmod_RESPMOD"), (Handling, "handle")):
        with pytest.raises(ConfigurationError, match=f"{handler.__name__}.{problem} would never be called"):
            icapd.mount(handler)


def test_example_of_the_manual_runs(directory: Path) -> None:
    example = re.search(r"```python\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)
    assert example is not None
    program = directory / "site_server.py"
    program.write_text(example[1])
    command = [sys.executable, program, config_of(directory), "0"]
    rules = directory / "rules" / "demo.toml"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            ready = process.stdout.readline().split()
            with socket.create_connection(("127.0.0.1", int(ready[1])), PATIENCE) as connection:
                stamp = wire.reqmod(Allow="204").replace(b"/reqmod", b"/stamp")
                for _ in range(2):
                    assert b"\r\nX-Stamp: seen\r\n" in ask(connection, stamp)
                    assert body_of(ask(connection, ours(KEY))) == b"KEY-[REDACTED]"
                rules.write_text(RULES.replace("severity = ", "severty = ", 1))
                process.send_signal(signal.SIGHUP)
                # pyicap logs each request of the site's own services there as well.
                assert any("severty" in line for line in process.stderr)
                rules.write_text(RULES.replace("KEY-", "TOKEN-"))
                process.send_signal(signal.SIGHUP)
                while body_of(ask(connection, ours(KEY))) != KEY:
                    pass
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
