"""URLs, header fields and single values."""

import pytest
from inspecting import inspector, policy, rule

from icapd.http.headers import Headers
from icapd.inspection import Inspector
from icapd.policy import Action

KEY = "KEY-ABCDEF123456"
RULES = (
    rule("key", "KEY-(?P<secret>[A-Z0-9]{12})", KEY, targets=["url", "header"]),
    rule("pair", r"token=\w+", "token=abc", targets=["url"]),
    rule("attack", "' OR ", "' OR ", targets=["field"], action="block"),
    rule("secret", "field-secret", "field-secret", targets=["field"]),
    rule("presence", r"\A", "", targets=["header:X-Forwarded-For"], action="log"),
    rule("exact", "bad", "bad", targets=["header-exact:X-Exact"], action="block"),
    rule("watched", "watched", "watched", targets=["url", "header"], more='mode = "monitor"'),
    rule("method", "TRACE", "TRACE", targets=["method"], action="block"),
    rule("body", "BODY-SECRET", "BODY-SECRET"),
)


@pytest.fixture(scope="module")
def inspecting(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    return inspector(policy(tmp_path_factory.mktemp("rules"), *RULES))


@pytest.mark.parametrize(
    ("url", "redacted", "found"),
    [
        pytest.param("/clean?a=b", None, [], id="clean"),
        pytest.param(f"/p?k={KEY}", "/p?k=KEY-%5BREDACTED%5D", ["key"], id="query"),
        pytest.param(f"https://h:8/{KEY}/p", "https://h:8/KEY-%5BREDACTED%5D/p", ["key"], id="path"),
        pytest.param("/p?k=%4BEY-ABCDEF12345%36", "/p?k=%4BEY-%5BREDACTED%5D", ["key"], id="encoded"),
        pytest.param("/p?k=%254BEY-ABCDEF123456", "/p?k=%254BEY-%5BREDACTED%5D", ["key"], id="encoded-twice"),
        pytest.param("/p?token=abc&x=1", "/p?token=%5BREDACTED%5D&x=1", ["pair"], id="name-and-value"),
        pytest.param("/p?q=1%27+OR+1", None, ["attack"], id="field"),
        pytest.param("/p?q=1' OR ", None, ["attack"], id="field-as-it-stands"),
        pytest.param("/p/' OR /", None, [], id="no-field"),
        pytest.param("/watched", None, ["watched"], id="monitored"),
        pytest.param("*", None, [], id="asterisk-form"),
    ],
)
def test_urls(inspecting: Inspector, url: str, redacted: str | None, found: list[str]) -> None:
    inspection = inspecting.inspect_url(url.encode())
    assert inspection.url.decode() == (url if redacted is None else redacted)
    assert [finding.rule_id for finding in inspection.findings] == [f"test.{name}" for name in found]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"https://{KEY}.example/p", id="host"),
        pytest.param(f"https://user:{KEY}@h/p", id="user-information"),
        pytest.param(f"{KEY}:443", id="authority-form"),
    ],
)
def test_a_redaction_where_to_connect_becomes_a_block(inspecting: Inspector, url: str) -> None:
    inspection = inspecting.inspect_url(url.encode())
    assert inspection.url == url.encode()
    assert [finding.action for finding in inspection.findings] == [Action.BLOCK]


def test_header_values_are_redacted_one_by_one(inspecting: Inspector) -> None:
    headers = Headers(((b"A", KEY.encode()), (b"B", b"clean"), (b"C", f"{KEY} {KEY}".encode())))
    inspection = inspecting.inspect_headers(headers)
    assert inspection.headers.items == (
        (b"A", b"KEY-[REDACTED]"),
        (b"B", b"clean"),
        (b"C", b"KEY-[REDACTED] KEY-[REDACTED]"),
    )
    assert [(finding.target, finding.start) for finding in inspection.findings] == [
        ("header:A", 4),
        ("header:C", 4),
        ("header:C", 21),
    ]


def test_clean_headers_stay_the_same_object(inspecting: Inspector) -> None:
    headers = Headers(((b"Host", b"h"), (b"X-Watched", b"watched")))
    inspection = inspecting.inspect_headers(headers)
    assert inspection.headers is headers
    assert [finding.enforced for finding in inspection.findings] == [False]


def test_a_header_that_is_there_is_found(inspecting: Inspector) -> None:
    headers = Headers(((b"x-forwarded-for", b"10.0.0.1"), (b"X-Exact", b"bad"), (b"x-exact", b"bad")))
    findings = inspecting.inspect_headers(headers).findings
    assert [(finding.rule_id, finding.target) for finding in findings] == [
        ("test.presence", "header:x-forwarded-for"),
        ("test.exact", "header:X-Exact"),
    ]
    assert (findings[0].excerpt, findings[0].fingerprint) == ("", "")


@pytest.mark.parametrize(
    ("value", "redacted"),
    [
        pytest.param("x %4BEY-ABCDEF123456 y", "x %4BEY-[REDACTED] y", id="percent-encoded"),
        pytest.param("x KEY-ABCDEF12345%36%20y", "x KEY-[REDACTED]%20y", id="partly"),
        pytest.param("KEY-%zz", "KEY-%zz", id="clean"),
    ],
)
def test_header_values_are_read_percent_decoded(inspecting: Inspector, value: str, redacted: str) -> None:
    inspection = inspecting.inspect_headers(Headers(((b"A", value.encode()),)))
    assert inspection.headers.items == ((b"A", redacted.encode()),)


def test_single_values(inspecting: Inspector) -> None:
    assert inspecting.inspect_value("method", b"GET", "") == ()
    (finding,) = inspecting.inspect_value("method", b"TRACE", "")
    assert (finding.rule_id, finding.target) == ("test.method", "method")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param("/clean/path", "/clean/path", id="clean"),
        pytest.param(f"/{KEY}/BODY-SECRET", "/KEY-[REDACTED]/[REDACTED]", id="rules-of-every-part"),
        pytest.param("/watched", "/[REDACTED]", id="monitored-rules-too"),
        pytest.param("/%4BEY-ABCDEF12345%36/", "/%4BEY-[REDACTED]/", id="percent-encoded"),
    ],
)
def test_kept_texts_are_masked(inspecting: Inspector, text: str, masked: str) -> None:
    assert inspecting.mask_text(text.encode()).decode() == masked
