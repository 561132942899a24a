"""`icapd serve` and those who connect to it: by TLS, by a Unix socket, from a network that may or may not."""

import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from support import wire
from support.icapd import ICAPD, PATIENCE, Server, ask, configure, serving
from support.places import free_port

from icapd.audit import search

pytestmark = pytest.mark.usefixtures("engine")

HOST = "icap.example"
ENGINES = ["asyncio", "pyicap"]
PLAIN = '[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\n'


def write_certificate(file: Path, ca: trustme.CA) -> None:
    """Put a new certificate with its key in the place of the file."""
    leaf = ca.issue_cert(HOST, key_type=trustme.KeyType.ECDSA)
    new = file.with_suffix(".new")
    new.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
    new.chmod(0o600)
    new.replace(file)


@contextmanager
def serving_tls(
    directory: Path, ca: trustme.CA, server: str = "", tls: str = ""
) -> Iterator[tuple[Server, int]]:
    """A server with a plain and a TLS port; the latter's number is returned with it."""
    port = free_port()
    write_certificate(directory / "icapd.pem", ca)
    (directory / "clients.pem").write_bytes(ca.cert_pem.bytes())
    server += f'workers = 1\nlisten_tls = "127.0.0.1:{port}"\n'
    text = f'{PLAIN}{server}[tls]\ncertificate = "icapd.pem"\n{tls}'
    with serving(directory, text) as running:
        yield running, port


def client_context(ca: trustme.CA, client_ca: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if client_ca is not None:
        client_ca.issue_cert("squid.example", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


def connect_tls(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE)
    return context.wrap_socket(connection, server_hostname=HOST)


def assert_serves(connection: socket.socket) -> None:
    assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")


def assert_closed(connection: socket.socket) -> None:
    """Closed without a byte; a reset is as good."""
    with suppress(ConnectionResetError):
        assert connection.recv(100) == b""


@pytest.mark.parametrize("engine", ENGINES)
def test_icaps_with_a_client_certificate(tmp_path: Path, ca: trustme.CA, engine: str) -> None:
    with serving_tls(tmp_path, ca, f'engine = "{engine}"\n', 'client_ca = "clients.pem"\n') as (server, port):
        with connect_tls(port, client_context(ca, ca)) as connection:
            assert_serves(connection)
            answer = ask(connection, wire.reqmod(Allow="204"))
            assert answer.startswith(b"ICAP/1.0 204")
        with server.connect() as connection:
            assert_serves(connection)
        # In TLS 1.3 the client learns of it behind its handshake.
        with suppress(OSError), connect_tls(port, client_context(ca)) as connection:
            assert_closed(connection)
        server.wait_for_log("event=tls-handshake-failed address=127.0.0.1 .*showed no certificate")
        assert server.stop() == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_large_body_travels_through_tls(tmp_path: Path, ca: trustme.CA, engine: str) -> None:
    # No more than the sockets take: nothing is read until all of it is sent.
    body = os.urandom(1 << 19).hex().encode()
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
    with (
        serving_tls(tmp_path, ca, f'engine = "{engine}"\n') as (_, port),
        connect_tls(port, client_context(ca)) as connection,
    ):
        pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)]
        connection.settimeout(PATIENCE)
        with connection.makefile("rwb") as stream:
            # No Allow: the whole body comes back.
            connection.sendall(wire.respmod(http, wire.chunked(*pieces)))
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += stream.readline()
            assert head.startswith(b"ICAP/1.0 200")
            while stream.readline() != b"\r\n":
                pass
            received = b""
            while size := int(stream.readline(), 16):
                received += stream.read(size)
                stream.readline()
        assert received == body


def test_renewed_certificate_is_taken_while_an_old_connection_goes_on(tmp_path: Path, ca: trustme.CA) -> None:
    with serving_tls(tmp_path, ca) as (server, port), connect_tls(port, client_context(ca)) as old:
        assert_serves(old)
        first = old.getpeercert(binary_form=True)
        write_certificate(tmp_path / "icapd.pem", ca)
        seen = first
        while seen == first:
            with connect_tls(port, client_context(ca)) as new:
                assert_serves(new)
                seen = new.getpeercert(binary_form=True)
        assert_serves(old)
        server.wait_for_log(f"event=tls-reloaded certificate={re.escape(str(tmp_path))}/icapd.pem")


def test_broken_replacement_is_told_and_changes_nothing(tmp_path: Path, ca: trustme.CA) -> None:
    with serving_tls(tmp_path, ca) as (server, port):
        (tmp_path / "icapd.pem").write_text("broken")
        told = False
        while not told:
            with connect_tls(port, client_context(ca)) as connection:
                assert_serves(connection)
            told = "event=tls-reload-refused" in server.log
        assert f"tls.certificate: {tmp_path}/icapd.pem: holds no certificate" in server.log


@pytest.mark.parametrize("engine", ENGINES)
def test_handshake_that_does_not_come_ends_in_time(tmp_path: Path, ca: trustme.CA, engine: str) -> None:
    with serving_tls(tmp_path, ca, f'engine = "{engine}"\nfirst_byte_timeout = 0.5\n') as (server, port):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            assert_closed(connection)
        server.wait_for_log("event=tls-handshake-failed address=127.0.0.1 .*took too long")


def test_plain_icap_on_the_tls_port_is_told(tmp_path: Path, ca: trustme.CA) -> None:
    with serving_tls(tmp_path, ca) as (server, port):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.sendall(wire.options())
            # An alert may come first.
            with suppress(ConnectionResetError):
                while connection.recv(100):
                    pass
        server.wait_for_log("event=tls-handshake-failed .*icap://")


def test_certificate_that_is_missing_ends_serve_with_its_name(tmp_path: Path) -> None:
    config = configure(
        tmp_path,
        f'{PLAIN}listen_tls = "127.0.0.1:0"\n[tls]\ncertificate = "gone.pem"\n',
    )
    ended = subprocess.run(
        [ICAPD, "--config", config, "serve"], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert ended.returncode == 3
    assert f"tls.certificate: {tmp_path}/gone.pem: can't be read" in ended.stderr


def test_icap_over_a_unix_socket(tmp_path: Path) -> None:
    # Longer than sun_path: test directories are, and so are those of some sites.
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    text = f'{PLAIN}listen_unix = "{deep}/icap.sock"\nallow_from = []\n'
    with serving(tmp_path, text) as server:
        directory = os.open(deep, os.O_PATH)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(f"/proc/self/fd/{directory}/icap.sock")
            os.close(directory)
            assert_serves(connection)
            request = wire.reqmod(**{"Allow": "204", "X-Client-IP": "192.0.2.7", "X-Client-Username": "YW5u"})
            assert ask(connection, request).startswith(b"ICAP/1.0 204")
        with server.connect() as refused:
            assert_closed(refused)
        assert server.stop() == 0
        assert rows(server) == [("192.0.2.7", "ann", [])]


def test_networks_decide_who_may_connect_and_who_is_believed(tmp_path: Path) -> None:
    text = f'{PLAIN}allow_from = ["127.0.0.1", "127.0.0.3"]\ntrust_identity_from = ["127.0.0.1"]\n'
    claim = wire.reqmod(**{"Allow": "204", "X-Client-IP": "192.0.2.7", "X-Client-Username": "ann"})
    with serving(tmp_path, text) as server:
        for source in ("127.0.0.1", "127.0.0.3"):
            with connect_from(source, server.port) as connection:
                assert ask(connection, claim).startswith(b"ICAP/1.0 204")
        with connect_from("127.0.0.3", server.port) as connection:
            assert ask(connection, wire.reqmod(Allow="204")).startswith(b"ICAP/1.0 204")
        for _ in range(3):
            with connect_from("127.0.0.2", server.port) as refused:
                assert_closed(refused)
        assert server.stop() == 0
    assert rows(server) == [
        ("192.0.2.7", "ann", []),
        ("127.0.0.3", None, ["icapd.untrusted-identity"]),
        ("127.0.0.3", None, []),
    ]
    refusals = [line for line in server.lines if "event=connection-refused" in line]
    assert len(refusals) == 1
    assert "address=127.0.0.2 reason=network" in refusals[0]
    assert "allow_from" in refusals[0]


def connect_from(source: str, port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))


def rows(server: Server) -> list[tuple[str | None, str | None, list[str]]]:
    """Who is in the audit rows, and what was found, the oldest first."""
    found = search.search(f"sqlite:///{server.database}", search.Filters())
    return [
        (record.client_ip, record.client_user, [finding.rule_id for finding in record.findings])
        for record in reversed(list(found))
    ]
