"""`RuleSet.scan`, the seam: what it finds is what finditer finds, whole or in windows."""

from collections.abc import Callable, Iterator

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from icapd.errors import ScanTimeout
from icapd.policy import CompiledRule, RuleSet, places
from icapd.policy.databases import Databases


@pytest.fixture(autouse=True, scope="module")
def every_text_is_long() -> Iterator[None]:
    """Places are looked for in the short texts of these tests as in long ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "_SHORT", 0)
        yield


Make = Callable[..., CompiledRule]
Span = tuple[int, int]


def spans(rules: RuleSet, text: bytes, target: str = "body") -> list[tuple[str, int, int]]:
    return [(match.rule.id, match.start, match.end) for match in rules.scan(target, text)]


RULES = [
    pytest.param({"pattern": "ab"}, "abxab", [(0, 2), (3, 5)], id="every match"),
    pytest.param({"pattern": "aba"}, "ababa", [(0, 3)], id="none overlap"),
    pytest.param({"pattern": "k=(?P<secret>a+)"}, "k=aa k=a", [(2, 4), (7, 8)], id="the group secret"),
    pytest.param({"pattern": "k(?P<secret>=a)?"}, "k=a k", [(1, 3), (4, 5)], id="a secret without a part"),
    pytest.param({"pattern": "(a)(b)"}, "ab", [(0, 2)], id="other groups do not count"),
    pytest.param({"pattern": "a*"}, "baa", [(1, 3)], id="an empty match is none"),
    pytest.param({"pattern": "k=(?P<secret>a*)"}, "k=b k=a", [(6, 7)], id="an empty secret is none"),
    pytest.param({"pattern": "AB"}, "ab", [], id="case counts"),
    pytest.param({"pattern": "AB", "ignore_case": True}, "aB", [(0, 2)], id="case ignored"),
    pytest.param({"pattern": r"\w+"}, "é", [], id="bytes know ASCII only"),
    pytest.param({"pattern": r"\w+", "unicode": True}, "-éü", [(1, 5)], id="characters know all"),
    pytest.param({"pattern": "b", "unicode": True}, "\udcff\udcc3b", [(2, 3)], id="broken UTF-8"),
    pytest.param(
        {"pattern": "a", "keywords": ["key"], "max_length": 5},
        "a KEY a  KEY",
        [(0, 1), (6, 7)],
        id="a keyword in any case, before or behind",
    ),
    pytest.param(
        {"pattern": "a", "keywords": ["key"], "max_length": 4}, "a KEY", [], id="a keyword too far away"
    ),
    pytest.param(
        {"pattern": "[ab]{1,3}", "keywords": ["b"]}, "aaaab", [(2, 5)], id="what has no keyword hides nothing"
    ),
    pytest.param({"pattern": "a", "keywords": ["key"]}, "a", [], id="no keyword, no match"),
    pytest.param({"pattern": "[0-9]+", "validator": "luhn"}, "1 4" + "1" * 15, [(2, 18)], id="a validator"),
    pytest.param(
        {"pattern": r"\w+", "validator": ["has_letter", "entropy>=1"]}, "aa 12 ab", [(6, 8)], id="validators"
    ),
    pytest.param(
        {"pattern": "[0-9 ]{16,19}", "validator": "luhn"},
        "12 4111111111111111",
        [(3, 19)],
        id="what is refused hides nothing that begins at a word in it",
    ),
    pytest.param(
        {"pattern": r"key=(?P<secret>\S{1,20})", "validator": "has_digit", "allow": ["="]},
        "key=key=a1 key=ab,key=a2",
        [(8, 10), (22, 24)],
        id="nor what an allow pattern lets be",
    ),
    pytest.param(
        {"pattern": "[0-9]{15,16}", "validator": "luhn"},
        "94111111111111111",
        [],
        id="the rest of a word is none",
    ),
    pytest.param({"pattern": "k=(?P<secret>.)", "allow": ["k", "x"]}, "k=x k=y", [(6, 7)], id="allow"),
    pytest.param(
        {"pattern": r"\w+", "unicode": True, "allow": ["^é"]}, "éa aé", [(4, 7)], id="allow, in characters"
    ),
]


@pytest.mark.parametrize(("keys", "text", "expected"), RULES)
def test_one_rule(compiled: Make, keys: dict[str, object], text: str, expected: list[Span]) -> None:
    found = spans(RuleSet([compiled(**keys)]), text.encode("utf-8", "surrogateescape"))
    assert [span[1:] for span in found] == expected


def test_a_match_tells_its_whole_and_its_secret(compiled: Make) -> None:
    rule = compiled(pattern="é=(?P<secret>a+);", unicode=True)
    assert RuleSet([rule]).scan("body", "-é=aa;".encode()) == [(rule, 4, 6, 1, 7)]


def test_matches_of_all_rules_in_order_of_place(compiled: Make) -> None:
    rules = RuleSet([compiled(id="t.ab", pattern="ab"), compiled(id="t.a", pattern="a")])
    assert spans(rules, b"ab ab") == [("t.a", 0, 1), ("t.ab", 0, 2), ("t.a", 3, 4), ("t.ab", 3, 5)]


@pytest.mark.parametrize(
    ("target", "expected"),
    [("body", ["t.both"]), ("url", ["t.both", "t.url"]), ("method", []), ("header", [])],
)
def test_rules_see_their_targets_only(compiled: Make, target: str, expected: list[str]) -> None:
    targets = {"t.both": ["body", "url"], "t.url": ["url"]}
    rules = RuleSet(compiled(id=name, pattern="a", targets=seen) for name, seen in targets.items())
    assert [rule_id for rule_id, *_ in spans(rules, b"a", target)] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(b"a", ["t.both", "t.length", "t.lines", "t.none"], id="short"),
        pytest.param(b"a" * 5, ["t.both", "t.length", "t.lines", "t.none"], id="at the limit"),
        pytest.param(b"a" * 6, ["t.lines", "t.none"], id="too long"),
        pytest.param(b"a\n\n", ["t.length", "t.none"], id="too many lines"),
        pytest.param(b"a\r\na", ["t.both", "t.length", "t.lines", "t.none"], id="one line break"),
    ],
)
def test_limits_on_field_values(compiled: Make, value: bytes, expected: list[str]) -> None:
    limits = {
        "t.none": {},
        "t.length": {"max_value_length": 5},
        "t.lines": {"max_value_lines": 1},
        "t.both": {"max_value_length": 5, "max_value_lines": 1},
    }
    rules = RuleSet(
        compiled(id=name, pattern="a", targets=["field", "url"], **keys) for name, keys in limits.items()
    )
    assert sorted({rule_id for rule_id, *_ in spans(rules, value, "field")}) == expected
    assert {rule_id for rule_id, *_ in spans(rules, value, "url")} == set(limits)


def test_a_scan_that_takes_too_long_names_its_rule(compiled: Make) -> None:
    rules = RuleSet([compiled(id="t.slow", pattern="(a|a)+(?=b)")])
    with pytest.raises(ScanTimeout) as caught:
        rules.scan("body", b"a" * 40, timeout=0.01)
    assert caught.value.rule_id == "t.slow"


def test_an_allow_pattern_that_takes_too_long_names_its_rule(compiled: Make) -> None:
    rules = RuleSet([compiled(id="t.slow", pattern="a+b", allow=["(a|aa)+$"])])
    with pytest.raises(ScanTimeout) as caught:
        rules.scan("body", b"a" * 40 + b"b", timeout=0.05)
    assert caught.value.rule_id == "t.slow"


def test_a_budget_that_is_spent_ends_the_scan(compiled: Make) -> None:
    with pytest.raises(ScanTimeout):
        RuleSet([compiled(pattern="a")]).scan("body", b"a", timeout=-1)


def test_nothing_that_is_printed_shows_the_text(compiled: Make) -> None:
    matches = RuleSet([compiled(pattern="a+")]).scan("body", b"xaax")
    assert repr(matches) == (
        "[Match(rule=<CompiledRule test.rule>, start=1, end=3, full_start=1, full_end=3)]"
    )


# Patterns of bounded reach with context on both sides, refused matches, and characters of several bytes.
WINDOWED = [
    {"pattern": "(?<=a)b{1,3}(?=c)"},
    {"pattern": r"\b[ab]{2,4}\b"},
    {"pattern": "[abc]{3,6}", "validator": "distinct>=3"},
    {"pattern": "[ab ]{2,6}", "validator": "distinct>=3"},
    {"pattern": r"a+\s?(?P<secret>[ac\n]{1,4})", "allow": ["a"]},
    {"pattern": "a(?P<secret>[bc]{1,2})", "allow": ["cc"], "ignore_case": True},
    {"pattern": "[é€]{1,3}b?", "unicode": True, "allow": ["^é$"]},
    {"pattern": "ac{0,5}", "keywords": ["a"]},
    {"pattern": "[ab]{1,3}", "keywords": ["bc", "c a"]},
    {"pattern": "[abc]{1,4}", "keywords": ["ab"], "max_length": 6, "validator": "distinct>=3"},
    {"pattern": r"a.{0,3}\Z", "keywords": ["b"]},
    {"pattern": "^ab$"},
    {"pattern": "(?m)^[ab]$"},
]


@given(
    text=st.text("abcé€ \n", max_size=60).map(str.encode) | st.binary(max_size=60),
    block_size=st.integers(1, 20),
)
@example(text=b"aaaaaabc", block_size=2)  # a refused match hides what begins inside it, in the next block too
@settings(max_examples=300, deadline=None)
def test_windows_find_what_the_whole_holds(compiled: Make, text: bytes, block_size: int) -> None:
    every = [compiled(id=f"t.rule-{number}", **keys) for number, keys in enumerate(WINDOWED)]
    rules = RuleSet(every, DATABASES)
    whole = rules.scan("body", text)
    assert sorted(in_windows(rules, text, block_size)) == sorted(
        (match.rule.id, *match[1:]) for match in whole
    )
    assert whole == RuleSet(every).scan("body", text)


#: Made once: the rules are the same each time.
DATABASES = Databases()
KEYED = [
    {"pattern": "[ab]{1,3}", "keywords": ["bc", "c a"]},
    {"pattern": "[abc]{1,3}(?=c)", "keywords": ["a"], "max_length": 6},
    {"pattern": "(?<=a)b{1,3}", "keywords": ["aa", "c"]},
    {"pattern": "a+b", "keywords": ["c"], "max_length": 4},
]


@given(st.sampled_from(KEYED), st.text("abc ", max_size=60).map(str.encode))
def test_a_match_counts_with_a_keyword_near_it(compiled: Make, keys: dict[str, object], text: bytes) -> None:
    """The rule said the long way: from each place in turn, wherever keywords stand."""
    rule = compiled(**keys)
    assert rule.pattern is not None
    expected, position = [], 0
    while found := rule.pattern.search(text, position):
        start, end = found.span()
        position = start + 1
        around = text[max(0, min(start, end - rule.max_length)) : max(end, start + rule.max_length)]
        if any(keyword in around for keyword in rule.keywords):
            expected.append((start, end))
            position = end
    assert [span[1:] for span in spans(RuleSet([rule]), text)] == expected


def in_windows(rules: RuleSet, text: bytes, block_size: int) -> list[tuple[str | int, ...]]:
    """Scan block by block, each with a window's worth of bytes around it, as a stream would."""
    found: list[tuple[str | int, ...]] = []
    ends: dict[str, int] = {}
    for block in range(0, len(text), block_size):
        begin = aligned(text, max(0, block - rules.window))
        window = text[begin : aligned(text, block + block_size + rules.window)]
        resume = {rule_id: end - begin for rule_id, end in ends.items() if end > block}
        start, stop = block - begin, block + block_size - begin
        matches = rules.scan("body", window, start=start, stop=stop, resume=resume)
        found += [(match.rule.id, *(offset + begin for offset in match[1:])) for match in matches]
        ends = {rule_id: end + begin for rule_id, end in resume.items()}
    return found


def aligned(text: bytes, offset: int) -> int:
    """Where the UTF-8 character around the offset begins."""
    while 0 < offset < len(text) and text[offset] & 0xC0 == 0x80:
        offset -= 1
    return offset


@given(st.sampled_from(["a+?b*", "[ab]{2}", "(?=b)b", "a|ab|abc", "b*"]), st.text("abc", max_size=30))
def test_as_finditer_finds(compiled: Make, pattern: str, text: str) -> None:
    expected = [found.span() for found in regex.finditer(pattern, text) if found[0]]
    assert [span[1:] for span in spans(RuleSet([compiled(pattern=pattern)]), text.encode())] == expected


LONG = [
    pytest.param({"pattern": "key=[a-z]{40,5000}+!"}, id="the pattern"),
    pytest.param({"pattern": "(?<=k)ey=(?:[a-z]{5}){8,1000}!"}, id="groups"),
    pytest.param({"pattern": "key=[a-z]*!", "max_length": 5000}, id="without a bound"),
    pytest.param(
        {"pattern": "key=[a-z]{40,5000}+!", "keywords": ["word"], "max_length": 9000}, id="a keyword"
    ),
    pytest.param(
        {"pattern": r"\mkey=[a-z]*!", "keywords": ["word"], "max_length": 9000}, id="by the keyword"
    ),
]


@pytest.mark.parametrize("keys", LONG)
def test_a_match_that_is_longer_than_what_is_looked_for(compiled: Make, keys: dict[str, object]) -> None:
    rules = RuleSet([compiled(**keys)], Databases())
    text = b"." * 8000 + b"key=" + b"abcde" * 500 + b"!" + b"." * 4000 + b"word"
    begin = text.index(b"key=") + ("?<=" in str(keys["pattern"]))
    for start, stop in ((begin, begin + 1), (begin - 3000, begin + 1), (begin, len(text)), (0, len(text))):
        found = rules.scan("body", text, start=start, stop=stop)
        assert [(match.full_start, match.full_end) for match in found] == [(begin, text.index(b"!") + 1)]
    assert rules.scan("body", text, start=0, stop=begin) == []
