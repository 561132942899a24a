"""Characters and bytes of one text: every offset goes there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy.text import Characters, Text

#: ASCII, UTF-8 of every length, lone surrogates as UTF-8 would spell them, and bytes that are none of these.
PIECES = st.sampled_from(
    [b"a", b"\n", "é€😀".encode(), b"\xed\xa0\x80", b"\xff", b"\xc3", b"\xe2\x82", b"\x80"]
)
RAW = st.lists(PIECES, max_size=8).map(b"".join) | st.binary(max_size=12)


@given(RAW)
def test_every_character_has_its_bytes(raw: bytes) -> None:
    characters = Characters(raw)
    offsets = [characters.offset(index) for index in range(len(characters.string) + 1)]
    assert (offsets[0], offsets[-1]) == (0, len(raw))
    assert offsets == sorted(set(offsets))
    assert [characters.index(offset) for offset in offsets] == list(range(len(offsets)))


@given(RAW, st.data())
def test_offsets_can_be_asked_in_any_order(raw: bytes, data: st.DataObject) -> None:
    characters = Characters(raw)
    for index in data.draw(st.lists(st.integers(0, len(characters.string)), max_size=6)):
        assert characters.offset(index) == Characters(raw).offset(index)


@pytest.mark.parametrize(("offset", "index"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3)])
def test_the_middle_of_a_character_belongs_to_the_next(offset: int, index: int) -> None:
    assert Characters("aéb".encode()).index(offset) == index


@given(st.text(st.characters(exclude_categories=())))
def test_any_str_comes_back(string: str) -> None:
    assert Characters(string.encode("utf-8", "surrogatepass")).string == string


def test_characters_are_made_once() -> None:
    text = Text(b"abc")
    assert text.characters is text.characters
