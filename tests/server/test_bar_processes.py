"""The lines of the conformance bar that only whole processes show: memory, workers, overload, records."""

import itertools
import re
from pathlib import Path

import pytest
from support import wire
from support.icapd import Server, ask, serving
from support.policies import KEY, demo_policy

from icapd.conformance import Target
from icapd.conformance.conversation import Conversation

MiB = 1 << 20
SERVER = '[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\n'
POLICY = '[policy]\ndirectory = "rules"\n'
JSON = b'{"key": "%b"}' % KEY
CREDENTIALS = "c2VjcmV0OnBhc3N3b3Jk"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    demo_policy(tmp_path / "rules")
    # Here size alone is no reason to block.
    rules = tmp_path / "rules" / "demo.toml"
    rules.write_text(rules.read_text().replace("max_size = 100_000", "max_size = 10_000_000_000"))
    return tmp_path


def respmod(body: bytes) -> bytes:
    return wire.respmod(wire.OK, wire.chunked(body, ieof=True), Preview="1024")


def resident_bytes(server: Server) -> int:
    """Of the server's processes together."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue  # it has ended meanwhile
        own = re.search(rf"^(Pid|PPid):\t{server.process.pid}$", text, re.MULTILINE)
        size = re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)
        total += int(size[1]) * 1024 if own and size else 0
    return total


@pytest.mark.slow
@pytest.mark.parametrize("content_type", [b"image/png", b"text/plain"], ids=["echoed", "inspected"])
def test_memory_is_flat_whatever_the_size_of_a_body(directory: Path, content_type: bytes) -> None:
    """Line 29."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n" % content_type
    piece = wire.chunked(b"lorem ipsum dolor sit amet " * 2000)[:-5]
    pieces = 128 * MiB // len(piece)
    with serving(directory, SERVER + POLICY) as server:
        target = Target.parse(f"icap://127.0.0.1:{server.port}")

        def carry(count: int) -> int:
            with Conversation(target, 30) as conversation:
                body = itertools.chain(itertools.repeat(piece, count), [b"0\r\n\r\n"])
                conversation.send_along(itertools.chain([wire.respmod(head, b"")], body))
                reply = conversation.reply()
                assert reply.body is not None
                return reply.body.length

        carry(100)
        before = resident_bytes(server)
        assert carry(pieces) == pieces * (len(piece) - len(b"d2f0\r\n\r\n"))
        assert resident_bytes(server) - before < 32 * MiB


def test_workers_have_one_istag_and_one_trail(directory: Path) -> None:
    """Line 49."""
    with serving(directory, SERVER + "workers = 2\n" + POLICY) as server:
        connections = [server.connect() for _ in range(16)]
        replies = [ask(connection, respmod(JSON)) for connection in connections]
        for connection in connections:
            connection.close()
        assert all(b"KEY-[REDACTED]" in reply for reply in replies)
        assert len({re.search(rb"ISTag: .*\r\n", reply)[0] for reply in replies}) == 1  # type: ignore[index]
        assert len(server.rows()) == len(replies)


@pytest.mark.parametrize("mode", ["open", "closed"])
def test_overload_is_no_error_but_the_fail_mode(directory: Path, mode: str) -> None:
    """Line 71."""
    text = SERVER + f'max_connections = 1\n{POLICY}[services]\nrespmod_fail_mode = "{mode}"\n'
    with serving(directory, text) as server, server.connect() as first, server.connect() as second:
        assert b"KEY-[REDACTED]" in ask(first, respmod(JSON))
        reply = ask(second, respmod(JSON))
        assert reply.startswith(b"ICAP/1.0 204" if mode == "open" else b"ICAP/1.0 200")
        assert mode == "open" or b"HTTP/1.1 403 " in reply
        # It must not stay in the client's pool when there is room again.
        assert b"\r\nConnection: close\r\n" in reply
        assert second.recv(1) == b""
        with server.connect() as third:
            # OPTIONS tell as they always do.
            assert ask(third, wire.options()).startswith(b"ICAP/1.0 200")
        reasons = sorted(str(row["skip_reason"]) for row in server.rows())
        assert reasons == ["None", "overload"]


def test_proxy_credentials_are_at_rest_nowhere(directory: Path) -> None:
    """Line 77: Squid copies them into the ICAP head (ModXact.cc)."""
    line = f"Basic {CREDENTIALS}"
    http = b"GET http://h/ HTTP/1.1\r\nHost: h\r\nProxy-Authorization: %b\r\n\r\n" % line.encode()
    fields = {"Proxy-Authorization": line, "Proxy-Authenticate": f"Basic realm={CREDENTIALS}"}
    with serving(directory, SERVER + POLICY) as server, server.connect() as connection:
        assert ask(connection, wire.reqmod(http, Allow="204", **fields)).startswith(b"ICAP/1.0 204")
        broken = wire.reqmod(http, **fields).replace(b"null-body", b"nobody")
        assert ask(connection, broken).startswith(b"ICAP/1.0 400")
        assert len(server.rows()) == 1
        assert server.stop() == 0
        for file in directory.rglob("*"):
            assert not file.is_file() or CREDENTIALS.encode() not in file.read_bytes()
        assert CREDENTIALS not in server.log
