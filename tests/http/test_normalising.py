"""Which requests ask for answers that can't be read, and what they ask for instead."""

import pytest

from icapd.http.headers import Headers
from icapd.http.heads import RequestHead
from icapd.http.normalising import Codings, Normalisation, Ranges, normalised, readable_codings

ACCEPTED = [
    pytest.param(b"gzip, deflate, br, zstd", b"gzip, deflate, br, zstd", id="all-that-is-read"),
    pytest.param(b"gzip, deflate, br, zstd, dcb, dcz", b"gzip, deflate, br, zstd", id="with-dictionaries"),
    pytest.param(b"GZIP;q=0.5,\tx-gzip , identity;q=0", b"GZIP;q=0.5,\tx-gzip , identity;q=0", id="as-it-is"),
    pytest.param(b"br;q=1.0, compress;q=0.9, gzip;q=0.1", b"br;q=1.0, gzip;q=0.1", id="weights-stay"),
    pytest.param(b"compress, dcb", b"identity", id="nothing-left"),
    pytest.param(b"*", b"gzip, deflate, br, zstd", id="any"),
    pytest.param(b"gzip, *;q=0.5", b"gzip, deflate;q=0.5, br;q=0.5, zstd;q=0.5", id="any-other"),
    pytest.param(b"gzip, sdch, *;q=0", b"gzip, *;q=0", id="no-other"),
    pytest.param(b"sdch, * ; Q = 0.000", b"* ; Q = 0.000", id="no-other-with-blanks"),
    pytest.param(b"", b"", id="empty"),
    pytest.param(b",,", b",,", id="nothing-but-commas"),
]


@pytest.mark.parametrize(("value", "readable"), ACCEPTED)
def test_codings_that_are_accepted(value: bytes, readable: bytes) -> None:
    assert readable_codings(value) == readable
    assert readable_codings(readable) == readable


def head(target: bytes, *fields: tuple[bytes, bytes]) -> RequestHead:
    return RequestHead(b"GET", b"https://h.example" + target, headers=Headers((RANGE, *fields)))


RANGE = (b"Range", b"bytes=0-99")
RANGES = [
    pytest.param(head(b"/items?file=a.mp4"), True, id="no-ending"),
    pytest.param(head(b"/"), True, id="no-path"),
    pytest.param(head(b"/data.JSON?v=1.2"), True, id="text-by-its-ending"),
    pytest.param(head(b"/v1.2/list"), True, id="dot-in-a-directory"),
    pytest.param(head(b"/film.mp4"), False, id="film"),
    pytest.param(head(b"/film/segment-7.ts"), False, id="part-of-a-film"),
    pytest.param(head(b"/pool/icapd_1.0_amd64.deb"), False, id="package"),
    pytest.param(head(b"/a.model-of-2031"), False, id="ending-of-something-else"),
    pytest.param(head(b"/watch", (b"Sec-Fetch-Dest", b"video")), False, id="film-by-its-use"),
    pytest.param(head(b"/watch", (b"Sec-Fetch-Dest", b"document")), True, id="page-by-its-use"),
    pytest.param(head(b"/x", (b"Accept", b"video/webm, Video/*;q=0.9")), False, id="film-by-accept"),
    pytest.param(head(b"/x", (b"Accept", b"video/webm, */*")), True, id="anything-by-accept"),
]


@pytest.mark.parametrize(("request_head", "is_text"), RANGES)
def test_ranges_of_texts_go(request_head: RequestHead, is_text: bool) -> None:
    headers, changed = normalised(request_head, Normalisation(ranges="text"))
    assert (headers.get(b"range") is None) is is_text
    assert changed == ((b"Range",) if is_text else ())


@pytest.mark.parametrize(
    ("ranges", "codings", "changed"),
    [
        ("allow", "allow", ()),
        ("text", "allow", (b"Range", b"If-Range")),
        ("remove", "allow", (b"Range", b"If-Range")),
        ("allow", "readable", (b"A-IM", b"Available-Dictionary", b"Dictionary-ID", b"Accept-Encoding")),
    ],
)
def test_settings_say_what_goes(ranges: Ranges, codings: Codings, changed: tuple[bytes, ...]) -> None:
    fields = (
        RANGE,
        (b"if-range", b'"x"'),
        (b"Accept-Encoding", b"gzip"),
        (b"Accept-Encoding", b"dcb"),
        (b"Available-Dictionary", b":pZGm1Av0IEBKARczz7exkNYsZb8LzaMrV7J32a2fFG4=:"),
        (b"Dictionary-ID", b'"1"'),
        (b"A-IM", b"vcdiff"),
        (b"Accept", b"*/*"),
    )
    request = RequestHead(b"GET", b"/", headers=Headers(fields))
    headers, names = normalised(request, Normalisation(ranges, codings))
    assert names == changed
    expected = request.headers.without(*(name for name in changed if name != b"Accept-Encoding"))
    if b"Accept-Encoding" in changed:
        expected = expected.with_(b"Accept-Encoding", b"gzip")
    assert headers == expected


def test_if_range_alone_asks_for_nothing() -> None:
    request = RequestHead(b"GET", b"/", headers=Headers(((b"If-Range", b'"x"'),)))
    assert normalised(request, Normalisation(ranges="remove")) == (request.headers, ())
