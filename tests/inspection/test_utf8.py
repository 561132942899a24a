"""Characters are whole or not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.inspection.utf8 import character_start, whole_characters


@pytest.mark.parametrize(
    ("text", "offset", "start"),
    [
        pytest.param(b"abc", 1, 1, id="ascii"),
        pytest.param("aé".encode(), 1, 1, id="at-a-character"),
        pytest.param("aé".encode(), 2, 1, id="second-of-two"),
        pytest.param("€".encode(), 2, 0, id="third-of-three"),
        pytest.param("😀".encode(), 3, 0, id="fourth-of-four"),
        pytest.param("é".encode() + b"\x80", 2, 2, id="stray-behind-a-character"),
        pytest.param(b"a\x80", 1, 1, id="stray"),
        pytest.param(b"\x80" * 5, 4, 4, id="many-strays"),
        pytest.param(b"\xed\xa0\xbd", 1, 0, id="lone-surrogate"),
    ],
)
def test_a_byte_belongs_to_its_character(text: bytes, offset: int, start: int) -> None:
    assert character_start(text, offset) == start


@given(data=st.data(), text=st.text(max_size=20).map(str.encode))
def test_what_is_whole_can_be_decoded(data: st.DataObject, text: bytes) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    first, last = whole_characters(text, start, end)
    # Nothing of the span stays but what belongs to a character that begins before it.
    assert start <= first <= last
    assert last >= end or first == last
    assert first - start < 4 and last - end < 4
    assert text[first:last].decode() in text.decode()
