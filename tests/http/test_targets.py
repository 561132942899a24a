"""Where requests go, what answers they take, and what becomes of the head of a changed message."""

import pytest

from icapd.http.acceptance import preferred_type
from icapd.http.adapted import changed_request, changed_response
from icapd.http.headers import Headers
from icapd.http.heads import RequestHead, ResponseHead
from icapd.http.target import Target, file_names_of, target_of

OFFERED = ("text/plain", "text/html", "application/json")


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (b"GET https://Api.Example/a/b?c=d", Target("https", b"Api.Example", 443, b"/a/b", b"c=d")),
        (b"GET http://h:8080", Target("http", b"h", 8080, b"/")),
        (b"GET https://user:secret@h/x", Target("https", b"h", 443, b"/x")),
        (b"GET https://[2001:db8::1]:99/x", Target("https", b"2001:db8::1", 99, b"/x")),
        (b"CONNECT api.example:443", Target("https", b"api.example", 443, b"")),
        (b"CONNECT [::1]:8443", Target("https", b"::1", 8443, b"")),
        (b"GET /x?y=z?", Target("http", b"from.host", 80, b"/x", b"y=z?")),
        (b"OPTIONS *", Target("http", b"from.host", 80, b"*")),
        (b"GET https://:::/x", Target("https", b"", 443, b"/x")),
        (b"GET https://u:hunter2@h/p?q=1#frag", Target("https", b"h", 443, b"/p", b"q=1")),
        (b"GET https://u:p@ss@h/x", Target("https", b"h", 443, b"/x")),
        (b"GET https://h#frag", Target("https", b"h", 443, b"/")),
        (b"GET /x#frag?y", Target("http", b"from.host", 80, b"/x")),
        (b"GET https://h:/x", Target("https", b"h", 443, b"/x")),
    ],
)
def test_target_of_a_request(line: bytes, target: Target) -> None:
    head = RequestHead.parse(line + b" HTTP/1.1\r\nHost: from.host\r\n\r\n")
    assert target_of(head) == target


def test_no_head_has_no_target() -> None:
    assert target_of(None) == Target()


@pytest.mark.parametrize(
    ("disposition", "names"),
    [
        (b'attachment; filename="a b.exe"', (b"a b.exe",)),
        (b"attachment; filename=a.exe", (b"a.exe",)),
        (b"attachment; filename*=UTF-8''a%20b.exe", (b"a b.exe",)),
        (b"attachment; filename=a.txt; filename*=UTF-8''evil%2Eexe", (b"a.txt", b"evil.exe")),
        (b"inline", (b"page.html",)),
        (None, (b"page.html",)),
    ],
)
def test_every_name_a_body_may_be_saved_under(disposition: bytes | None, names: tuple[bytes, ...]) -> None:
    request = RequestHead(b"GET", b"https://h/dir/page%2Ehtml?x=y.exe#z")
    assert file_names_of(disposition, request) == names


def test_root_has_no_file_name() -> None:
    assert file_names_of(None, RequestHead(b"GET", b"https://h/")) == ()


@pytest.mark.parametrize(
    ("accept", "preferred"),
    [
        (None, "text/plain"),
        (b"*/*", "text/plain"),
        (b"text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        (b"application/json, text/event-stream", "application/json"),
        (b"text/html;q=0.5, application/json", "application/json"),
        (b"application/json, text/html", "application/json"),
        (b"APPLICATION/JSON;q=1.0", "application/json"),
        (b"text/html;q=0", "text/plain"),
        (b"image/png", "text/plain"),
        (b";;;,,,/,", "text/plain"),
        (b"a/b," * 100 + b"text/html", "text/plain"),
        # Quadratic to a pattern that lets both halves of a type hold a slash.
        (b"/" * 200_000 + b" x", "text/plain"),
    ],
)
def test_preferred_type(accept: bytes | None, preferred: str) -> None:
    assert preferred_type(accept, OFFERED) == preferred


STALE = Headers(
    (
        (b"Content-Type", b"application/json"),
        (b"content-encoding", b"gzip"),
        (b"Content-Length", b"5"),
        (b"ETag", b'"x"'),
        (b"Content-MD5", b"x"),
        (b"Digest", b"x"),
        (b"Content-Digest", b"x"),
        (b"Repr-Digest", b"x"),
        (b"Want-Digest", b"x"),
        (b"Trailer", b"X-Sum"),
        (b"Accept-Ranges", b"bytes"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Cache-Control", b"max-age=60"),
        (b"Set-Cookie", b"a"),
        (b"Set-Cookie", b"b"),
    )
)


def test_changed_response_describes_its_new_body_and_is_not_stored() -> None:
    headers = changed_response(ResponseHead(200, headers=STALE), 42).headers
    assert headers == Headers(
        (
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"42"),
            (b"Cache-Control", b"no-store"),
            (b"Set-Cookie", b"a"),
            (b"Set-Cookie", b"b"),
        )
    )


def test_changed_request_of_unknown_length_announces_none() -> None:
    headers = changed_request(RequestHead(b"POST", b"/", headers=STALE), None).headers
    assert headers.get(b"content-length") is None
    assert headers.get(b"cache-control") == b"max-age=60"
    assert headers.get(b"content-encoding") is None
