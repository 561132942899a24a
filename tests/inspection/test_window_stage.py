"""The window decides alike however a stream is cut, and as if the whole had been there."""


import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspecting import FORM, HTML, JSON, PLAIN, bytewise, inspector, pieces_of, places, policy, rule, through

from icapd.http.media_types import MediaType
from icapd.policy import Policy

# Short matches that overlap, look around themselves and lie next to each other, over a small alphabet.
DENSE = (
    rule("run", "a{3,6}b", "aaab"),
    rule("around", "(?<=x)[ab]{2,4}(?=y)", "xaby"),
    rule("key", r"\bKEY(?P<secret>[0-9]{3,5})\b", "KEY123"),
    rule("noted", "b{1,5}c?", "bb", action="log"),
    rule("letters", "é[à-ü]{1,3}", "éà", more="unicode = true"),
    rule("word", r"\w{2}é\b", "abé", action="log", more="unicode = true"),
    rule("keyword", "tok=(?P<secret>[a-z]{2,5})", "tok=abc", more='keywords = ["tok"]'),
    rule("pair", '"k"[ ]?:[ ]?"[^"]{1,6}"', '"k": "v"'),
    rule("number", "[0-9]{4,6}", "1234", more='validator = "distinct>=3"\nno_match = ["1111"]'),
    rule("watched", "x{2,3}", "xx", more='mode = "monitor"'),
    rule("breaks", r"y\n{1,2}[ab]", "y\na"),
    rule("any", "é.{1,2}b", "éab", action="log", more="unicode = true"),
)
# All of the same reach, which is not a byte longer than the matches need.
TIGHT = (
    rule("ahead", "a(?=aaab)", "aaaab", action="log"),
    rule("behind", "(?<=baaa)a", "baaaa"),
    rule("digits", "[0-9]{4}(?=[0-9]|x)", "12345"),
    rule("exact", "xab[abc]y", "xabcy"),
)
FRAGMENTS = [
    *'abcxy"{}[]:,.=- &+%<é',
    *("aa", "aaa", "bb", "xa", "by", "KEY", "KEY12", "345", "11", "tok=", '"k": "', '"k":', "à", "éü", "\n"),
    *(r"\n", r"\"", r"\\", r"\u0061", r"\u00e9", r"\u004BEY", r"\ud83d\ude00", r"\ud83d", r"é\ud83db", r"\\u0061", r"\\n"),
    *("%61", "%4B", "%C3%A9", "&#97;", "&eacute;", "&quot;", "&#x4b;EY", "&amp;"),
    *("true", "null", "-1.5e3", "0", "1234567890", "31415926535.8979e10", "aaa"),
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=120).map(lambda parts: "".join(parts).encode())
TYPES = pytest.mark.parametrize(
    "media_type",
    [
        pytest.param(JSON, id="json"),
        pytest.param(FORM, id="form"),
        pytest.param(HTML, id="html"),
        pytest.param(PLAIN, id="text"),
        pytest.param(MediaType(), id="untyped"),
    ],
)


@pytest.fixture(scope="module", params=[DENSE, TIGHT], ids=["dense", "tight"])
def rules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return policy(tmp_path_factory.mktemp("rules"), *request.param)


@TYPES
@given(data=st.data(), text=TEXTS, block_size=st.integers(min_value=1, max_value=64))
@settings(max_examples=100)
def test_any_chunking_gives_the_same(
    rules: Policy, media_type: MediaType, data: st.DataObject, text: bytes, block_size: int
) -> None:
    inspecting = inspector(rules, block_size=block_size)
    whole = inspecting.stream(media_type)
    expected = through(whole, [text])
    for pieces in (data.draw(pieces_of(text)), bytewise(text)):
        stream = inspecting.stream(media_type)
        assert through(stream, pieces) == expected
        assert stream.findings == whole.findings


@TYPES
@given(text=TEXTS, block_size=st.integers(min_value=1, max_value=64))
@settings(max_examples=100)
def test_a_stream_is_inspected_like_a_whole_body(
    rules: Policy, media_type: MediaType, text: bytes, block_size: int
) -> None:
    inspecting = inspector(rules, block_size=block_size, max_findings=10_000)
    stream = inspecting.stream(media_type)
    output = through(stream, [text])
    whole = inspecting.inspect_body(text, media_type)
    assert output == whole.text
    assert places(stream.findings) == places(whole.findings)
    assert {f.fingerprint for f in stream.findings} == {f.fingerprint for f in whole.findings}
