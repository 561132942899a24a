"""Keywords in stretches of a text: told as if each were looked through by itself."""

from hypothesis import given
from hypothesis import strategies as st

from icapd.policy.keyword_search import KeywordSearch

STRETCHES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12)


@given(
    st.lists(st.sampled_from([b"a", b"ab", b"aba", b"bb", b"cab"]), unique=True, max_size=3),
    st.text("abc.", max_size=40).map(str.encode),
    STRETCHES,
)
def test_as_one_stretch_by_itself(
    keywords: list[bytes], text: bytes, stretches: list[tuple[int, int]]
) -> None:
    search = KeywordSearch(keywords, text)
    for first, last in [*stretches, *sorted(stretches)]:
        expected = not keywords or any(keyword in text[first:last] for keyword in keywords)
        assert search.within(first, last) is expected


class Counting(bytes):
    """Counts the bytes that are looked through."""

    looked_through = 0

    def rfind(self, keyword: bytes, begin: int, last: int) -> int:  # type: ignore[override]
        self.looked_through += max(0, min(last, len(self)) - begin)
        return super().rfind(keyword, begin, last)


def test_a_text_is_looked_through_once_or_twice_however_many_stretches_overlap() -> None:
    for text in (b"." * 10_000, b"key." * 2500, b"." * 5000 + b"key" + b"." * 4997):
        counting = Counting(text)
        search = KeywordSearch([b"key"], counting)
        for first in range(len(text)):
            search.within(first, first + 1000)
        assert counting.looked_through < 5 * len(text)
