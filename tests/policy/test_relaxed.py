"""Patterns made simpler: what must stand around a match is kept, what can't be counted is not."""

import pytest

from icapd.policy.relaxed import relaxed


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        pytest.param(b"ab", rb"\x61\x62", id="literals"),
        pytest.param(b"(?<=a)b(?=c)", rb"\x61\x62\x63", id="what stands around takes part"),
        pytest.param(b"(?<!x)(?<=a)b(?!x)", rb"\x61\x62", id="what must not stand around does not"),
        pytest.param(b"(?:(?<=ab)c|d)e", rb"(?:\x61\x62\x63|\x64)\x65", id="also in front of a branch"),
        pytest.param(b"(?:(?<=a)|(?<!b))c", rb"(?:|)\x63", id="but not where nothing may be there"),
        pytest.param(b"ab{2000}c", rb"\x61(?:\x62){16,}", id="of what is long the beginning"),
        pytest.param(b"a(?:bc{9999}|d)e", rb"\x61(?:\x62(?:\x63){16,}|\x64)", id="in each branch"),
        pytest.param(b"ab(?:cd*)*(?=e)", rb"\x61\x62", id="not what may be left out"),
        pytest.param(b"a(?=b)[bc]", rb"\x61[\x62-\x63]", id="what looks ahead within does not"),
        pytest.param(rb"\Aa\b", rb"\x61\b", id="anchors are dropped, boundaries are not"),
        pytest.param(b"a{2,9}b{2,99}", rb"(?:\x61){2,9}(?:\x62){2,}", id="long repetitions have no bound"),
        pytest.param(b"(?:ab){2,33}", rb"(?:\x61\x62){2,}", id="nor have nested ones"),
    ],
)
def test_relaxed(pattern: bytes, expected: bytes) -> None:
    assert relaxed(pattern, most=1024) == expected
