"""What escapes stand for, and which format has which."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.http.media_types import MediaType
from icapd.inspection.escapes import (
    ANY,
    CHARACTER_REFERENCES,
    FORM,
    JSON,
    PERCENT,
    QUOTED_PRINTABLE,
    SCRIPT,
    Escapes,
)
from icapd.inspection.formats import WHOLE_ESCAPES, text_format
from icapd.inspection.views import View, Views


@pytest.mark.parametrize(
    ("escapes", "text", "decoded"),
    [
        pytest.param(JSON, rb"\"\\\/\b\f\n\r\t", b'"\\/\b\f\n\r\t', id="json-short"),
        pytest.param(JSON, rb"\u0041\u00e9\u20AC", "Aé€".encode(), id="json-numbers"),
        pytest.param(JSON, rb"\ud83d\ude00", "😀".encode(), id="json-surrogate-pair"),
        pytest.param(JSON, rb"\ud83d!\ude00", b"\xed\xa0\xbd!\xed\xb8\x80", id="json-lone-surrogates"),
        pytest.param(JSON, rb"\\u0041\\\n", b"\\u0041\\\n", id="json-escaped-backslashes"),
        pytest.param(JSON, rb"\x41\u12G4\ ", rb"\x41\u12G4\ ", id="json-no-escapes"),
        pytest.param(PERCENT, b"%41%2f+%C3%a9%4", b"A/+\xc3\xa9%4", id="percent"),
        pytest.param(PERCENT, b"%u0041%U20ac%u12", "A€%u12".encode(), id="percent-u"),
        pytest.param(PERCENT, b"%ud83d%ude00%ud83d", "😀".encode() + b"\xed\xa0\xbd", id="percent-u-pair"),
        pytest.param(FORM, b"%41+%2B%zz", b"A +%zz", id="form"),
        pytest.param(FORM, b"%u0041", b"A", id="form-u"),
        pytest.param(SCRIPT, rb"\x41\u0042\u{43}\u{0000044}", b"ABCD", id="script-numbers"),
        pytest.param(
            SCRIPT, rb"\ud83d\ude00\u{1f600}\u{110000}", "😀😀".encode() + rb"\u{110000}", id="script-pair"
        ),
        pytest.param(SCRIPT, rb"\101\60\047\8\xe9", b"A0'" + rb"\8" + "é".encode(), id="script-octal"),
        pytest.param(SCRIPT, rb"\'\`\n\\x41\q", b"'`\n\\x41\\q", id="script-simple"),
        pytest.param(ANY, rb"%41&#66;\x43\000044 \0045\u0046", b"ABCDEF", id="any"),
        pytest.param(ANY, b"a\x00b", b"ab", id="any-null"),
        pytest.param(QUOTED_PRINTABLE, b"=41=\r\nB=3Dc= \n=zz", b"AB=c=zz", id="quoted-printable"),
        pytest.param(CHARACTER_REFERENCES, b"&lt;&#65;&#x42;&eacute;", "<ABé".encode(), id="html"),
        pytest.param(CHARACTER_REFERENCES, b"&zz; &amp &#; a&b", b"&zz; &amp &#; a&b", id="html-none"),
        pytest.param(CHARACTER_REFERENCES, b"&#1;&#x110000;", b"&#1;\xef\xbf\xbd", id="html-no-character"),
    ],
)
def test_escapes_are_decoded_in_place(escapes: Escapes, text: bytes, decoded: bytes) -> None:
    assert View(escapes, text).text == decoded


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        pytest.param(rb"a = 'x\n\'\u20ac\x20'", 1, id="needed"),
        pytest.param(rb"a = '\x41'", 2, id="hexadecimal"),
        pytest.param(rb"a = '\u0041'", 2, id="code-unit"),
        pytest.param(rb"a = '\u{41}'", 2, id="code-point"),
        pytest.param(rb"a = '\101'", 2, id="octal"),
    ],
)
def test_a_script_with_needless_escapes_is_read_twice(text: bytes, readings: int) -> None:
    assert len(list(Views(text, WHOLE_ESCAPES["script"]))) == readings


@given(st.text())
def test_json_strings_are_decoded_as_a_parser_does(text: str) -> None:
    for spelled in (json.dumps(text), json.dumps(text, ensure_ascii=False)):
        inside = spelled[1:-1].encode("utf-8", "surrogatepass")
        assert View(JSON, inside).text == text.encode("utf-8", "surrogatepass")


ESCAPED = st.lists(
    st.sampled_from(
        ["\\", "u", "0041", "d83d", "de00", "n", "/", '"', "x41", "é", "a", "\n", "u00e9", "'", "\0"]
    )
)


@given(ESCAPED.map("".join))
def test_the_short_way_through_json_gives_the_same(text: str) -> None:
    raw = text.encode()
    whole = JSON.decode_whole(raw)
    assert whole in (None, b"".join(JSON.decode_parts(JSON.split(raw))))


@pytest.mark.parametrize(
    "text", [rb"a \"b\" \n\t\r\b\f \\n ' ", rb"\u0041\ud83d\ude00 \ud83d", rb"https:\/\/x\n", b"no escape"]
)
def test_plain_json_takes_the_short_way(text: bytes) -> None:
    assert JSON.decode_whole(text) is not None


@pytest.mark.parametrize(
    ("content_type", "beginning", "expected"),
    [
        pytest.param(b"application/json", b"", "json", id="json"),
        pytest.param(b"application/problem+json", b"", "json", id="json-suffix"),
        pytest.param(b"text/event-stream", b"", "json", id="event-stream"),
        pytest.param(b"application/x-www-form-urlencoded", b"", "form", id="form"),
        pytest.param(b"text/html; charset=utf-8", b"{", "html", id="html"),
        pytest.param(b"application/xhtml+xml", b"", "html", id="xhtml"),
        pytest.param(b"application/xml", b"", "html", id="xml"),
        pytest.param(b"text/plain", b"Hello", "text", id="plain"),
        pytest.param(b"text/plain", b'{"a"', "json", id="plain-that-is-an-object"),
        pytest.param(None, b"[1", "json", id="untyped-that-is-an-array"),
        pytest.param(None, b"a", "text", id="untyped"),
        pytest.param(b"text/javascript", b"", "script", id="script"),
        pytest.param(None, b"\n<?xml?>", "html", id="untyped-markup"),
        pytest.param(b"text/plain", b"<p>", "text", id="plain-markup"),
        pytest.param(b"multipart/mixed; boundary=b", b"--b", "text", id="multipart-that-flows"),
        pytest.param(b"text/csv", b"{", "text", id="other-text"),
    ],
)
def test_a_text_is_read_by_its_type(content_type: bytes | None, beginning: bytes, expected: str) -> None:
    assert text_format(MediaType.parse(content_type), beginning) == expected
