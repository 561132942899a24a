"""Where fuzzing begins: what the tests already know how to write, for each target."""

import gzip
import zlib

import brotli
import zstandard
from support import wire
from support.policies import KEY
from support.smuggling import PROBES

_CHARSETS = "utf-16-le utf-16-be utf-32-le cp932 euc_jp gb18030 big5hkscs cp949 johab".split()
_JSON = b'{"user": "ann", "key": "%b", "list": [1, -2.5e3, true, null, "a\\u0041\\n\\\\"], "": {}}' % KEY
_EVENTS = (
    b"data: one\n\n",
    b": ping\r\n\r\ndata: %b\rdata: two\r\r" % KEY,
    b"\xef\xbb\xbfevent: x\ndata\ndata:  MALWARE!\n\n",
    b"data: " + b"long " * 60 + KEY + b"\n\nid: 1\n\n",
)
_CONVERSATIONS = [
    *(probe.data for probe in PROBES),
    wire.reqmod() + wire.options(),
    wire.reqmod(wire.POST, wire.chunked(_JSON), Allow="204"),
    wire.respmod(wire.OK, wire.chunked(_JSON[:10]) + wire.chunked(_JSON[10:]), Preview="10"),
    wire.respmod(wire.OK, wire.chunked(b"MALWARE!", ieof=True), Preview="100", Allow="204, 206, trailers"),
    wire.respmod(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        wire.chunked(*_EVENTS),
        path="/stream",
    ),
    wire.respmod(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n",
        wire.chunked(b"\x01" + b"text " * 30 + KEY),
    ),
    wire.respmod(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\r\n",
        wire.chunked(gzip.compress(b"plain " * 50, mtime=0)),
    ),
]
_CHUNKS = [
    wire.chunked(b"abc", b"def"),
    wire.chunked(b"abc", ieof=True),
    wire.chunked(b"abc") + wire.chunked(b"def"),
    b"3;a=b\r\nabc\r\n0\r\nX: y\r\nZ: z\r\n\r\n",
    b"00003 ; ieof\r\nabc\r\n0; IEOF;x\r\n\r\n",
    b'3;a="; ieof"\r\nabc\r\n0;a="; ieof"\r\n\r\n',
]
_HEADS = [
    wire.GET,
    wire.POST,
    wire.OK,
    wire.options()[:-4],
    b"CONNECT h:443 HTTP/1.1\r\n\r\n",
    b"OPTIONS * HTTP/1.0\r\nHost: [::1]:80\r\n\r\n",
    b"HTTP/1.0 404\r\nA: b\r\n c\r\nSet-Cookie: 1\r\nSet-Cookie: 2\r\n\r\n",
    b"A: b\r\nC:d",
    b"req-hdr=0, res-hdr=100, res-body=200",
    b"text/html; charset=utf-8, */*;q=0.5",
    b"attachment; filename*=UTF-8''a%20b; filename=\"c.exe\"",
]
_IDENTITIES = [
    b"10.1.2.3\nann\n\n",
    b"::ffff:1.2.3.4\nYW5u\nV2luTlQ6Ly9ET01BSU4vYW5u\nTG9jYWw6Ly9h",
    b"fe80::1%25eth0\n\xc3\xa9\n\n",
]
_CODED = [
    b"\x00" + gzip.compress(b"abc" * 50, mtime=0),
    b"\x00" + gzip.compress(b"", mtime=0) + gzip.compress(b"second", mtime=0) + b"padding",
    b"\x01" + zlib.compress(b"abc" * 50),
    b"\x01" + zlib.compress(b"bare")[2:-4],
    b"\x02" + zlib.compress(gzip.compress(b"two", mtime=0)),
    b"\x00" + gzip.compress(b"\0" * 300_000, mtime=0),
    b"\x05" + brotli.compress(b"abc" * 50) + b"padding",
    b"\x05" + brotli.compress(b"\0" * 300_000),
    b"\x06"
    + zstandard.compress(b"abc" * 50)
    + b"\x50\x2a\x4d\x18\x02\x00\x00\x00ab"
    + zstandard.compress(b"d"),
    b"\x07" + zstandard.compress(gzip.compress(b"two", mtime=0)),
    b"\x08" + zlib.compress(brotli.compress(b"two")),
]
_TRANSCODED = [
    bytes([number]) + ("naïve 表示 [x] \\" + KEY.decode() + "😀").encode(charset, "ignore")
    for number, charset in enumerate(_CHARSETS)
]
_TEXTS = [_JSON, KEY, b"x" * 200 + KEY + b" MALWARE! NOTE-ME", b"%4bEY-ABCDEF123456 \\u004bEY-ABCDEF123456"]

SEEDS: dict[str, list[bytes]] = {
    "request_reader": _CONVERSATIONS,
    "session": _CONVERSATIONS,
    "chunk_parser": [kind + chunks for kind in (b"-", b"p") for chunks in _CHUNKS],
    "heads": _HEADS,
    "identity": _IDENTITIES,
    "codings": _CODED,
    "transcoding": _TRANSCODED,
    "event_stream": [*_EVENTS, b"".join(_EVENTS)],
    "window": _TEXTS,
    "server_sent_event": list(_EVENTS),
    "json_cutter": _TEXTS,
}
