"""Whatever is planted in a body, in whatever spelling: it goes, and the body keeps its shape and all else."""

import base64
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspecting import EVENTS, FORM, HTML, JSON, PLAIN, inspector, policy, rule, through

from icapd.http.media_types import MediaType
from icapd.inspection import Inspector

KEY = "KEY-ABCDEF123456"
CARD = "4111111111111111"
RULES = (
    rule("key", "KEY-[A-Z0-9]{12}", KEY),
    rule("card", r"\b4[0-9]{15}\b", CARD),
    rule("password", r"password=(?P<secret>[^\s\"&<']{12,32})", "password=tr0ub4dor-and-3"),
)


@pytest.fixture(scope="module")
def inspecting(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    return inspector(policy(tmp_path_factory.mktemp("rules"), *RULES))


def in_base64(text: str) -> str:
    return base64.b64encode(f"some text: {text} and more".encode()).decode()


def in_code_units(text: str) -> str:
    return "".join(f"\\u{ord(each):04x}" for each in text)


#: Ways to write a secret that its reader undoes, besides those of the format around it.
SPELLINGS: list[Callable[[str], str]] = [
    str,
    in_base64,
    in_code_units,
    lambda text: json.dumps({"x": f"\n{text}"}),
    lambda text: text.replace("K", "\uff2b").replace("A", "\u0410"),
    "\u200b".join,
]
SECRETS = st.sampled_from([KEY, f"a {KEY} b", f"password={CARD[:13]}x", f"{KEY}{KEY}"])
TEXTS = st.sampled_from(
    ["", "a", 'say "x"', "\\", "é😀", "a&b=c;d", "<b>", "100%", "%zz&amp;", "\n\t", "\x7f"]
)
PLANTED = st.tuples(SECRETS, st.sampled_from(SPELLINGS)).map(lambda each: each[1](each[0]))
VALUES = st.lists(TEXTS | PLANTED, max_size=3).map("".join)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 10**6) | st.just(int(CARD)) | VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(VALUES, inner), max_size=4).map(dict),
    max_leaves=10,
)


def leaves(document: Any) -> list[str]:
    match document:
        case str():
            return [document]
        case list():
            return [leaf for item in document for leaf in leaves(item)]
        case dict():
            return [leaf for pair in document.items() for item in pair for leaf in leaves(item)]
    return []


_ESCAPE = re.compile(r"\\(?:u([0-9a-f]{4})|.)", re.DOTALL)


def is_gone(text: str) -> bool:
    """Whether no reader finds a key in the text: undone in every way of SPELLINGS."""
    readings = [text, text.replace("\u200b", ""), text.replace("\uff2b", "K").replace("\u0410", "A")]
    readings.append(_ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[0], text))
    for word in text.replace('"', " ").split():
        try:
            readings.append(base64.b64decode(word, validate=True).decode())
        except ValueError:
            continue
    return not any(KEY in reading for reading in readings)


def shape(document: Any) -> Any:
    """The document with nothing of its strings and numbers but their types."""
    match document:
        case list():
            return [shape(item) for item in document]
        case tuple():
            return (str, shape(document[1]))
        case bool() | None:
            return document
    return float if isinstance(document, (int, float)) else type(document)


def pairs(text: str) -> Any:
    return json.loads(text, object_pairs_hook=lambda items: [tuple(item) for item in items])


def stands_otherwise(before: bytes, after: bytes) -> bool:
    """Whether what stands between replacements, 0 among them, stood there before, in that order."""
    position = 0
    for part in re.split(rb"(?:\[|%5B)?REDACTED(?:\]|%5D)?|0", after):
        at = before.find(part, position)
        if at < 0:
            return False
        position = at + len(part)
    return True


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1]))
def test_json(inspecting: Inspector, document: Any, ensure_ascii: bool, indent: int | None) -> None:
    text = json.dumps(document, ensure_ascii=ensure_ascii, indent=indent)
    inspection = inspecting.inspect_body(text.encode(), JSON)
    redacted = inspection.text.decode()
    assert shape(pairs(redacted)) == shape(pairs(text))
    assert CARD not in redacted
    assert all(map(is_gone, leaves(json.loads(redacted))))
    assert inspection.findings or redacted == text


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b c", "é", ""]), VALUES), max_size=5),
    st.sampled_from([quote, quote_plus, lambda text: quote(quote(text)).replace("K", "%4B")]),
)
def test_forms(inspecting: Inspector, fields: list[tuple[str, str]], spell: Callable[[str], str]) -> None:
    text = "&".join(f"{quote_plus(name)}={spell(value)}" for name, value in fields)
    redacted = inspecting.inspect_body(text.encode(), FORM).text.decode()
    before, after = (parse_qsl(each, keep_blank_values=True) for each in (text, redacted))
    assert [name for name, _ in before] == [name for name, _ in after]
    assert all(is_gone(value) for _, value in after)


@given(st.lists(VALUES.filter(lambda text: "\n" not in text and "\x7f" not in text), max_size=6))
def test_event_streams(inspecting: Inspector, values: list[str]) -> None:
    text = "".join(
        f"id: {number}\ndata: {json.dumps({'v': value})}\n\n" for number, value in enumerate(values)
    )
    redacted = through(inspecting.stream(EVENTS), [text.encode()]).decode()
    before, after = (each.split("\n") for each in (text, redacted))
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        assert one.partition(":")[0] == other.partition(":")[0]
        if other.startswith("data: "):
            (leaf,) = json.loads(other.removeprefix("data: ")).values()
            assert is_gone(leaf)


@given(st.lists(VALUES, max_size=5), st.booleans())
def test_html(inspecting: Inspector, values: list[str], in_attributes: bool) -> None:
    spelled = [html.escape(value).replace("K", "&#75;") for value in values]
    text = "".join(f'<p a="{each}">' if in_attributes else f"<p>{each}</p>" for each in spelled)
    redacted = inspecting.inspect_body(text.encode(), HTML).text.decode()
    for mark in "<>" if in_attributes else '<>"':
        assert redacted.count(mark) == text.count(mark)
    assert is_gone(html.unescape(redacted))


SCRIPT, PARTS = MediaType("text/javascript"), MediaType.parse(b"multipart/mixed; boundary=a")
TYPES = [JSON, FORM, HTML, PLAIN, SCRIPT, PARTS]
FRAGMENTS = (
    *(
        KEY,
        CARD,
        "password=tr0ub4dor-and-3",
        "--a\r\n",
        "\r\n\r\n",
        "--a--",
        "\\u0041",
        "&lt;",
        "%4B",
        "='",
        "é",
    ),
    *'"{[:,\\<a>&=% 1',
)


@pytest.mark.parametrize("media_type", TYPES, ids=lambda each: each.essence)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=16).map("".join))
def test_all_else_stands(inspecting: Inspector, media_type: MediaType, text: str) -> None:
    before = text.encode()
    after = inspecting.inspect_body(before, media_type).text
    assert stands_otherwise(before, after)
    assert KEY.encode() not in after


def test_a_key_block_goes_whole(tmp_path: Path) -> None:
    block = "-----BEGIN PRIVATE KEY-----\n" + ("A" * 64 + "\n") * 4 + "-----END PRIVATE KEY-----"
    pattern = "-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\\s]{1,900}-----END PRIVATE KEY-----"
    inspecting = inspector(policy(tmp_path, rule("pem", pattern, block, more="max_length = 1000")))
    for media_type, text, redacted in (
        (PLAIN, f"a\n{block}\nb", "a\n[REDACTED]\nb"),
        (JSON, json.dumps({"k": block}), '{"k": "[REDACTED]"}'),
        (FORM, f"k={quote(block)}&b", "k=%5BREDACTED%5D&b"),
        (HTML, f"<pre>{block}</pre>", "<pre>[REDACTED]</pre>"),
    ):
        assert inspecting.inspect_body(text.encode(), media_type).text.decode() == redacted
