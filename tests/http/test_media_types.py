"""What a body claims to be, and what its bytes say."""

import pytest

from icapd.http.media_types import MediaType, is_textual, looks_like_text


@pytest.mark.parametrize(
    ("value", "essence", "charset", "form"),
    [
        (None, "", None, "text"),
        (b"", "", None, "text"),
        (b"text/html; charset=UTF-8", "text/html", "utf-8", "text"),
        (b'Application/JSON;charset="utf-8"', "application/json", "utf-8", "json"),
        (b"application/vnd.api+json", "application/vnd.api+json", None, "json"),
        (b"application/x-ndjson", "application/x-ndjson", None, "json"),
        (b"application/x-www-form-urlencoded", "application/x-www-form-urlencoded", None, "form"),
        (b"text/event-stream ; x=y", "text/event-stream", None, "event-stream"),
        (b"nonsense", "", None, "text"),
        (b"a/b/c", "", None, "text"),
        (b"\xff\xfe/x", "", None, "text"),
    ],
)
def test_content_type(value: bytes | None, essence: str, charset: str | None, form: str) -> None:
    media_type = MediaType.parse(value)
    assert (media_type.essence, media_type.charset, media_type.format) == (essence, charset, form)


@pytest.mark.parametrize(
    ("essence", "textual"),
    [
        ("", True),
        ("text/x-anything", True),
        ("application/json", True),
        ("application/problem+json", True),
        ("application/atom+xml", True),
        ("image/svg+xml", True),
        ("multipart/form-data", True),
        ("application/octet-stream", False),
        ("image/png", False),
        ("application/zip", False),
        ("video/mp4", False),
    ],
)
def test_textual_types(essence: str, textual: bool) -> None:
    assert is_textual(essence) is textual


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        (b"", True),
        (b'{"a": 1}', True),
        ("naïve".encode(), True),
        ("naïve".encode()[:3], True),
        (b"a\x00b", False),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(1, 40)), False),
        (b"\xff\xfe\xfa", False),
        (b"ok\xff middle", False),
        (b"\x01\x02\x03\x04 few letters", False),
    ],
)
def test_bytes_that_look_like_text(sample: bytes, text: bool) -> None:
    assert looks_like_text(sample) is text
