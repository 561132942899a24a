"""Hypothesis: ICAP requests in every legal form, and pieces of anything."""

from hypothesis import strategies as st
from support import wire
from support.icap_requests import Request, Spelling
from support.policies import KEY

#: Bodies in which something is found, or nothing, or nothing is looked for.
BODIES = st.one_of(
    st.sampled_from(
        [
            b"",
            b"{}",
            b'{"key": "%b"}' % KEY,
            b'{"a": "ATTACK!"}',
            b"MALWARE! here",
            b"NOTE-ME and %b, and again %b" % (KEY, KEY),
            b"0\r\n\r\n" + wire.options(),
            wire.reqmod(),
            b"data: one\n\ndata: %b\n\n" % KEY,
            b"plain words " * 120,
            b"x" * 300 + KEY + b"y" * 5000,
            b"a " * 40 + KEY + b" b" * 900,
        ]
    ),
    st.binary(max_size=60),
)
CONTENT_TYPES = st.sampled_from(
    [
        b"application/json",
        b"text/plain",
        b"text/event-stream",
        b"image/png",
        b"application/octet-stream",
        b"application/x-program",
        b"text/plain; charset=undefined",
        b"text/html; charset=utf-16",
    ]
)
_FIELDS = st.sampled_from(
    [
        b"X-Client-IP: 10.1.2.3",
        b"X-Client-Username: YW5u",
        b"X-Client-IP: nonsense",
        b"Content-Length: 9999",
        b"x-unknown:  spaced out  ",
        b"X-Folded: a\r\n b",
        b"Date: Mon, 23 Nov 2026 10:00:00 GMT",
    ]
)
_ALLOW = st.sampled_from(
    [
        (),
        ("204",),
        ("trailers",),
        ("206", "trailers"),
        ("204", "206"),
        ("204", "206", "trailers"),
        ("204", "206", "trailers"),
        ("204", "x-patience"),
    ]
)
_PREVIEW = st.sampled_from([None, None, 0, 1, 3, 10, 100, 1024, 4096])
SPELLINGS = st.builds(
    Spelling,
    sizes=st.lists(st.integers(1, 700), max_size=3).map(tuple),
    extension=st.sampled_from([b"", b"", b";a", b'; name="v w"', b" ;x=y;z"]),
    zeros=st.integers(0, 3),
    upper=st.booleans(),
    ieof=st.sampled_from([b"; ieof", b";ieof", b"; IEOF", b";  ieof "]),
    trailers=st.sampled_from([b"", b"", b"", b"X-Checksum: abc\r\n", b"A: 1\r\nB: 2\r\n"]),
)


@st.composite
def mod_requests(draw: st.DrawFn) -> Request:
    """REQMOD or RESPMOD to a service that has it."""
    is_response = draw(st.booleans())
    body = draw(st.one_of(st.none(), BODIES))
    length = b"Content-Length: %d\r\n" % len(body) if body is not None and draw(st.booleans()) else b""
    fields = b"Content-Type: %b\r\n%b" % (draw(CONTENT_TYPES), length)
    secret = b"X-Key: %b\r\n" % KEY if draw(st.integers(0, 5)) == 0 else b""
    if is_response:
        request_head = draw(st.sampled_from([wire.GET, b"", wire.POST, b"HEAD http://h/ HTTP/1.1\r\n\r\n"]))
        # A body alone is legal as well (RFC 3507 errata e4).
        response_head = b"HTTP/1.1 200 OK\r\n%b%b\r\n" % (fields, secret)
        response_head = draw(st.sampled_from([response_head] * 4 + [b""]))
        path = draw(st.sampled_from(["/respmod", "/respmod", "/stream"]))
    else:
        method = b"GET" if body is None else b"POST"
        request_head = b"%b https://api.example/items HTTP/1.1\r\nHost: api.example\r\n%b%b\r\n" % (
            method,
            fields,
            secret,
        )
        response_head, path = b"", "/reqmod"
    return Request(
        method="RESPMOD" if is_response else "REQMOD",
        path=path,
        request_head=request_head,
        response_head=response_head,
        body=body,
        preview=draw(_PREVIEW),
        says_ieof=draw(st.booleans()),
        allow=draw(_ALLOW),
        fields=tuple(draw(st.lists(_FIELDS, max_size=2, unique=True))),
        spelling=draw(SPELLINGS),
        empty_lines=draw(st.sampled_from([0, 0, 0, 1, 2])),
    )


OPTIONS = st.builds(
    Request,
    method=st.just("OPTIONS"),
    path=st.sampled_from(["/reqmod", "/respmod", "/stream"]),
    body=st.one_of(st.none(), st.none(), st.just(b"of no interest")),
    allow=_ALLOW,
    spelling=SPELLINGS,
)
#: Requests that get a 404, a 405 or a 501, and leave the connection in good order.
MISPLACED = st.one_of(
    mod_requests().map(lambda request: Request(**{**vars(request), "path": "/nowhere"})),
    mod_requests().map(
        lambda request: Request(
            **{**vars(request), "path": "/reqmod" if request.method == "RESPMOD" else "/respmod"}
        )
    ),
    st.builds(
        Request,
        method=st.just("FOOMOD"),
        path=st.just("/reqmod"),
        request_head=st.just(wire.POST),
        body=st.one_of(st.none(), BODIES),
        spelling=SPELLINGS,
    ),
)
#: Sizes of the pieces in which bytes arrive: small ones, so that every place gets cut, and whole requests.
SIZES = st.one_of(st.integers(1, 8), st.integers(1, 400), st.just(100_000))
