"""Patterns without words: whatever they match is found around a few shapes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.policy import CompiledRule, load_policy
from icapd.policy.databases import Databases
from icapd.policy.prefilter import make_prefilter
from icapd.policy.shapes import MAX_REACH, SHAPES, ShapedPass, has_shape

TABLE = [
    pytest.param(rb"\d{9}", True, id="nine digits"),
    pytest.param(rb"\d{8}", False, id="eight"),
    pytest.param(rb"\b\d{3}-\d{2}-\d{4}\b(?!-)", True, id="with signs between them"),
    pytest.param(rb"\d{4}[ -]?\d{4}[ -]?\d", True, id="that may be left out"),
    pytest.param(rb"\d{4}--\d{5}", False, id="two signs in a row"),
    pytest.param(rb"\d{4}_\d{5}", False, id="another sign"),
    pytest.param(rb"4\d{7,9}", False, id="eight perhaps"),
    pytest.param(rb"4\d{8,9}", True, id="nine at least"),
    pytest.param(rb"(?:\d{9}|[A-F]{2}\d{2}x)", True, id="in each branch one"),
    pytest.param(rb"(?:\d{9}|[A-F]{2}\d)", False, id="in one branch none"),
    pytest.param(rb"(?:\d{3} ){3}", True, id="repeated"),
    pytest.param(rb"(?:\d{3} ){2,3}", False, id="perhaps not so often"),
    pytest.param(rb"[a-f]{2}\d{2}", False, id="small letters"),
    pytest.param(rb"(?i)[A-F]{2}\d{2}", False, id="in any case"),
    pytest.param(rb"(?i:[A-F]{2}\d{2})", False, id="in any case, in a group"),
    pytest.param(rb"[A-Z<]\d{7}", True, id="a letter and seven digits"),
    pytest.param(rb"\d{9}(?:x|yy)?", True, id="and more"),
    pytest.param(rb"\m\d{9}", False, id="what only regex understands"),
]


@pytest.mark.parametrize(("pattern", "expected"), TABLE)
def test_has_shape(pattern: bytes, expected: bool) -> None:
    assert has_shape(pattern) is expected


PATTERNS = [
    rb"\d{9}",
    rb"(?<!\d)\d{3}-\d{2}-\d{4}\b",
    rb"\b[A-Z]{2}\d{2}(?: [A-Z0-9]{4}){2,7}\b",
    rb"\d{4}(?:[ -]?\d{4}){3}",
    rb"\b[A-Z]\d{7}x",
]
FILL = st.sampled_from(
    [b"", b"x", b" word ", b"2026-10-01T08:30", b"1" * 40, b"12 34 ", b"-", b"." * 200, b"A"]
)
NUMBERS = st.sampled_from(
    [b"123456789", b"123-45-6789", b"DE12 3456 789A BC", b"1234 5678-9012 3456", b"Q1234567x"]
)


@pytest.fixture(scope="module")
def rules(compiled: Callable[..., CompiledRule]) -> list[CompiledRule]:
    return [
        compiled(id=f"t.n{number}", pattern=pattern.decode(), max_length=MAX_REACH)
        for number, pattern in enumerate(PATTERNS)
    ]


@given(data=st.data())
def test_what_matches_is_a_candidate(rules: list[CompiledRule], data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.one_of(FILL, NUMBERS, FILL.map(lambda fill: fill * 9)), max_size=12))
    text = b"x" * 1024 + b"".join(pieces)
    prefilter = make_prefilter(rules, Databases(), "body")
    assert any(isinstance(one, ShapedPass) for one, _ in prefilter._told)
    expected = {rule.id for rule in rules if rule.pattern is not None and rule.pattern.search(text)}
    assert expected <= {rule.id for rule in prefilter.candidates(text)}


def test_only_around_shapes_and_where_they_are_many_everywhere() -> None:
    databases = Databases()
    shaped = ShapedPass(databases.one_pass(SHAPES), databases.one_pass([(b"pattern", 0)]))
    far, near = b"pattern" + b"." * 2000, b"pattern 123456789"
    assert shaped.occurring(far) == set()
    assert shaped.occurring(far + b"123456789") == set()
    assert shaped.occurring(far + near) == {0}
    assert shaped.occurring(far + b" 123456789" * 400) == {0}


def test_the_shipped_numbers_are_looked_for_in_this_way() -> None:
    prefilter = load_policy("rules").response._prefilters["body"]
    numbers = [numbers for one, numbers in prefilter._told if isinstance(one, ShapedPass)]
    found = {prefilter._rules[number].id for members in numbers[0] for number in members}
    assert {"pii.payment-card", "pii.iban", "pii.us-ssn"} <= found
