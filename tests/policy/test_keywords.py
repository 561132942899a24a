"""Keywords in one pass: the same words that one look-up after another finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy.keywords import Keywords

# Few letters, so that words contain, begin and overlap one another.
WORDS = st.text("abc", min_size=1, max_size=4).map(str.encode)


@given(st.sets(WORDS, max_size=8), st.text("abcABC ", max_size=40).map(str.encode))
def test_as_one_look_up_after_another(words: set[bytes], text: bytes) -> None:
    assert Keywords(words).present(text) == {word for word in words if word in text.lower()}


@pytest.mark.parametrize(
    ("text", "present"),
    [
        pytest.param(b"", set(), id="nothing"),
        pytest.param(b"x sk_LIVE_1", {b"sk_live_"}, id="any case"),
        pytest.param(b"-----BEGIN", {b"-----begin"}, id="signs"),
        pytest.param(b"api_key", {b"api_key", b"key", b"api"}, id="words within a word"),
        pytest.param(b"secretokens", {b"secret", b"token"}, id="words that overlap"),
    ],
)
def test_words_of_rules(text: bytes, present: set[bytes]) -> None:
    words = [b"sk_live_", b"-----begin", b"api_key", b"api", b"key", b"secret", b"token"]
    assert Keywords(words).present(text) == present
