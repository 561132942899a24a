"""The way between a text and its decoded view, against one that is told byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.inspection.escapes import JSON
from icapd.inspection.offsets import OffsetMap
from icapd.inspection.views import View, Views

FRAGMENTS = ["a", "bc", "é", r"\n", r"\u0041", r"\u00e9", r"\ud83d\ude00", r"\\", '"', "\\"]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(lambda parts: "".join(parts).encode())


def origins(text: bytes) -> list[tuple[int, int]]:
    """For each decoded byte, the span of the text that it came from."""
    spans, position = [], 0
    for part in JSON.split(text):
        is_escape = bool(JSON.pattern.fullmatch(part))
        if is_escape:
            spans += [(position, position + len(part))] * len(JSON.decode(part))
        else:
            spans += [(position + at, position + at + 1) for at in range(len(part))]
        position += len(part)
    return spans


@given(data=st.data(), text=TEXTS.filter(bool))
def test_a_decoded_span_comes_from_all_that_spells_it(data: st.DataObject, text: bytes) -> None:
    view, spans = View(JSON, text), origins(text)
    start = data.draw(st.integers(0, len(spans) - 1))
    end = data.draw(st.integers(start + 1, len(spans)))
    assert view.offsets.to_source(start, end) == (spans[start][0], spans[end - 1][1])


@given(data=st.data(), text=TEXTS)
def test_the_first_decoded_byte_behind_a_place_is_found(data: st.DataObject, text: bytes) -> None:
    offsets, spans = View(JSON, text).offsets, origins(text)
    place = data.draw(st.integers(0, len(text)))
    behind = [number for number, (start, _) in enumerate(spans) if start >= place]
    decoded = offsets.from_source(place)
    assert decoded == (behind[0] if behind else len(spans))
    assert offsets.source_of(decoded) == (spans[decoded][0] if behind else len(text))


@given(data=st.data(), text=TEXTS.filter(bool))
def test_a_narrowed_span_cuts_no_escape(data: st.DataObject, text: bytes) -> None:
    offsets, spans = View(JSON, text).offsets, origins(text)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    first, last = offsets.narrow(start, end)
    whole = [span for span in spans if start <= span[0] and span[1] <= end]
    touched = [span for span in spans if span[0] < end and start < span[1]]
    kept = whole or touched
    assert (first, last) == (kept[0][0], kept[-1][1])


@given(data=st.data(), parts=st.lists(TEXTS, min_size=1, max_size=4))
def test_a_map_may_grow_and_forget(data: st.DataObject, parts: list[bytes]) -> None:
    offsets, spans, length = OffsetMap(), [], 0
    for text in parts:
        split = JSON.split(text)
        offsets.extend(split, JSON.decode_parts(split))
        spans += [(start + length, end + length) for start, end in origins(text)]
        length += len(text)
    forgotten = data.draw(st.integers(0, len(spans)))
    offsets.forget(forgotten)
    assert offsets.source_end == length
    for start in range(forgotten, len(spans)):
        assert offsets.to_source(start, len(spans)) == (spans[start][0], spans[-1][1])


@pytest.mark.parametrize(
    ("reading", "span", "located"),
    [
        pytest.param(0, (1, 4), (1, 4), id="as-it-stands"),
        pytest.param(0, (1, 5), (1, 4), id="an-escape-cut-at-the-end-stays"),
        pytest.param(0, (5, 6), (4, 6), id="within-an-escape-takes-it-whole"),
        pytest.param(1, (4, 5), (4, 6), id="decoded-once"),
        pytest.param(1, (3, 7), (3, 9), id="decoded-once-with-an-escape-of-the-next-level"),
        pytest.param(2, (5, 6), (6, 9), id="decoded-twice"),
    ],
)
def test_a_span_of_any_reading_is_found_in_the_text(
    reading: int, span: tuple[int, int], located: tuple[int, int]
) -> None:
    #                 0123456789...
    views = Views(rb"abcd\"\\nxyz", (JSON, JSON))
    assert list(views) == [rb"abcd\"\\nxyz", rb'abcd"\nxyz', b'abcd"\nxyz']
    assert views.locate(reading, *span) == located


def test_nothing_to_decode_leaves_one_reading() -> None:
    assert list(Views(b"plain", (JSON, JSON))) == [b"plain"]


def test_no_text_shows_in_a_repr() -> None:
    assert "plain" not in repr(Views(b"plain", ()))
