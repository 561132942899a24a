"""The kit's own side of a connection: what hostile servers cost it, and how URLs are taken apart."""

import itertools
import re
import socket
import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest

from icapd.conformance import Target
from icapd.conformance.check import Violation, printable
from icapd.conformance.conversation import Closed, Conversation, CutShort, Silence, Unreachable
from icapd.conformance.target import TargetError

HEAD = b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
PIECE = b"x" * 65536


@contextmanager
def sending(pieces: Iterable[bytes], host: str = "127.0.0.1") -> Iterator[Target]:
    """A server that sends these to whoever connects, and closes."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:

        def serve() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                for piece in pieces:
                    connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        shown = f"[{host}]" if ":" in host else host
        try:
            yield Target.parse(f"icap://{shown}:{listener.getsockname()[1]}/x")
        finally:
            thread.join()


HOSTILE = [
    pytest.param(itertools.repeat(PIECE), "without the end of a line or head", id="endless line"),
    pytest.param([b"\x16\x03\x01\x00\r\n\r\n"], "no ICAP status line", id="no ICAP"),
    pytest.param([b"ICAP/1.0 200 OK\r\n\r"], "in the middle of its answer", id="cut in its head"),
    pytest.param([], "without an answer", id="nothing"),
    pytest.param([HEAD, b"xyz\r\n"], "no chunk size", id="no chunk"),
    pytest.param([HEAD, b"3\r\nabcdef"], "longer than its size", id="long chunk"),
    pytest.param([HEAD, b"3\r\nab"], "in the middle", id="cut in a chunk"),
    pytest.param([HEAD, b"0" * 70000], "without the end of a line", id="endless size"),
    pytest.param(
        itertools.chain([HEAD, b"0\r\n"], itertools.repeat(b"A: b\r\n" * 1000)),
        "without an end",
        id="trailers",
    ),
    pytest.param(
        itertools.chain([HEAD], itertools.repeat(b"10000\r\n" + PIECE + b"\r\n")), "no end", id="endless body"
    ),
    pytest.param([b"ICAP/1.0 200 OK\r\nEncapsulated: x=\r\n\r\n"], "can't be read", id="no Encapsulated"),
]


@pytest.mark.parametrize(("pieces", "problem"), HOSTILE)
def test_hostile_server_costs_little(pieces: Iterable[bytes], problem: str) -> None:
    tracemalloc.start()
    try:
        with sending(pieces) as target, Conversation(target, 0.05) as conversation:
            with pytest.raises(Violation, match=re.escape(problem)) as caught:
                conversation.reply()
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20
    assert str(caught.value).isprintable()


def test_silence_is_told_from_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = Target.parse(f"icap://127.0.0.1:{listener.getsockname()[1]}")
        with Conversation(target, 0.1) as conversation:
            assert conversation.is_silent(0.05)
            with pytest.raises(Silence, match=r"no answer within 0\.1 s"):
                conversation.reply()
            accepted, _ = listener.accept()
            accepted.close()
            assert conversation.is_closed(5)
            with pytest.raises(Closed) as caught:
                conversation.reply()
            assert not isinstance(caught.value, CutShort)
    with pytest.raises(Unreachable, match="is the server up"):
        Conversation(target, 0.1)


def test_ipv6() -> None:
    with sending([HEAD, b"0\r\n\r\n"], "::1") as target, Conversation(target, 5) as conversation:
        assert target.authority.startswith("[::1]:")
        assert conversation.reply().status == 200


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("icap://h", "h:1344", ""),
        ("icap://h/echo", "h:1344", "/echo"),
        ("icaps://h:99/a/b", "h:99", "/a/b"),
        ("icaps://h", "h:11344", ""),
        ("icap://[2001:db8::1]/x", "[2001:db8::1]:1344", "/x"),
    ],
)
def test_url(url: str, authority: str, path: str) -> None:
    target = Target.parse(url)
    assert (target.authority, target.path) == (authority, path)
    assert (target.tls is not None) == url.startswith("icaps")


@pytest.mark.parametrize("url", ["", "h", "http://h/", "icap:///x", "icap://h:0x1/", "icap://h:99999/"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(TargetError):
        Target.parse(url)


def test_what_the_server_says_is_safe_to_show() -> None:
    assert printable(b"a\x1b[31m\xff\r\nb").isprintable()
    assert len(printable(b"x" * 1000)) == 80
