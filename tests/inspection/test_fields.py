"""The single values of a text, decoded, and where they stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.inspection.fields import fields_of, single_value
from icapd.inspection.formats import TextFormat

CASES = [
    pytest.param(
        "json", rb'{"a": "b", "n": 1, "l": ["x", ""]}', [b"a", b"b", b"n", b"l", b"x", b""], id="json"
    ),
    pytest.param("json", rb'{"a\n": "\u0041\"b\""}', [b"a\n", b'A"b"'], id="json-escapes"),
    pytest.param(
        "json", rb'["{\"q\": \"a\\nb\"}"]', [rb'{"q": "a\nb"}', b"q", b"a\nb"], id="json-in-a-string"
    ),
    pytest.param(
        "json", rb'["[\"[\\\"x\\\"]\"]"]', [rb'["[\"x\"]"]', b'["x"]'], id="json-in-json-in-a-string"
    ),
    pytest.param("json", b'{"cut": "of', [b"cut", b"of"], id="json-that-breaks-off"),
    pytest.param(
        "form",
        b"a=1&b+c=%41%26&d&=e&&f=g=h",
        [b"a", b"1", b"b c", b"A&", b"d", b"e", b"f", b"g=h"],
        id="form",
    ),
    pytest.param(
        "form",
        b"p=%7b%22q%22%3A+%22a%5Cn%22%7D&r=[1]",
        [b"p", rb'{"q": "a\n"}', b"q", b"a\n", b"r", b"[1]"],
        id="json-in-a-form",
    ),
    pytest.param("url", b"https://h/p?q=a%20b&r#s=t", [b"q", b"a b", b"r"], id="query"),
    pytest.param("url", b"/p/q#a?b=c", [], id="no-query"),
    pytest.param("url", b"/p?", [], id="empty-query"),
    pytest.param("html", b"<a href='b'> c&lt;d <!--e--> </a>", [b"b", b" c<d ", b"e"], id="html"),
    pytest.param("text", b"a=b", [], id="text"),
]


@pytest.mark.parametrize(("kind", "text", "values"), CASES)
def test_fields_are_the_decoded_values(kind: TextFormat, text: bytes, values: list[bytes]) -> None:
    assert [field.value for field in fields_of(text, kind)] == values


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        pytest.param("text", b"a=b\r\n", [b"a=b"], id="text"),
        pytest.param("text", b"\n", [], id="nothing"),
        pytest.param("text", b"a" * 2000, [], id="long-text"),
        pytest.param("json", b"{{a}}", [b"{{a}}"], id="no-object"),
        pytest.param("json", b"[x]", [b"[x]"], id="no-array"),
        pytest.param("json", b' { "a": 1}', [], id="object"),
        pytest.param("json", b"[[1], {}]", [], id="array"),
        pytest.param("form", b"a=b", [], id="form"),
    ],
)
def test_a_short_plain_text_may_be_one_value(kind: TextFormat, text: bytes, values: list[bytes]) -> None:
    assert [field.value for field in single_value(text, kind)] == values


@pytest.mark.parametrize(("kind", "text", "values"), CASES)
def test_a_field_knows_its_place(kind: TextFormat, text: bytes, values: list[bytes]) -> None:
    for field in fields_of(text, kind):
        if field.value:
            start, end = field.locate(0, len(field.value))
            spelled = text[start:end]
            assert spelled == field.value or any(marker in spelled for marker in (b"\\", b"%", b"+", b"&"))


@given(st.binary(max_size=60), st.sampled_from(["json", "form", "url"]))
def test_any_bytes_have_fields_within_them(text: bytes, kind: TextFormat) -> None:
    for field in fields_of(text, kind):
        if field.value:
            start, end = field.locate(0, len(field.value))
            assert 0 <= start < end <= len(text)
