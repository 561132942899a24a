"""Bodies of any charset: the secret goes, and every byte outside of it stays."""

import codecs
import gzip

import brotli
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.adapting import adapt, catalogue_of, respmod_of
from support.policies import KEY, SECRET

from icapd.http.media_types import MediaType
from icapd.inspection import Inspector
from icapd.policy import Policy
from icapd.services.body_plan import BodyPlan, PlanKind
from icapd.services.flow import inspected_flow
from icapd.services.texts import inspect_text

CHARSETS = [
    "utf-8",
    "utf-16-le",
    "utf-16-be",
    "utf-32-le",
    "utf-32-be",
    "iso-8859-1",
    "windows-1252",
    "koi8-r",
]
CHARSETS += ["shift_jis", "windows-31j", "euc-jp", "gbk", "gb18030", "big5", "euc-kr", "johab", "cp037"]
WORDS = 'naïve 表示ソ 能力 Ünï — 十五 한국어 привет \\ " 😀 許功蓋 ¥'
SHIFTING = ["iso-2022-jp", "iso-2022-kr", "hz"]
LIVE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def inspector_of(policy: Policy) -> Inspector:
    return catalogue_of(policy).services["/respmod"].inspector


def words_in(charset: str) -> list[str]:
    """Words that a charset has."""
    name = {"windows-31j": "cp932"}.get(charset, charset)
    return [word for word in [*WORDS.split(), "x"] if word.encode(name, "ignore").decode(name) == word]


def encoded(text: str, charset: str) -> bytes:
    return text.encode({"windows-31j": "cp932"}.get(charset, charset))


@pytest.mark.parametrize("charset", CHARSETS)
@LIVE
@given(st.data())
def test_secret_goes_and_every_other_byte_stays(policy: Policy, charset: str, data: st.DataObject) -> None:
    some = st.lists(st.sampled_from(words_in(charset)), max_size=5).map(" ".join)
    before, middle, after = (data.draw(some) for _ in range(3))
    broken = data.draw(st.sampled_from([b"", b"\xff\xff", b"\x80"])) if charset == "utf-8" else b""
    around = [
        broken + encoded(f"{before} KEY-", charset),
        encoded(f" {middle} KEY-", charset),
        encoded(f" {after}", charset),
    ]
    body = encoded(SECRET.decode(), charset).join(around)
    media_type = MediaType("text/plain", charset)
    inspection = inspect_text(inspector_of(policy), body, media_type)
    assert inspection.text == encoded("[REDACTED]", charset).join(around)
    # Spans count in the bytes of the body.
    first = len(around[0])
    assert inspection.findings[0].start == first
    assert body[first : inspection.findings[0].end] == encoded(SECRET.decode(), charset)


@pytest.mark.parametrize(
    ("charset", "word"),
    [("iso-2022-jp", "x"), ("iso-2022-jp", "表示"), ("iso-2022-kr", "한국어"), ("hz", "表示")],
)
def test_secret_goes_from_a_text_with_shifts(policy: Policy, charset: str, word: str) -> None:
    body = f"{word} {KEY.decode()} {word}".encode(charset)
    inspection = inspect_text(inspector_of(policy), body, MediaType("text/plain", charset))
    assert inspection.text == body.replace(SECRET, b"[REDACTED]")


def test_secret_in_utf_7_goes_in_both_readings(policy: Policy) -> None:
    hidden = b"+" + codecs.encode(KEY.decode().encode("utf-16-be"), "base64").strip().rstrip(b"=") + b"-"
    inspection = inspect_text(
        inspector_of(policy), b"a " + hidden + b" +AGE- KEY-ABCDEF123456", MediaType("text/plain", "utf-7")
    )
    assert inspection.text.decode("utf-7") == "a KEY-[REDACTED] a KEY-[REDACTED]"
    assert b"+AGE-" in inspection.text
    assert len(inspection.findings) == 2


LABELS = ["utf-16", "utf-16be", "utf-32", "utf-7", "ebcdic-cp-us", "cp500"]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("essence", ["text/html", "application/json", "text/plain"])
def test_ascii_hides_behind_no_label(policy: Policy, essence: str, label: str) -> None:
    body = b'"\x81 ' + KEY + b'"'
    inspection = inspect_text(inspector_of(policy), body, MediaType(essence, label))
    assert inspection.text == body.replace(SECRET, b"[REDACTED]")


@pytest.mark.parametrize("label", ["utf-16", "utf-32", "cp500"])
def test_ascii_that_flows_hides_behind_no_label(policy: Policy, label: str) -> None:
    body = b"x " * 10_000 + KEY + b" tail"
    outcome = adapt(catalogue_of(policy), respmod_of(body, b"text/plain; charset=" + label.encode()))
    assert outcome.body == body.replace(SECRET, b"[REDACTED]**")


def test_json_in_shift_jis_is_cut_where_its_strings_end(policy: Policy) -> None:
    """The second byte of 表 is a backslash: read as bytes, it would swallow the quote."""
    body = '{"表": "KEY-ABCDEF123456", "n": 1}'.encode("shift_jis")
    inspection = inspect_text(inspector_of(policy), body, MediaType("application/json", "shift_jis"))
    assert inspection.text == body.replace(SECRET, b"[REDACTED]")


def test_clean_text_is_the_very_object_that_went_in(policy: Policy) -> None:
    body = "naïve".encode("utf-16")
    inspection = inspect_text(inspector_of(policy), body, MediaType("text/plain"))
    assert inspection.text is body
    assert inspection.findings == ()


@pytest.mark.parametrize("charset", [name for name in CHARSETS if name not in {"windows-31j"}])
@LIVE
@given(st.data(), st.lists(st.integers(1, 9000), max_size=12))
def test_flow_keeps_every_other_byte_and_its_length(
    policy: Policy, charset: str, data: st.DataObject, sizes: list[int]
) -> None:
    some = st.lists(st.sampled_from(words_in(charset)), min_size=1, max_size=5).map(" ".join)
    words = [data.draw(some) * data.draw(st.sampled_from([1, 300, 4000])) for _ in range(3)]
    around = [f"{words[0]} KEY-", f" {words[1]} KEY-", f" {words[2]}"]
    own = [part.encode(charset) for part in around]
    body = SECRET.decode().encode(charset).join(own)
    plan = BodyPlan(PlanKind.STREAM, MediaType("text/plain", charset))
    flow = inspected_flow(inspector_of(policy), plan, len(body), body)
    flow.be_patient()
    out, rest = b"", body
    for size in sizes:
        out += flow.feed(rest[:size])
        rest = rest[size:]
    out += flow.feed(rest) + flow.finish()
    assert out == "[REDACTED]**".encode(charset).join(own)
    assert len(flow.findings) == 2


@pytest.mark.parametrize("charset", [*SHIFTING, "utf-16", "gbk"])
def test_large_answer_is_redacted_as_it_flows(policy: Policy, charset: str) -> None:
    text = "x " * 10_000 + KEY.decode() + " tail" * 2000
    body = text.encode(charset)
    content_type = b"text/plain; charset=" + charset.encode()
    outcome = adapt(catalogue_of(policy), respmod_of(body, content_type))
    assert outcome.body.decode(charset) == text.replace(SECRET.decode(), "[REDACTED]**")
    assert b"\r\nContent-Length: %d\r\n" % len(body) in outcome.http_head
    assert (outcome.record.inspection, outcome.record.disposition) == ("complete", "redacted")


CODERS = {"br": brotli.compress, "zstd": zstandard.compress, "gzip": gzip.compress}


@pytest.mark.parametrize("coding", CODERS)
@pytest.mark.parametrize("size", [10, 60_000])
@pytest.mark.parametrize("charset", ["utf-8", "utf-16"])
def test_coded_answer_of_any_charset_leaves_in_no_coding(
    policy: Policy, coding: str, size: int, charset: str
) -> None:
    text = "é" * size + f" {KEY.decode()} end"
    body = CODERS[coding](text.encode(charset))
    content_type = b"text/plain; charset=" + charset.encode()
    outcome = adapt(
        catalogue_of(policy), respmod_of(body, content_type, b"Content-Encoding: " + coding.encode())
    )
    # As it flows, UTF-16 keeps the length of what is taken out.
    redacted = outcome.body.decode(charset).replace("[REDACTED]**", "[REDACTED]")
    assert redacted == text.replace(SECRET.decode(), "[REDACTED]")
    assert b"Content-Encoding" not in outcome.http_head
    assert outcome.record.inspection == "complete"


@pytest.mark.parametrize("coding", CODERS)
def test_clean_coded_answer_of_another_charset_stays_as_it_is(policy: Policy, coding: str) -> None:
    body = CODERS[coding]('{"a": "é"}'.encode("utf-16"))
    outcome = adapt(
        catalogue_of(policy), respmod_of(body, b"application/json", b"Content-Encoding: " + coding.encode())
    )
    assert outcome.status == 204
    assert outcome.record.inspection == "complete"


def test_body_without_a_type_may_be_marked_as_utf_16(policy: Policy) -> None:
    body = KEY.decode().encode("utf-16")
    outcome = adapt(catalogue_of(policy), respmod_of(body, b"application/octet-stream"))
    assert outcome.body == "KEY-[REDACTED]".encode("utf-16")
