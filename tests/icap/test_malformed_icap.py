"""What is no ICAP gets an answer with a reason, however it is cut: never an exception, never silence."""

import pytest
from support import wire

from icapd.errors import RemoteProtocolError
from icapd.icap import CodecLimits, Connection

LIMITS = CodecLimits(
    max_icap_head=2048, max_http_head=1024, max_chunk_line=64, max_trailer=256, max_preview=100
)
HEAD = b"REQMOD icap://h/reqmod ICAP/1.0\r\nHost: h\r\n"
END = b"\r\n\r\n"


def head(*lines: bytes) -> bytes:
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(chunks: bytes) -> bytes:
    return wire.reqmod(wire.POST, chunks)


def with_http(http: bytes) -> bytes:
    return head(b"Encapsulated: req-hdr=0, null-body=%d" % len(http)) + http


MALFORMED = [
    # the request line
    pytest.param(b"\x16\x03\x01\x02\x00\x01" + END, 400, id="TLS hello"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: h" + END, 400, id="HTTP request"),
    pytest.param(b"REQMOD icap://h/reqmod\r\nHost: h" + END, 400, id="no version"),
    pytest.param(b"REQMOD  icap://h/reqmod ICAP/1.0\r\nHost: h" + END, 400, id="two spaces"),
    pytest.param(b"REQMOD icap://h/req mod ICAP/1.0\r\nHost: h" + END, 400, id="space in URI"),
    pytest.param(b"REQMOD http://h/reqmod ICAP/1.0\r\nHost: h" + END, 400, id="http URI"),
    pytest.param(b"REQMOD reqmod ICAP/1.0\r\nHost: h" + END, 400, id="relative URI"),
    pytest.param(b"R\x00QMOD icap://h/reqmod ICAP/1.0\r\nHost: h" + END, 400, id="NUL in method"),
    pytest.param(b"REQMOD icap://h/reqmod ICAP/1\r\nHost: h" + END, 400, id="version without minor"),
    pytest.param(b"REQMOD icap://h/reqmod ICAP/x.0\r\nHost: h" + END, 400, id="version no number"),
    pytest.param(b"REQMOD icap://h/reqmod ICAP/2.0\r\nHost: h" + END, 505, id="version 2.0"),
    pytest.param(b"OPTIONS icap://h/reqmod ICAP/1.1\r\nHost: h" + END, 505, id="version 1.1"),
    pytest.param(b" REQMOD icap://h/reqmod ICAP/1.0\r\nHost: h" + END, 400, id="leading space"),
    # the ICAP headers
    pytest.param(head(b"Encapsulated: null-body=0", b"no colon here"), 400, id="header without colon"),
    pytest.param(head(b"Encapsulated: null-body=0", b"X Y: z"), 400, id="space in header name"),
    pytest.param(head(b"Encapsulated: null-body=0", b"X : z"), 400, id="space before colon"),
    pytest.param(head(b"Encapsulated: null-body=0", b": z"), 400, id="empty header name"),
    pytest.param(head(b"Encapsulated: null-body=0", b"X: a\x00b"), 400, id="NUL in header"),
    pytest.param(head(b"Encapsulated: null-body=0", b"X: a\rb"), 400, id="bare CR in header"),
    pytest.param(head(b"Encapsulated: null-body=0", b"X: a\nHost: evil"), 400, id="bare LF in header"),
    pytest.param(b"REQMOD icap://h/reqmod ICAP/1.0\r\nEncapsulated: null-body=0" + END, 400, id="no Host"),
    pytest.param(head(b"Host: other", b"Encapsulated: null-body=0"), 400, id="two Hosts"),
    pytest.param(
        head(b"Transfer-Encoding: chunked", b"Encapsulated: null-body=0"), 400, id="Transfer-Encoding"
    ),
    pytest.param(head(b"X: " + b"y" * 3000, b"Encapsulated: null-body=0"), 400, id="head too long"),
    pytest.param(b"A" * 4096, 400, id="endless line"),
    pytest.param(head(b"Preview: -1", b"Encapsulated: null-body=0"), 400, id="negative Preview"),
    pytest.param(head(b"Preview: 1k", b"Encapsulated: null-body=0"), 400, id="Preview no number"),
    pytest.param(head(b"Preview: " + b"9" * 30, b"Encapsulated: null-body=0"), 400, id="huge Preview"),
    # Encapsulated
    pytest.param(head(), 400, id="no Encapsulated"),
    pytest.param(head(b"Encapsulated:"), 400, id="empty Encapsulated"),
    pytest.param(head(b"Encapsulated: req-hdr"), 400, id="no offset"),
    pytest.param(head(b"Encapsulated: req-hdr=x, null-body=0"), 400, id="offset no number"),
    pytest.param(head(b"Encapsulated: req-hdr=-1, null-body=0"), 400, id="negative offset"),
    pytest.param(head(b"Encapsulated: foo-hdr=0, null-body=4"), 400, id="unknown part"),
    pytest.param(head(b"Encapsulated: req-hdr=10, req-body=5"), 400, id="falling offsets"),
    pytest.param(head(b"Encapsulated: req-hdr=10, req-body=50"), 400, id="first offset not 0"),
    pytest.param(head(b"Encapsulated: req-hdr=0, req-body=0"), 400, id="empty head"),
    pytest.param(head(b"Encapsulated: req-hdr=0"), 400, id="no body part"),
    pytest.param(head(b"Encapsulated: req-hdr=0, req-hdr=20, null-body=40"), 400, id="same part twice"),
    pytest.param(head(b"Encapsulated: req-body=0, null-body=20"), 400, id="two bodies"),
    pytest.param(head(b"Encapsulated: res-hdr=0, res-body=20"), 400, id="response in REQMOD"),
    pytest.param(head(b"Encapsulated: req-hdr=0, res-body=20"), 400, id="response body in REQMOD"),
    pytest.param(head(b"Encapsulated: req-hdr=0, null-body=99999999999"), 400, id="offset over ten digits"),
    pytest.param(head(b"Encapsulated: req-hdr=0, null-body=5000"), 400, id="head over the limit"),
    # the HTTP heads
    pytest.param(with_http(b"GET / HTTP/1.1\r\nHost: h\r\n"), 400, id="head without empty line"),
    pytest.param(with_http(b"GET / HTTP/1.1\r\n\r\n\r\n"), 400, id="two empty lines, without a field"),
    pytest.param(with_http(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n\r\n"), 400, id="two empty lines"),
    pytest.param(wire.respmod(b"HTTP/1.1 200 OK\r\n\r\n\r\n"), 400, id="two empty lines in a response"),
    pytest.param(with_http(b"GET /\r\n\r\n"), 400, id="HTTP/0.9 line"),
    pytest.param(with_http(b"GET / x HTTP/1.1\r\n\r\n"), 400, id="space in target"),
    pytest.param(with_http(b"GET / HTTP/1.1\r\nbroken\r\n\r\n"), 400, id="HTTP header without colon"),
    pytest.param(with_http(b"GET / HTTP/1.1\r\nA: b\x00\r\n\r\n"), 400, id="NUL in HTTP header"),
    pytest.param(wire.respmod(b"HTTP/1.1 abc\r\n\r\n"), 400, id="status no number"),
    pytest.param(wire.respmod(b"HTTP/1.1 99\r\n\r\n"), 400, id="status of two digits"),
    # the chunked body
    pytest.param(post(b"xyz\r\n"), 400, id="size no number"),
    pytest.param(post(b"0x4\r\nabcd\r\n0\r\n\r\n"), 400, id="size with 0x"),
    pytest.param(post(b"-4\r\nabcd\r\n0\r\n\r\n"), 400, id="negative size"),
    pytest.param(post(b"+4\r\nabcd\r\n0\r\n\r\n"), 400, id="size with plus"),
    pytest.param(post(b"\r\n"), 400, id="empty size"),
    pytest.param(post(b" 4\r\nabcd\r\n"), 400, id="space before size"),
    pytest.param(post(b"4 4\r\nabcd\r\n"), 400, id="two sizes"),
    pytest.param(post(b"8000000000000000\r\n"), 400, id="size over 2^63"),
    pytest.param(post(b"ffffffffffffffffff\r\n"), 400, id="size of 18 digits"),
    pytest.param(post(b"4\r\nabcdXX0\r\n\r\n"), 400, id="chunk longer than its size"),
    pytest.param(
        wire.reqmod(wire.POST, b"65\r\n" + b"x" * 101 + b"\r\n", Preview="0"), 400, id="preview without end"
    ),
    pytest.param(post(b"4\nabcd\n0\n\n" + b" " * 64), 400, id="LF instead of CRLF"),
    pytest.param(post(b"4;" + b"x" * 100 + b"\r\n"), 400, id="endless extension"),
    pytest.param(post(b"4;a=\x00\r\nabcd\r\n"), 400, id="NUL in extension"),
    pytest.param(post(b"0\r\nbroken trailer\r\n\r\n"), 400, id="trailer without colon"),
    pytest.param(post(b"0\r\nT: " + b"x" * 300 + b"\r\n\r\n"), 400, id="endless trailer"),
]


def run(data: list[bytes]) -> int:
    """The ICAP status that the bytes end in."""
    connection = Connection(LIMITS)
    with pytest.raises(RemoteProtocolError) as caught:
        for piece in data:
            connection.receive_data(piece)
            while connection.next_event() is not None:
                pass
    assert str(caught.value).isprintable()
    assert connection.must_close
    return caught.value.icap_status


@pytest.mark.parametrize(("data", "status"), MALFORMED)
def test_malformed_bytes_get_their_status_when_they_come_at_once(data: bytes, status: int) -> None:
    assert run([data]) == status


@pytest.mark.parametrize(("data", "status"), MALFORMED)
def test_malformed_bytes_get_their_status_byte_by_byte(data: bytes, status: int) -> None:
    assert run([data[i : i + 1] for i in range(len(data))]) == status


@pytest.mark.parametrize(("data", "status"), MALFORMED)
def test_malformed_bytes_get_their_status_with_more_behind_them(data: bytes, status: int) -> None:
    assert run([data + wire.options()]) == status


TRUNCATED = [
    pytest.param(wire.options()[:20], id="in the ICAP head"),
    pytest.param(wire.reqmod()[:-10], id="in the HTTP head"),
    pytest.param(wire.reqmod(wire.POST, b"10\r\nabc"), id="in a chunk"),
    pytest.param(wire.reqmod(wire.POST, b"3\r\nabc\r\n"), id="between chunks"),
    pytest.param(wire.reqmod(wire.POST, b"3\r\nabc\r\n0\r\n"), id="before the last CRLF"),
    pytest.param(wire.reqmod(wire.POST, wire.chunked(b"abc"), Preview="3"), id="at the end of a preview"),
]


@pytest.mark.parametrize("data", TRUNCATED)
def test_end_of_connection_within_a_request_is_an_error(data: bytes) -> None:
    assert run([data, b""]) == 400


@pytest.mark.parametrize("encapsulated", [b"req-hdr=0", b"res-hdr=0, req-hdr=9, null-body=18"])
def test_method_that_nobody_knows_is_not_repeated(encapsulated: bytes) -> None:
    connection = Connection()
    connection.receive_data(
        b"hunter2 icap://h/x ICAP/1.0\r\nHost: h\r\nEncapsulated: %b\r\n\r\n" % encapsulated
    )
    with pytest.raises(RemoteProtocolError) as caught:
        connection.next_event()
    assert "hunter2" not in str(caught.value)
