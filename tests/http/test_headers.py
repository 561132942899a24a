"""Header fields keep their order, their spelling and their duplicates."""

import pytest

from icapd.errors import RemoteProtocolError, TooManyFields
from icapd.http.headers import Headers

LINES = b"Host: a\r\nset-cookie: x=1\r\nAccept:  */*  \r\nSet-Cookie: y=2\r\nEmpty:"


def test_fields_come_back_as_they_came() -> None:
    headers = Headers.parse(LINES)
    assert [name for name, _ in headers] == [b"Host", b"set-cookie", b"Accept", b"Set-Cookie", b"Empty"]
    assert headers.get_all(b"SET-COOKIE") == (b"x=1", b"y=2")
    assert headers.get(b"accept") == b"*/*"
    assert headers.get(b"empty") == b""
    assert headers.get(b"absent") is None
    assert len(headers) == 5


def test_encoding_parses_back() -> None:
    headers = Headers.parse(LINES)
    assert Headers.parse(headers.encode().removesuffix(b"\r\n")) == headers


def test_no_lines_are_no_fields() -> None:
    assert Headers.parse(b"") == Headers()
    assert Headers().encode() == b""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"Host", [b"host", b"set-cookie", b"accept", b"set-cookie", b"empty"]),
        (b"SET-COOKIE", [b"host", b"set-cookie", b"accept", b"empty"]),
        (b"New", [b"host", b"set-cookie", b"accept", b"set-cookie", b"empty", b"new"]),
    ],
)
def test_setting_a_field_keeps_the_place_of_the_first(name: bytes, expected: list[bytes]) -> None:
    changed = Headers.parse(LINES).with_(name, b"v")
    assert changed.get_all(name) == (b"v",)
    assert [key.lower() for key, _ in changed] == expected


def test_fields_are_left_out_by_any_spelling() -> None:
    assert [name for name, _ in Headers.parse(LINES).without(b"SET-cookie", b"HOST")] == [b"Accept", b"Empty"]


def test_list_fields_are_merged() -> None:
    headers = Headers.parse(b"Allow: 204,  206\r\nallow: , trailers")
    assert headers.get_list(b"Allow") == (b"204", b"206", b"trailers")


def test_folded_line_is_joined_by_a_space() -> None:
    assert Headers.parse(b"A: b\r\n\t c\r\nD: e") == Headers(((b"A", b"b c"), (b"D", b"e")))


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"no colon", id="no colon"),
        pytest.param(b"a b: c", id="space in name"),
        pytest.param(b"a : c", id="space before colon"),
        pytest.param(b": c", id="no name"),
        pytest.param(b"a: b\x00", id="NUL"),
        pytest.param(b"a: b\nc: d", id="bare LF"),
        pytest.param(b"a: b\rc", id="bare CR"),
        pytest.param(b"a: b\r\n\r\nc: d", id="empty line"),
        pytest.param(b" a: b", id="fold before anything"),
    ],
)
def test_broken_lines_are_refused(lines: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Headers.parse(lines)


def test_number_of_fields_has_a_limit() -> None:
    assert len(Headers.parse(b"A: b\r\nC: d", max_fields=2)) == 2
    with pytest.raises(TooManyFields):
        Headers.parse(b"A: b\r\nC: d\r\nE: f", max_fields=2)


def test_repr_and_errors_show_no_values() -> None:
    assert "hunter2" not in repr(Headers.parse(b"Authorization: hunter2"))
    with pytest.raises(RemoteProtocolError) as caught:
        Headers.parse(b"Authorization hunter2")
    assert "hunter2" not in str(caught.value)
