"""Forwarding to real servers: each record at least once, whatever the receiver does."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from audit_records import FINDING, NOON, make_record
from support.trail import Trail

from icapd.audit.export import LineFormat, lines_in
from icapd.audit.forwarding.forwarder import Cursor, Forwarder
from icapd.audit.forwarding.receivers import Receiver, receiver_for, shown
from icapd.audit.search import Filters
from icapd.errors import ConfigurationError, UnreachableError

PATIENCE = 20.0
HOSTILE = "a\n<1>1 - - forged - - -\r\x00\u2028|=\\"


class SyslogServer:
    """Takes connections one after the other, and reads frames when it is asked to."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context = context
        self.port = self._listener.getsockname()[1]
        self.frames: list[str] = []
        self._arrived = threading.Condition()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            self._connections.append(connection)
            with connection, connection.makefile("rb") as file:
                while size := self._size(file):
                    with self._arrived:
                        self.frames.append(file.read(size).decode())
                        self._arrived.notify_all()

    def _size(self, file: object) -> int:
        digits = b""
        try:
            while (byte := file.read(1)) not in (b"", b" "):  # type: ignore[attr-defined]
                digits += byte
        except OSError:
            return 0
        return int(digits or b"0")

    def wait_for(self, count: int) -> list[str]:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.frames) >= count, PATIENCE), len(self.frames)
            return list(self.frames)

    def hang_up(self) -> None:
        for connection in self._connections:
            connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        # Wakes the thread that waits for a connection, without which it would get one more.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Hook:
    """A webhook: answers with `status`, and keeps what it got."""

    def __init__(self) -> None:
        hook = self
        self.status = 200
        self.bodies: list[str] = []
        self.heads: list[dict[str, str]] = []
        self.paths: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                hook.paths.append(self.path)
                hook.heads.append(dict(self.headers))
                hook.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/take?x=1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def taken(self) -> list[str]:
        return [line for body in self.bodies for line in body.splitlines()]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def trail(empty_url: str, tmp_path: Path) -> Trail:
    return Trail.make(tmp_path, empty_url)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with closing(Hook()) as hook:
        yield hook


@pytest.fixture
def syslog() -> Iterator[SyslogServer]:
    with closing(SyslogServer()) as server:
        yield server


#: What a test opened, to be closed behind it.
OPENED = ExitStack()


@pytest.fixture(autouse=True)
def closed_behind() -> Iterator[None]:
    with OPENED:
        yield


def opened(url: str, **options: str) -> Receiver:
    return OPENED.enter_context(closing(receiver_for(url, **options)))


def forwarder(
    trail: Trail,
    receiver: Receiver,
    cursor: Cursor,
    format_: LineFormat = "jsonl",
    filters: Filters | None = None,
) -> Forwarder:
    return Forwarder(trail.url, filters or Filters(), lines_in(format_), receiver, cursor)


def all_of(one: Forwarder) -> int:
    count = 0
    while sent := one.round():
        count += sent
    return count


def ids(lines: list[str]) -> list[str]:
    return [json.loads(line)["event_id"] for line in lines]


def test_a_webhook_gets_each_record_once_while_all_goes_well(
    trail: Trail, hook: Hook, tmp_path: Path
) -> None:
    records = [
        make_record(occurred_at=NOON + number, findings=(FINDING,) * (number % 3)) for number in range(500)
    ]
    late = make_record(occurred_at=NOON - 400 * 86_400_000_000)
    with trail.writer() as writer:
        for record in records:
            writer.write(record)
        trail.ship()
        with closing(Cursor(tmp_path / "cursor")) as cursor:
            receiver = opened(hook.url, token="of the hook")
            assert all_of(forwarder(trail, receiver, cursor)) == 500
            assert ids(hook.taken()) == [record.event_id for record in records]
            assert all_of(forwarder(trail, receiver, cursor)) == 0
        writer.write(late)
        trail.ship()
    # By another process, which knows the place from the file.
    with closing(Cursor(tmp_path / "cursor")) as cursor:
        assert all_of(forwarder(trail, opened(hook.url), cursor)) == 1
    assert ids(hook.taken())[500:] == [late.event_id]
    assert len(hook.bodies) == 4
    assert set(hook.paths) == {"/take?x=1"}
    assert hook.heads[0]["Authorization"] == "Bearer of the hook"
    assert "Authorization" not in hook.heads[-1]


@pytest.mark.parametrize("status", [302, 400, 503])
def test_what_a_webhook_does_not_take_comes_again(
    trail: Trail, hook: Hook, tmp_path: Path, status: int
) -> None:
    records = [make_record() for _ in range(3)]
    trail.write(*records)
    trail.ship()
    hook.status = status
    with closing(Cursor(tmp_path / "cursor")) as cursor:
        one = forwarder(trail, opened(hook.url), cursor)
        for _ in range(2):
            with pytest.raises(UnreachableError, match=f"answered {status}"):
                one.round()
        hook.status = 204
        assert all_of(one) == 3
    assert ids(hook.taken()) == [record.event_id for record in records] * 3


def test_filters_hold_and_what_does_not_match_is_not_looked_at_again(
    trail: Trail, hook: Hook, tmp_path: Path
) -> None:
    wanted = make_record(client_user="bob")
    trail.write(make_record(), wanted, make_record())
    trail.ship()
    with closing(Cursor(tmp_path / "cursor")) as cursor:
        assert all_of(forwarder(trail, opened(hook.url), cursor, filters=Filters(user="bob"))) == 1
    assert ids(hook.taken()) == [wanted.event_id]
    # start, three records, stop.
    assert list(json.loads((tmp_path / "cursor").read_text()).values()) == [5]


def test_syslog_gets_one_message_of_rfc_5424_for_each_line(
    trail: Trail, syslog: SyslogServer, tmp_path: Path
) -> None:
    trail.write(make_record(client_user=HOSTILE, path=HOSTILE), make_record(findings=(FINDING, FINDING)))
    trail.ship()
    receiver = receiver_for(f"syslog+tcp://127.0.0.1:{syslog.port}")
    with closing(receiver), closing(Cursor(tmp_path / "cursor")) as cursor:
        assert all_of(forwarder(trail, receiver, cursor, "cef")) == 2
    frames = syslog.wait_for(3)
    assert len(frames) == 3
    for frame in frames:
        assert frame.isprintable()
        priority, time, node, name, writer, kind, structure, text = frame.split(" ", 7)
        assert (priority, time) == ("<109>1", "2026-05-17T10:00:00.000000Z")
        assert (node, name, kind, structure) == (socket.gethostname(), "icapd", "audit", "-")
        assert writer.isdecimal()
        assert text.startswith("CEF:0|icapd|icapd|")


def test_when_syslog_hangs_up_the_last_batch_is_sent_again(
    trail: Trail, syslog: SyslogServer, tmp_path: Path
) -> None:
    first, second = make_record(), make_record()
    receiver = receiver_for(f"syslog+tcp://127.0.0.1:{syslog.port}")
    with closing(receiver), closing(Cursor(tmp_path / "cursor")) as cursor, trail.writer() as writer:
        one = forwarder(trail, receiver, cursor)
        writer.write(first)
        trail.ship()
        assert all_of(one) == 1
        syslog.wait_for(1)
        syslog.hang_up()
        writer.write(second)
        trail.ship()
        assert all_of(one) == 1
        frames = syslog.wait_for(3)
    told = ids([frame.split(" ", 7)[7] for frame in frames])
    assert told == [first.event_id, first.event_id, second.event_id]


def test_syslog_that_is_away_moves_nothing(trail: Trail, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    trail.write(make_record())
    trail.ship()
    with closing(Cursor(tmp_path / "cursor")) as cursor:
        one = forwarder(trail, opened(f"syslog+tcp://127.0.0.1:{port}"), cursor)
        with pytest.raises(UnreachableError, match=rf"127.0.0.1:{port}: "):
            one.round()
    assert not (tmp_path / "cursor").exists()


def test_syslog_over_tls_is_trusted_by_its_certificate_only(sqlite_url: str, tmp_path: Path) -> None:
    trail = Trail(tmp_path / "outbox", sqlite_url)
    trail.outbox.mkdir()
    trail.write(make_record())
    trail.ship()
    authority, other = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with closing(SyslogServer(context)) as server, closing(Cursor(tmp_path / "cursor")) as cursor:
        url = f"syslog+tls://127.0.0.1:{server.port}"
        for ca_file in (None, str(tmp_path / "other.pem")):
            with pytest.raises(UnreachableError, match="certificate verify failed"):
                forwarder(
                    trail, opened(url, **({} if ca_file is None else {"ca_file": ca_file})), cursor
                ).round()
        with closing(receiver_for(url, ca_file=str(tmp_path / "ca.pem"))) as receiver:
            assert all_of(forwarder(trail, receiver, cursor)) == 1
            assert len(server.wait_for(1)) == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "siem.example.com",
        "udp://siem.example.com:514",
        "https://",
        "https://user:password@siem.example.com/",
        "syslog+tcp://siem.example.com:x",
        "https://siem.example.com/pass word",
        "https://siem.example.com/p\xe4ssword",
    ],
)
def test_what_is_no_place_is_told_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="no place to forward to; write") as caught:
        receiver_for(url)
    assert "password" not in str(caught.value)
    assert "pass word" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "hush\nhush", "hush\r", "h\xfcsh", "hush\0"])
def test_a_token_that_fits_no_header_is_not_shown(token: str) -> None:
    with pytest.raises(ConfigurationError, match="the token is no single line of ASCII; ") as caught:
        receiver_for("https://siem.example.com/", token=token)
    assert "sh" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://siem.example.com/hush?key=hush#hush", "https://siem.example.com"),
        ("http://hush:hush@[::1]:8080/hush", "http://[::1]:8080"),
        ("syslog+tls://siem.example.com:6514", "syslog+tls://siem.example.com:6514"),
    ],
)
def test_what_is_shown_of_an_address_is_no_secret(url: str, place: str) -> None:
    assert shown(url) == place


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"ca.pem: is no file of certificates"):
        receiver_for("https://siem.example.com/", ca_file=str(tmp_path / "ca.pem"))


@pytest.mark.parametrize("content", ["", "[1]", '{"a": 1}', '{"1": null}', "\0"])
def test_a_broken_cursor_is_named_and_stays(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cursor"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="cursor: is no cursor; restore it, or move it away"):
        Cursor(path)
    assert path.read_text() == content


def test_a_cursor_has_one_forwarder(tmp_path: Path) -> None:
    with (
        closing(Cursor(tmp_path / "cursor")),
        pytest.raises(ConfigurationError, match="another forwarder uses this cursor"),
    ):
        Cursor(tmp_path / "cursor")
    with closing(Cursor(tmp_path / "cursor")):
        pass
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        Cursor(tmp_path / "none" / "cursor")
