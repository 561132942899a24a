"""HTML and XML: told apart without parsing, and left with the tags that they had."""

from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from inspecting import HTML, bytewise, inspector, pieces_of, policy, rule, through

from icapd.http.media_types import MediaType
from icapd.inspection import Inspector, markup
from icapd.inspection.markup import MarkupCutter, tokens
from icapd.inspection.redaction import Span, redact

KEY = "KEY-ABCDEF123456"
RULES = (
    rule("key", "KEY-[A-Z0-9]{12}", KEY),
    rule("greedy", r"<x>.{1,40}?</x>", "<x>1</x>", more="max_length = 64"),
    rule("password", r'password["\s:=]{1,5}(?P<secret>[^\s"&<]{4,32})', "password=hunter2"),
    rule("attack", "' OR 1", "' OR 1", targets=["field"], action="block"),
)


@pytest.fixture(scope="module")
def inspecting(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    return inspector(policy(tmp_path_factory.mktemp("rules"), *RULES))


def cut(text: str) -> str:
    """Takes out of the text what stands between « and »."""
    spans, plain = [], b""
    for number, each in enumerate(text.replace("»", "«").split("«")):
        encoded = each.encode()
        if number % 2:
            spans.append((len(plain), len(plain) + len(encoded)))
        plain += encoded
    return redact(plain, [Span(*span) for span in spans], MarkupCutter()).decode()


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        pytest.param("<p>a «secret» b</p>", "<p>a [REDACTED] b</p>", id="text"),
        pytest.param("«<p>secret</p>»", "<p>[REDACTED]</p>", id="an-element"),
        pytest.param(
            "<b>«one</b> two<i> three»</i>", "<b>[REDACTED]</b>[REDACTED]<i>[REDACTED]</i>", id="texts"
        ),
        pytest.param('<a href="x?«secret»">', '<a href="x?[REDACTED]">', id="value"),
        pytest.param("<a «href='secret'»>", "<a href='[REDACTED]'>", id="value-with-its-name"),
        pytest.param("<a href=«secret» b>", "<a href=[REDACTED] b>", id="value-without-quotes"),
        pytest.param(
            "<a t='1 > 0' «href='x'>y»</a>", "<a t='1 > 0' href='[REDACTED]'>[REDACTED]</a>", id="greater"
        ),
        pytest.param("<«secret» a=b>", "<REDACTED a=b>", id="name-alone"),
        pytest.param("<!-- «secret» -->", "<!-- [REDACTED] -->", id="comment"),
        pytest.param("<!-- a «b --> c»", "<!-- a [REDACTED]-->[REDACTED]", id="end-of-comment"),
        pytest.param("<![CDATA[ a «b ]]> c»", "<![CDATA[ a [REDACTED]]]>[REDACTED]", id="end-of-cdata"),
        pytest.param(
            "<script>if (a<b) t('«secret»')</script>",
            "<script>if (a<b) t('[REDACTED]')</script>",
            id="script",
        ),
        pytest.param(
            "<script>a«b</script><p>c»", "<script>a[REDACTED]</script><p>[REDACTED]", id="end-of-script"
        ),
        pytest.param('<!ENTITY a "«secret»">', '<!ENTITY a "[REDACTED]">', id="declaration"),
        pytest.param("1 < «2» > 3", "1 < [REDACTED] > 3", id="no-tag"),
        pytest.param("<a b='«cut off", "<a b='[REDACTED]", id="tag-that-breaks-off"),
        pytest.param("<!-- «cut off", "<!-- [REDACTED]", id="comment-that-breaks-off"),
        pytest.param("<p>é«secret»é</p>", "<p>é[REDACTED]é</p>", id="characters"),
    ],
)
def test_markup_keeps_its_tags(text: str, redacted: str) -> None:
    assert cut(text) == redacted


@given(st.lists(st.sampled_from([*"<>/=\"'!-[] a", "<script>", "</script", "<!--", "-->"]), max_size=30))
def test_tokens_follow_one_another_through_any_text(parts: list[str]) -> None:
    text, position = "".join(parts).encode(), 0
    for token in tokens(text):
        assert token.start == position < token.end
        position = token.end
        inside = [token.start, *(edge for area in token.areas for edge in area), token.end]
        assert inside == sorted(inside)
    assert position == len(text)


@pytest.mark.parametrize(
    "text", [b"<!--", b"<a b='", b'<a ="', b"<![CDATA[", b"<script>", b"< <", b"<!", b"=\"'"]
)
def test_hostile_markup_is_read_in_one_pass(text: bytes) -> None:
    many = text * (300_000 // len(text))
    assert sum(token.end - token.start for token in tokens(many)) == len(many)
    spans = [(at, at + 3) for at in range(0, len(many) - 3, 100)]
    assert redact(many, [Span(*span) for span in spans], MarkupCutter())


# --- any document


class Structure(HTMLParser):
    """What stands in a document apart from texts and values."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=False)
        self.events: list[object] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.events.append((tag, [(name, value is None) for name, value in attrs]))

    def handle_endtag(self, tag: str) -> None:
        self.events.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.events.append("comment")


TEXTS = st.sampled_from(
    [
        "a",
        " x ",
        f"a {KEY} b",
        "1 < 2",
        "&amp;&lt;",
        f"&quot;{KEY}&quot;",
        "&#75;EY-ABCDEF123456",
        "password: hunter2",
    ]
)
VALUES = st.sampled_from(
    ["", "a", KEY, f"/x?{KEY}", "1 > 0", "password=hunter2", "<b>", "&#x4b;EY-ABCDEF123456"]
)
QUOTED = st.tuples(VALUES, st.sampled_from(["'", '"'])).map(lambda each: f"={each[1]}{each[0]}{each[1]}")
ATTRIBUTES = st.lists(
    st.tuples(st.sampled_from(["id", "href", "x"]), QUOTED | st.sampled_from(["", f"={KEY}"])), max_size=3
)
ELEMENTS = st.recursive(
    TEXTS
    | st.sampled_from(
        [f"<!-- {KEY} -->", f"<script>a<b; '{KEY}'</script>", "<!-- > -->", "<style>a{{}}</style>"]
    ),
    lambda inner: st.tuples(st.sampled_from(["p", "x", "div"]), ATTRIBUTES, st.lists(inner, max_size=4)).map(
        lambda each: "<{0}{1}>{2}</{0}>".format(
            each[0], "".join(f" {name}{value}" for name, value in each[1]), "".join(each[2])
        )
    ),
    max_leaves=12,
)


@given(ELEMENTS)
def test_any_document_keeps_its_tags_and_loses_its_secrets(inspecting: Inspector, document: str) -> None:
    redacted = inspecting.inspect_body(document.encode(), HTML).text.decode()
    assert Structure(redacted).events == Structure(document).events
    for reading in (redacted, redacted.replace("&#75;", "K").replace("&#x4b;", "K")):
        assert KEY not in reading


@given(st.data(), ELEMENTS)
def test_a_document_that_flows_keeps_its_tags(
    inspecting: Inspector, data: st.DataObject, document: str
) -> None:
    raw = document.encode()
    redacted = through(inspecting.stream(HTML), data.draw(pieces_of(raw)))
    assert redacted == through(inspecting.stream(HTML), bytewise(raw))
    assert KEY.encode() not in redacted
    assert Structure(redacted.decode()).events == Structure(document).events


# --- single values


def test_texts_and_values_of_xml_are_fields(inspecting: Inspector) -> None:
    soap = b"<e:Body xmlns:e='u'><q id=\"1\">1&apos; OR 1=1</q></e:Body>"
    (finding,) = inspecting.inspect_body(soap, MediaType("application/soap+xml")).findings
    assert (finding.target, soap[finding.start : finding.end]) == ("field", b"&apos; OR 1")
    cdata = b"<q><![CDATA[1' OR 1=1]]></q>"
    assert inspecting.inspect_body(cdata, MediaType("text/xml")).findings
    assert inspecting.inspect_body(b'<q a="\' OR 1"/>', MediaType("text/xml")).findings
    assert not inspecting.inspect_body(b"<!-- ' --><q>OR 1</q>", MediaType("text/xml")).findings


def test_redacted_xml_is_xml(tmp_path: Path) -> None:
    inspecting = inspector(policy(tmp_path, rule("all", r"<key.{1,40}", "<key>x", more="max_length = 64")))
    redacted = inspecting.inspect_body(b"<a><key>secret</key><b/></a>", MediaType("text/xml")).text
    assert ElementTree.tostring(ElementTree.fromstring(redacted)) == b"<a><key>[REDACTED]</key><b /></a>"


PIECES = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<a href=",
        '"',
        "'",
        "x",
        " ",
        "=",
        ">",
        "<!-- ",
        " -->",
        "<script>",
        "</script>",
        "< 1 ",
        "b",
        *["«KEY-1»", "«KEY-1»", '<i t="', "<b c='d'>", "<br/>", "&amp;", "/", "KEY-«2»", " "],
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join).filter(lambda text: "»«" not in text))
def test_what_shows_at_once_is_what_all_tags_before_it_say(text: str) -> None:
    plain = text.replace("«", "").replace("»", "").encode()
    assume(not any(plain.find(b"<", token.start + 1, token.end) > 0 for token in tokens(plain)))
    at_once = cut(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markup, "_is_plain", lambda *_: False)
        assert at_once == cut(text)
