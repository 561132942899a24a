"""Pieces are taken out of a text, in one go and in steps, and no format breaks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.inspection.json_text import JsonCutter
from icapd.inspection.redaction import Cutter, FormCutter, Passage, Piece, PlainCutter, Redactor, Span, redact


def cut(cutter: Cutter, text: str) -> str:
    """Takes out of the text what stands between « and »."""
    spans, plain = [], b""
    for number, part in enumerate(text.replace("»", "«").split("«")):
        encoded = part.encode()
        if number % 2:
            spans.append(Span(len(plain), len(plain) + len(encoded)))
        plain += encoded
    return redact(plain, spans, cutter).decode()


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        pytest.param("nothing", "nothing", id="nothing"),
        pytest.param("a «secret» b", "a [REDACTED] b", id="one"),
        pytest.param("«all»", "[REDACTED]", id="everything"),
        pytest.param("«one»«two»", "[REDACTED][REDACTED]", id="side-by-side"),
    ],
)
def test_plain_text_loses_each_span(text: str, redacted: str) -> None:
    assert cut(PlainCutter(), text) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        pytest.param('{"k": "«secret»"}', '{"k": "[REDACTED]"}', id="a-value"),
        pytest.param('{"k": "a «secret» b"}', '{"k": "a [REDACTED] b"}', id="a-part-of-a-value"),
        pytest.param('{«"k": "secret"»}', '{"k": "[REDACTED]"}', id="quotes-and-names-stay"),
        pytest.param('{"«secret»": 1}', '{"[REDACTED]": 1}', id="a-name-alone"),
        pytest.param('{"a «secret": "tail»"}', '{"a secret": "[REDACTED]"}', id="a-name-and-its-value"),
        pytest.param('{«"secret" :» 1}', '{"[REDACTED]" : 1}', id="a-name-without-its-value"),
        pytest.param('{"a": "«b", "c»d": 1}', '{"a": "[REDACTED]", "cd": 1}', id="a-value-and-half-a-name"),
        pytest.param('{"a": «1, "b"» : 2}', '{"a": 0, "b" : 2}', id="a-value-and-a-name"),
        pytest.param(
            '["«a", "b»c", ":"]', '["[REDACTED]", "[REDACTED]c", ":"]', id="a-value-and-half-of-one"
        ),
        pytest.param('["«a", "b", "c»"]', '["[REDACTED]", "[REDACTED]", "[REDACTED]"]', id="several-values"),
        pytest.param('{"n": «4111111111111111»}', '{"n": 0}', id="a-number"),
        pytest.param('{"n": 41«1111»11}', '{"n": 410}', id="the-middle-of-a-number"),
        pytest.param('{"n": «-1.5e3»}', '{"n": -0}', id="a-number-with-a-sign"),
        pytest.param('{"n": 1«.5»e3}', '{"n": 1.0}', id="the-fraction-of-a-number"),
        pytest.param('{"n": 1.5e«+3»}', '{"n": 1.5e+0}', id="the-exponent-of-a-number"),
        pytest.param('{"n": 12«345»6, "m": 7«8»9}', '{"n": 120, "m": 70}', id="two-numbers"),
        pytest.param('{"n": 1«2»3«4»5}', '{"n": 10}', id="one-number-twice"),
        pytest.param(
            '«[1, true, null, "x", {"b": false}]»', '[0, true, null, "[REDACTED]", {"b": false}]', id="all"
        ),
        pytest.param("[t«ru»e, fals«e»]", "[true, false]", id="parts-of-literals"),
        pytest.param(r'["a\"«secret»\"b"]', r'["a\"[REDACTED]\"b"]', id="between-escaped-quotes"),
        pytest.param(r'["\\", "«secret»"]', r'["\\", "[REDACTED]"]', id="behind-an-escaped-backslash"),
        pytest.param(r'["\«secret\»"', r'["\[REDACTED]\"', id="behind-a-backslash-that-escapes-nothing"),
        pytest.param('["é«secret»é"]', '["é[REDACTED]é"]', id="between-other-characters"),
        pytest.param('data: {"k": "«secret»"}', 'data: {"k": "[REDACTED]"}', id="no-json-before-the-json"),
        pytest.param("«password hunter2», hm", "[REDACTED] [REDACTED], hm", id="no-json-at-all"),
        pytest.param('{"k": "cut «off', '{"k": "cut [REDACTED]', id="json-that-breaks-off"),
        pytest.param("«»", "", id="empty"),
    ],
)
def test_json_keeps_its_shape(text: str, redacted: str) -> None:
    assert cut(JsonCutter(), text) == redacted


def test_json_characters_are_not_cut() -> None:
    text = '["é€"]'.encode()
    # From the second byte of é to the second of €: that which ends in it goes, and goes whole.
    assert redact(text, [Span(3, 6)], JsonCutter()) == '["é[REDACTED]"]'.encode()
    assert redact(text, [Span(2, 6)], JsonCutter()) == b'["[REDACTED]"]'


@pytest.mark.parametrize("cutter", [PlainCutter, FormCutter, JsonCutter])
@given(
    text=st.text('\\"a{0 é&=[:,', max_size=12).map(str.encode),
    spans=st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), max_size=3),
)
def test_any_span_of_any_text_is_cut_in_the_end(
    cutter: type[Cutter], text: bytes, spans: list[tuple[int, int]]
) -> None:
    within = [Span(start, min(end, len(text))) for start, end in spans if start < min(end, len(text))]
    redact(text, within, cutter()).decode()


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        pytest.param("a=«secret»&b=1", "a=%5BREDACTED%5D&b=1", id="a-value"),
        pytest.param("«a=secret»&b=1", "a=%5BREDACTED%5D&b=1", id="names-stay"),
        pytest.param("b=1&«secret»=2", "b=1&%5BREDACTED%5D=2", id="a-name-alone"),
        pytest.param("b=1&«secret=»2", "b=1&%5BREDACTED%5D=2", id="a-name-without-its-value"),
        pytest.param("«a=x&b=y»z", "a=%5BREDACTED%5D&b=%5BREDACTED%5Dz", id="several"),
        pytest.param("a=«ab==»&b", "a=%5BREDACTED%5D&b", id="a-value-with-equals-signs"),
        pytest.param("https://h/p?«a=secret»", "https://h/p?a=%5BREDACTED%5D", id="the-query-of-a-url"),
        pytest.param("/«secret»/p?q", "/%5BREDACTED%5D/p?q", id="the-path-of-a-url"),
    ],
)
def test_forms_keep_their_fields(text: str, redacted: str) -> None:
    assert cut(FormCutter(), text) == redacted


@given(
    data=st.data(),
    spans=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=8),
    steps=st.lists(st.integers(0, 40), max_size=6),
    keeps_length=st.booleans(),
)
def test_writing_in_steps_writes_the_same(
    data: st.DataObject, spans: list[tuple[int, int]], steps: list[int], keeps_length: bool
) -> None:
    text = data.draw(st.text("a1.,", min_size=40, max_size=40)).encode()
    pieces = [
        Piece(start, min(start + length, 40), data.draw(st.sampled_from([b"0", b"[X]"])))
        for start, length in spans
        if start < 40
    ]
    at_once, in_steps = Redactor(keeps_length=keeps_length), Redactor(keeps_length=keeps_length)
    at_once.replace(pieces)
    in_steps.replace(pieces)
    written = b"".join(in_steps.write(Passage(text), step) for step in sorted([*steps, 40]))
    assert written == at_once.write(Passage(text), 40)
    assert len(written) == 40 or not keeps_length


def test_a_passage_counts_from_its_place() -> None:
    passage = Passage(b"secret", 10)
    assert passage.between(12, 15) == b"cre"
    assert passage.has_at(12, b"cr")
    assert "secret" not in repr(passage)
