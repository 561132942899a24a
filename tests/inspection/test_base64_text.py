"""Texts in base64 are told from all else that has its letters, looked into, and written back as they were."""

import base64
import hashlib
import json
import random
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspecting import FORM, HTML, JSON, PLAIN, inspector, policy, rule

from icapd.http.media_types import MediaType
from icapd.inspection import Inspector, base64_text
from icapd.inspection.base64_text import MAX_RUN, MAX_TOTAL, runs_in

KEY = "KEY-ABCDEF123456"
RULES = (
    rule("key", r"\bKEY-[A-Z0-9]{12}\b", KEY),
    rule("password", r'password["\s:=]{1,5}(?P<secret>[^\s"&<]{4,32})', "password=hunter2"),
    rule("attack", "' OR 1", "' OR 1", targets=["field"], action="block"),
    rule("raw", r"raw=(?P<secret>[A-Za-z0-9+/=]{4,64})", "raw=QUJD"),
)


@pytest.fixture(scope="module")
def inspecting(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    return inspector(policy(tmp_path_factory.mktemp("rules"), *RULES))


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def url_safe(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def in_lines(text: str, indent: str = "", length: int = 76) -> str:
    letters = b64(text)
    return f"\n{indent}".join(letters[at : at + length] for at in range(0, len(letters), length))


LONG = "some text that goes on and on, line after line, until it needs more than one of them\n" * 3
USER, GONE = b64(f"user: {KEY}"), b64("user: [REDACTED]")
CASES = {
    "json": (JSON, json.dumps({"a": USER}), json.dumps({"a": GONE}), "key"),
    "json-slashes": (
        JSON,
        json.dumps({"a": b64(f"{KEY} ??>??>~~~")}).replace("/", r"\/"),
        json.dumps({"a": b64("[REDACTED] ??>??>~~~")}),
        "key",
    ),
    "json-within": (
        JSON,
        json.dumps([b64(json.dumps({"a\n": KEY, "n": 1}))]),
        json.dumps([b64(json.dumps({"a\n": "[REDACTED]", "n": 1}))]),
        "key",
    ),
    "form": (
        FORM,
        "a=" + USER.replace("=", "%3D") + "&b",
        "a=" + GONE.replace("=", "%3D") + "&b",
        "key",
    ),
    "html": (HTML, f"<a b='{USER}'>", f"<a b='{GONE}'>", "key"),
    "data-url": (
        HTML,
        f"<img src='data:text/plain;base64,{USER}'>",
        f"<img src='data:text/plain;base64,{GONE}'>",
        "key",
    ),
    "url-safe": (
        PLAIN,
        f"x {url_safe(f'user ?>~: {KEY}')}.",
        f"x {url_safe('user ?>~: [REDACTED]')}.",
        "key",
    ),
    "secret-manifest": (
        MediaType("application/yaml"),
        f"kind: Secret\ndata:\n  a: {b64(f'password={KEY}')}\n  b: x\n",
        f"kind: Secret\ndata:\n  a: {b64('password=[REDACTED]')}\n  b: x\n",
        "key password",
    ),
    "lines": (PLAIN, in_lines(LONG + KEY) + "\n", in_lines(LONG + "[REDACTED]") + "\n", "key"),
    "indented-lines": (
        PLAIN,
        "a: |\n  " + in_lines(LONG + KEY, "  ", 64) + "\nb: c\n",
        "a: |\n  " + in_lines(LONG + "[REDACTED]", "  ", 64) + "\nb: c\n",
        "key",
    ),
    "a-full-line-before-another-word": (
        PLAIN,
        b64("x" * 29 + KEY) + "\nword\n",
        b64("x" * 28 + "x" + KEY) + "\nword\n",
        "",
    ),
    "twice": (PLAIN, b64(f"outer {b64(f'inner: {KEY}')}"), b64(f"outer {b64('inner: [REDACTED]')}"), "key"),
    "attack": (JSON, json.dumps({"q": b64("id=1; x=' OR 1=1")}), None, "attack"),
    "found-as-it-stands-too": (PLAIN, f"raw={USER} x", "raw=[REDACTED] x", "key raw"),
    "known-from-elsewhere": (
        PLAIN,
        f"password: tr0ub4dor-and-3 {b64('again tr0ub4dor-and-3')}",
        f"password: [REDACTED] {b64('again [REDACTED]')}",
        "password",
    ),
    "in-a-part": (
        MediaType.parse(b"multipart/mixed; boundary=b"),
        f"--b\r\n\r\n{USER}\r\n--b--",
        f"--b\r\n\r\n{GONE}\r\n--b--",
        "key",
    ),
}


@pytest.mark.parametrize(("media_type", "text", "redacted", "found"), CASES.values(), ids=CASES)
def test_bodies(
    inspecting: Inspector, media_type: MediaType, text: str, redacted: str | None, found: str
) -> None:
    raw = text.encode()
    inspection = inspecting.inspect_body(raw, media_type)
    assert {finding.rule_id for finding in inspection.findings} == {f"test.{name}" for name in found.split()}
    assert inspection.text.decode() == (text if redacted is None else redacted)


def test_a_finding_has_the_place_of_the_run_and_the_print_of_the_secret(inspecting: Inspector) -> None:
    run = b64(f"user: {KEY}")
    text = json.dumps({"a": run}).encode()
    (finding,) = inspecting.inspect_body(text, JSON).findings
    (plain,) = inspecting.inspect_body(KEY.encode(), PLAIN).findings
    assert text[finding.start : finding.end].decode() == run
    assert finding.fingerprint == plain.fingerprint


PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=15, max_size=80)
CARRIERS = st.sampled_from(['"{}"', "a: {}\n", "<b>{}</b>", "x={}&y", "{}"])


@given(text=PRINTABLE, carrier=CARRIERS, safe=st.booleans(), more=st.sampled_from(["", "é😀", "\n\t"]))
def test_any_printable_text_is_found_and_written_back(text: str, carrier: str, safe: bool, more: str) -> None:
    run = (url_safe if safe else b64)(text + more)
    body = carrier.format(run).encode()
    found = list(runs_in(body))
    if found or not any(each in run[:40] for each in "+/-_"):
        (only,) = found
        assert only.text.decode() == text + more
        written = only.encode(only.text)
        assert written.rstrip(b"=") == run.encode().rstrip(b"=")
        assert body[only.start : only.end] == run.encode()
        other = base64.b64decode(only.encode(b"other text").translate(bytes.maketrans(b"-_", b"+/")) + b"==")
        assert other == b"other text"


def test_what_is_no_text_is_passed_over() -> None:
    style = random.Random(7)
    words = [
        hashlib.sha256(b"a").hexdigest(),
        hashlib.sha1(b"a").hexdigest(),
        str(uuid.UUID(int=7)),
        "getElementsByClassNameAndOtherThings",
        "some_long_identifier_in_snake_case_here",
        "https://example.org/a/very/long/path/to/something/deep",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo",
    ]
    words += [base64.b64encode(style.randbytes(style.randrange(16, 200))).decode() for _ in range(2000)]
    assert list(runs_in("\n".join(words).encode())) == []


def test_no_more_is_decoded_than_is_worth_it() -> None:
    assert list(runs_in(base64.b64encode(b"a text " * MAX_RUN))) == []
    many = b" ".join(base64.b64encode(b"a text %d" % number * 100) for number in range(1000))
    assert MAX_TOTAL // 2 < sum(len(run.text) for run in runs_in(many)) <= MAX_TOTAL


@pytest.mark.parametrize(
    "unit",
    [b"aGVsbG8gd29ybGQgaGVs", b"aGVsbG8gd29ybGQgaGVs\n", b"aGVsbG8gd29ybGQgaGVs=", b"SGVsbG8g" * 8 + b"\n"],
)
def test_hostile_runs_come_to_an_end(inspecting: Inspector, unit: bytes) -> None:
    body = unit * (500_000 // len(unit))
    assert inspecting.inspect_body(body, PLAIN).text is body


def test_redacted_runs_keep_a_manifest_whole(tmp_path: Path) -> None:
    inspecting = inspector(policy(tmp_path, rule("all", "(?s)user.{1,40}", "user x", more="max_length = 64")))
    data = {"a": b64("user: someone else"), "b": b64("nothing to be found here")}
    manifest = {"kind": "Secret", "data": data}
    redacted = json.loads(inspecting.inspect_body(json.dumps(manifest).encode(), JSON).text)
    assert base64.b64decode(redacted["data"].pop("a")) == b"[REDACTED]"
    assert redacted["data"] == {"b": data["b"]}


RUNS = st.sampled_from(["password=hunter2 and more", "x" * 40, "KEY-ABCDEF123456 " * 20]).map(b64)
BETWEEN = st.sampled_from(
    [" ", "", ".", "/", "=", "\n", '"', "abc", "0123456789abcdef" * 2, "a+b/", "+" * 300, "QUJD" * 90, "\xe9"]
)


@given(st.lists(RUNS | BETWEEN, max_size=8).map(lambda pieces: "".join(pieces).encode()))
def test_few_words_and_many_are_told_from_runs_alike(text: bytes) -> None:
    """Behind a word that is long enough to be looked at, as they are where words are many."""
    text = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ\n" + text
    by_words = [(run.start, run.end) for run in runs_in(text)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base64_text, "_FEW_ENDS", 0)
        assert by_words == [(run.start, run.end) for run in runs_in(text)]
