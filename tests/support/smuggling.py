"""Requests that try to hide another one, or to leave something behind for the next: with the fate of each."""

from dataclasses import dataclass

from support import wire

#: What comes behind each probe: must be answered, and recorded, as if it were alone.
NEXT = wire.reqmod(
    b"GET https://next.example/innocent HTTP/1.1\r\nHost: next.example\r\n\r\n",
    **{"X-Client-Username": "Y2Fyb2w=", "Allow": "204"},
)
#: What probes hide: an answer to it, or a record of it, is a breach.
HIDDEN = wire.reqmod(b"GET https://hidden.example/evil HTTP/1.1\r\nHost: hidden.example\r\n\r\n", Preview="0")
_IMAGE = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
_GET = b"GET https://first.example/ HTTP/1.1\r\nHost: first.example\r\n\r\n"
_POST = b"POST https://first.example/ HTTP/1.1\r\nHost: first.example\r\nContent-Type: text/plain\r\n\r\n"
_USER = b"X-Client-Username: bWFsbG9yeQ==\r\n"


@dataclass(frozen=True)
class Probe:
    """`statuses`: of all answers to the probe itself; `closes`: the last one ends the connection."""

    name: str
    data: bytes
    statuses: tuple[int, ...]
    closes: bool

    @property
    def complete(self) -> bytes:
        """With an innocent request behind it."""
        return self.data + NEXT


def passes(name: str, data: bytes, *statuses: int) -> Probe:
    return Probe(name, data, statuses or (204,), closes=False)


def fails(name: str, data: bytes, *statuses: int) -> Probe:
    return Probe(name, data, statuses or (400,), closes=True)


def get(
    *lines: bytes, encapsulated: bytes = b"req-hdr=0, null-body=%d" % len(_GET), http: bytes = _GET
) -> bytes:
    """A request without body, with further ICAP header lines."""
    more = b"".join(line + b"\r\n" for line in lines)
    return b"REQMOD icap://h/reqmod ICAP/1.0\r\nHost: h\r\nAllow: 204\r\n%b%bEncapsulated: %b\r\n\r\n%b" % (
        _USER,
        more,
        encapsulated,
        http,
    )


def http(head: bytes) -> bytes:
    return get(encapsulated=b"req-hdr=0, null-body=%d" % len(head), http=head)


def post(chunks: bytes, **headers: str) -> bytes:
    return wire.reqmod(_POST, chunks, **{"Allow": "204", **headers})


_LENGTH = len(_GET)
PROBES = [
    # framing fields that ICAP does not have
    fails("Transfer-Encoding", get(b"Transfer-Encoding: chunked")),
    fails("Transfer-Encoding: identity", get(b"Transfer-Encoding: identity")),
    fails("Transfer-Encoding in odd case", get(b"tRANSFER-eNCODING: chunked")),
    fails("Transfer-Encoding, folded", get(b"Transfer-Encoding:\r\n chunked")),
    fails("Transfer-Encoding, empty", get(b"Transfer-Encoding:")),
    fails("Transfer-Encoding before a blank and the colon", get(b"Transfer-Encoding : chunked")),
    fails("Transfer-Encoding behind a bare CR", get(b"X: y\rTransfer-Encoding: chunked")),
    fails("Transfer-Encoding behind a bare LF", get(b"X: y\nTransfer-Encoding: chunked")),
    passes("Transfer-Encoding in a folded value", get(b"X: y\r\n Transfer-Encoding: chunked")),
    passes("Content-Length over the next request", get(b"Content-Length: %d" % (_LENGTH + len(NEXT)))),
    passes("Content-Length: 0", get(b"Content-Length: 0")),
    passes("Content-Length twice", get(b"Content-Length: 5", b"Content-Length: 500")),
    passes("Content-Length, folded", get(b"Content-Length:\r\n 5")),
    passes("Content-Length, negative", get(b"Content-Length: -1")),
    # Encapsulated
    passes("Encapsulated, folded", get(encapsulated=b"req-hdr=0,\r\n\tnull-body=%d" % _LENGTH)),
    passes(
        "Encapsulated on two lines", get(encapsulated=b"req-hdr=0\r\nEncapsulated: null-body=%d" % _LENGTH)
    ),
    passes("Encapsulated with empty members", get(encapsulated=b", req-hdr=0,, null-body=%d," % _LENGTH)),
    fails("Encapsulated twice", get(b"Encapsulated: req-hdr=0, null-body=%d" % _LENGTH)),
    fails("Encapsulated twice, one short", get(b"Encapsulated: null-body=0")),
    fails("head cut short", get(encapsulated=b"req-hdr=0, null-body=%d" % (_LENGTH - 2))),
    fails("head cut at a line's end", get(encapsulated=b"req-hdr=0, null-body=37")),
    fails("head over the next request", get(encapsulated=b"req-hdr=0, null-body=%d" % (_LENGTH + len(NEXT)))),
    fails(
        "head over a hidden one", get(encapsulated=b"req-hdr=0, null-body=%d" % (2 * _LENGTH), http=_GET * 2)
    ),
    fails("unsorted", get(encapsulated=b"null-body=%d, req-hdr=0" % _LENGTH)),
    fails("the same part twice", get(encapsulated=b"req-hdr=0, req-hdr=10, null-body=%d" % _LENGTH)),
    fails("the same offset twice", get(encapsulated=b"req-hdr=0, null-body=0")),
    fails("both bodies", get(encapsulated=b"req-hdr=0, null-body=%d, req-body=999" % _LENGTH)),
    fails("huge offset", get(encapsulated=b"req-hdr=0, null-body=9999999999")),
    fails("offset over 64 bits", get(encapsulated=b"req-hdr=0, null-body=18446744073709551709")),
    fails("negative offset", get(encapsulated=b"req-hdr=0, null-body=-%d" % _LENGTH)),
    fails("offset with a sign", get(encapsulated=b"req-hdr=+0, null-body=%d" % _LENGTH)),
    fails("hexadecimal offset", get(encapsulated=b"req-hdr=0, null-body=0x%x" % _LENGTH)),
    fails("offset with a superscript", get(encapsulated=b"req-hdr=0, null-body=9\xb3")),
    fails("offset with underscore", get(encapsulated=b"req-hdr=0, null-body=1_0")),
    fails("spaces around =", get(encapsulated=b"req-hdr = 0, null-body = %d" % _LENGTH)),
    fails("semicolons", get(encapsulated=b"req-hdr=0; null-body=%d" % _LENGTH)),
    # between two requests
    passes("empty lines", get() + b"\r\n\r\n\r\n"),
    fails("bare LF", get() + b"\n", 204, 400),
    fails("bare CR", get() + b"\r", 204, 400),
    fails("a blank", get() + b" ", 204, 400),
    fails("a NUL", get() + b"\x00", 204, 400),
    fails("a letter and an empty line", get() + b"X\r\n\r\n", 204, 400),
    fails("last chunk behind null-body", get() + b"0\r\n\r\n", 204, 400),
    fails("last chunk behind null-body with Preview: 0", get(b"Preview: 0") + b"0\r\n\r\n", 204, 400),
    fails("chunks behind null-body", get() + wire.chunked(HIDDEN), 204, 400),
    passes(
        "OPTIONS with a body",
        wire.options().replace(b"\r\n\r\n", b"\r\nEncapsulated: opt-body=0\r\n\r\n") + wire.chunked(HIDDEN),
        200,
    ),
    fails("OPTIONS with a body that it did not announce", wire.options() + wire.chunked(b"abc"), 200, 400),
    # chunks
    passes("request within a chunk", post(wire.chunked(HIDDEN))),
    passes("end of body within a chunk", post(wire.chunked(b"0\r\n\r\n" + HIDDEN))),
    passes("request in an extension", post(b"3;%b\r\nabc\r\n0\r\n\r\n" % HIDDEN.split(b"\r\n")[0])),
    fails("request in an extension, whole", post(b"3;%b\r\nabc\r\n0\r\n\r\n" % HIDDEN)),
    fails("request in a quoted extension", post(b'3;a="\r\n%b"\r\nabc\r\n0\r\n\r\n' % HIDDEN)),
    fails("0x", post(b"0x3\r\nabc\r\n0\r\n\r\n")),
    fails("plus", post(b"+3\r\nabc\r\n0\r\n\r\n")),
    fails("minus", post(b"-3\r\nabc\r\n0\r\n\r\n")),
    fails("minus zero", post(b"3\r\nabc\r\n-0\r\n\r\n")),
    fails("blank before the size", post(b" 3\r\nabc\r\n0\r\n\r\n")),
    passes("blank behind the size", post(b"3 \r\nabc\r\n0\t\r\n\r\n")),
    fails("blank within the size", post(b"0 3\r\nabc\r\n0\r\n\r\n")),
    fails("underscore", post(b"0_3\r\nabc\r\n0\r\n\r\n")),
    fails("size over 64 bits", post(b"10000000000000003\r\nabc\r\n0\r\n\r\n")),
    fails("negative size in 64 bits", post(b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n")),
    passes("leading zeros", post(b"%b3\r\nabc\r\n0000\r\n\r\n" % (b"0" * 100))),
    fails("LF behind the size", post(b"3\nabc\r\n0\r\n\r\n")),
    fails("LF behind the last chunk", post(b"3\r\nabc\r\n0\n\n")),
    fails("CR behind the size", post(b"3\rabc\r\n0\r\n\r\n")),
    fails("LF in an extension", post(b"3;a\nb\r\nabc\r\n0\r\n\r\n")),
    fails("CR in an extension", post(b"3;a\rb\r\nabc\r\n0\r\n\r\n")),
    fails("chunk longer than its size", post(b"2\r\nabc\r\n0\r\n\r\n")),
    fails("chunk shorter than its size", post(b"4\r\nabc\r\n0\r\n\r\n")),
    fails("LF behind a chunk", post(b"3\r\nabc\n0\r\n\r\n")),
    # previews and ieof
    passes("ieof on a chunk with data", post(b"3; ieof\r\nabc\r\n0; ieof\r\n\r\n", Preview="9")),
    passes("ieof without a preview", post(b"3\r\nabc\r\n0; ieof\r\n\r\n")),
    passes(
        "ieof after 100", post(wire.chunked(b"abc") + b"3\r\ndef\r\n0; ieof\r\n\r\n", Preview="3"), 100, 204
    ),
    passes("request in a preview", post(wire.chunked(HIDDEN, ieof=True), Preview="4096")),
    passes(
        "request behind a preview", post(wire.chunked(b"a") + wire.chunked(HIDDEN), Preview="1"), 100, 204
    ),
    fails(
        "chunks behind an ieof",
        post(wire.chunked(b"a", ieof=True) + wire.chunked(HIDDEN), Preview="1"),
        204,
        400,
    ),
    fails(
        "rest that nobody asked for",
        wire.respmod(_IMAGE, wire.chunked(b"a") + wire.chunked(HIDDEN), Preview="1"),
        204,
        400,
    ),
    fails(
        "two previews",
        post(wire.chunked(b"abc", ieof=True), Preview="3").replace(b"Preview", b"Preview: 4\r\nPreview"),
    ),
    # trailers
    passes("trailers", post(b"3\r\nabc\r\n0\r\nX-Checksum: 1\r\nContent-Length: 99\r\n\r\n")),
    passes(
        "framing in trailers", post(b"0\r\nTransfer-Encoding: chunked\r\nEncapsulated: req-body=0\r\n\r\n")
    ),
    fails("request in trailers", post(b"3\r\nabc\r\n0\r\n%b" % HIDDEN)),
    fails("bare LF in trailers", post(b"0\r\nA: b\nC: d\r\n\r\n")),
    fails("trailers folded from the start", post(b"0\r\n A: b\r\n\r\n")),
    # what is drained
    passes("body of an unknown service", wire.respmod(wire.OK, wire.chunked(HIDDEN), path="/nowhere"), 404),
    passes("body of a wrong method", wire.respmod(wire.OK, wire.chunked(HIDDEN), path="/reqmod"), 405),
    passes(
        "body of an unknown method",
        b"FOOMOD icap://h/x ICAP/1.0\r\nHost: h\r\nEncapsulated: req-body=0\r\n\r\n" + wire.chunked(HIDDEN),
        501,
    ),
    fails("drained body that lies", wire.respmod(wire.OK, b"2\r\nabc\r\n" + HIDDEN, path="/nowhere"), 404),
    passes(
        "blocked from its head on",
        wire.respmod(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-program\r\n\r\n",
            wire.chunked(HIDDEN, b"x" * 500),
        ),
        200,
    ),
    # heads
    fails("bare LF head", get().replace(b"\r\n", b"\n")),
    fails("NUL in a value", get(b"X: a\x00b")),
    fails("NUL in a name", get(b"X\x00: a")),
    fails("no name", get(b": a")),
    fails("line without colon", get(b"nonsense")),
    fails("folded first line", get().replace(b"\r\nHost", b"\r\n Host", 1)),
    fails("two Hosts that differ", get(b"Host: other")),
    passes("two Hosts that agree", get(b"Host: h")),
    fails("no Host", get().replace(b"Host: h\r\n", b"")),
    fails("another version", get().replace(b"ICAP/1.0", b"ICAP/1.1", 1), 505),
    fails("HTTP in the place of ICAP", _GET),
    # encapsulated heads
    fails("bare LF in an HTTP head", http(b"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n")),
    fails("request line alone, and more behind it", http(b"GET / HTTP/1.1\r\n\r\n" + HIDDEN)),
    fails("NUL in an HTTP head", http(b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n")),
    fails("blank before the colon", http(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")),
    fails("no empty line", http(b"GET / HTTP/1.1\r\nHost: a\r\n")),
    fails("nothing but an empty line", http(b"\r\n\r\n")),
    passes(
        "HTTP framing that lies",
        http(b"POST / HTTP/1.1\r\nContent-Length: 5000\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ),
    # the end
    Probe("Connection: close", get(b"Connection: close"), (204,), closes=True),
    Probe("Connection: CLOSE among others", get(b"Connection: x, CLOSE"), (204,), closes=True),
]
