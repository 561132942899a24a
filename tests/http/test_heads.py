"""Message heads: parsed strictly, encoded as they came."""

import pytest

from icapd.errors import RemoteProtocolError
from icapd.http.headers import Headers
from icapd.http.heads import RequestHead, ResponseHead

REQUESTS = [
    (b"GET / HTTP/1.1\r\n\r\n", (b"GET", b"/", b"HTTP/1.1")),
    (b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", (b"CONNECT", b"h:443", b"HTTP/1.1")),
    (b"M-SEARCH * HTTP/1.0\r\n\r\n", (b"M-SEARCH", b"*", b"HTTP/1.0")),
    (b'GET /caf\xc3\xa9?q="<> HTTP/1.1\r\n\r\n', (b"GET", b'/caf\xc3\xa9?q="<>', b"HTTP/1.1")),
]


@pytest.mark.parametrize(("raw", "parts"), REQUESTS)
def test_request_head(raw: bytes, parts: tuple[bytes, bytes, bytes]) -> None:
    head = RequestHead.parse(raw)
    assert (head.method, head.target, head.version) == parts
    assert head.encode() == raw


RESPONSES = [
    (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", (200, b"OK")),
    (b"HTTP/1.0 404\r\n\r\n", (404, b"")),
    (b"HTTP/1.1 299 \r\n\r\n", (299, b"")),
    (b"HTTP/1.1 500 Internal  \xe9rror\r\n\r\n", (500, b"Internal  \xe9rror")),
]


@pytest.mark.parametrize(("raw", "parts"), RESPONSES)
def test_response_head(raw: bytes, parts: tuple[int, bytes]) -> None:
    head = ResponseHead.parse(raw)
    assert (head.status, head.reason) == parts
    assert head.encode() == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/11\r\n\r\n",
        b"G@T / HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
    ],
)
def test_broken_request_heads_are_refused(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        RequestHead.parse(raw)


@pytest.mark.parametrize(
    "raw",
    [b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 2000\r\n\r\n", b"ICAP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK"],
)
def test_broken_response_heads_are_refused(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        ResponseHead.parse(raw)


def test_changed_head_is_encoded_anew() -> None:
    head = RequestHead.parse(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n").with_target(b"/b")
    assert head.encode() == b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
    head = head.with_headers(Headers(((b"X", b"y"),)))
    assert head.encode() == b"GET /b HTTP/1.1\r\nX: y\r\n\r\n"


def test_repr_shows_no_target() -> None:
    assert "hunter2" not in repr(RequestHead.parse(b"GET /?password=hunter2 HTTP/1.1\r\n\r\n"))
