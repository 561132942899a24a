"""What `icapd serve` answers, with each engine: one server for all requests that leave it as it was."""

from collections.abc import Iterator

import pytest
from support import wire
from support.icapd import Server, ask, serving
from support.policies import demo_policy

RESPMOD = wire.respmod(wire.OK, wire.chunked(b"{}", ieof=True), Preview="1024")


@pytest.fixture(scope="module", params=["asyncio", "pyicap"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with each engine, which no test changes and whose rows none counts."""
    directory = tmp_path_factory.mktemp("icapd")
    (directory / "rules").mkdir()
    demo_policy(directory / "rules")
    engine = {"ICAPD_SERVER_ENGINE": request.param}
    with serving(directory, '[policy]\ndirectory = "rules"\n', environment=engine) as server:
        yield server


def test_options_tell_squid_what_it_needs(server: Server) -> None:
    with server.connect() as connection:
        for path, method, preview in [
            ("/reqmod", "REQMOD", 32768),
            ("/respmod", "RESPMOD", 32768),
            ("/stream", "RESPMOD", 0),
        ]:
            reply = ask(connection, wire.options(path)).decode()
            assert f"\r\nMethods: {method}\r\n" in reply
            assert f"\r\nPreview: {preview}\r\n" in reply
            for header in ("Transfer-Preview: *", "Allow: 204", "Max-Connections: 324", "Options-TTL: 600"):
                assert f"\r\n{header}\r\n" in reply
            assert "Encapsulated: null-body=0" in reply
            assert "\r\nDate: " in reply


def test_istag_is_the_same_everywhere(server: Server) -> None:
    with server.connect() as connection:
        replies = [ask(connection, data) for data in (wire.options(), RESPMOD, wire.options("/nowhere"))]
    tags = {line for reply in replies for line in reply.split(b"\r\n") if line.startswith(b"ISTag: ")}
    assert len(tags) == 1
    assert len(tags.pop().removeprefix(b"ISTag: ")) <= 34  # 32 characters and their quotes


WRONG = [
    pytest.param(wire.options("/nowhere"), b"404", id="unknown service"),
    pytest.param(wire.respmod(path="/reqmod"), b"405", id="RESPMOD to a REQMOD service"),
    pytest.param(
        wire.respmod(wire.OK, wire.chunked(b"abc"), path="/nowhere"),
        b"404",
        id="unknown service, with a body",
    ),
    pytest.param(b"FOOMOD icap://h/reqmod ICAP/1.0\r\nHost: h\r\n\r\n", b"501", id="unknown method"),
]


@pytest.mark.parametrize(("data", "status"), WRONG)
def test_wrong_request_is_answered_and_the_connection_goes_on(
    server: Server, data: bytes, status: bytes
) -> None:
    with server.connect() as connection:
        reply = ask(connection, data)
        assert reply.startswith(b"ICAP/1.0 " + status)
        assert b"X-Icapd-Error: " in reply
        assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"400"),
        (b"OPTIONS icap://h/x ICAP/2.0\r\nHost: h\r\n\r\n", b"505"),
    ],
)
def test_what_is_no_icap_is_answered_and_the_connection_ends(
    server: Server, data: bytes, status: bytes
) -> None:
    with server.connect() as connection:
        reply = ask(connection, data)
        assert reply.startswith(b"ICAP/1.0 " + status)
        assert b"Connection: close" in reply
        assert connection.recv(1) == b""
    assert "Traceback" not in server.log
