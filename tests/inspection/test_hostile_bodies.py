"""Bodies made to hurt, under the shipped policy: read to their end or given up in time, and nothing leaks."""

import html
import json
from base64 import b64encode

import pytest
from inspecting import EVENTS, FORM, HTML, JSON, through

from icapd.errors import ScanTimeout
from icapd.http.media_types import MediaType
from icapd.inspection import Fingerprinter, InspectionLimits, Inspector
from icapd.policy import default_rules_directory, load_policy

TEXT = MediaType("text/plain")
PARTS = MediaType.parse(b"multipart/form-data; boundary=b")
KEY = b"AKIA" + b"QWERTYUIOPASDFGH"
PEM = b"-----BEGIN PRIVATE KEY-----" + b"A" * 64
POLICY = load_policy(default_rules_directory())
LIMITS = InspectionLimits(scan_timeout=1.0)
INSPECTORS = {
    "request": Inspector(POLICY.request, Fingerprinter(b"key"), LIMITS),
    "response": Inspector(POLICY.response, Fingerprinter(b"key"), LIMITS),
}
MiB = 2**20

# Each was once without end, or took time by the square of its size.
HOSTILE = {
    "backslash-behind-a-secret": (JSON, PEM + b"\\"),
    "backslash-in-text-like-json": (TEXT, b"[" + PEM + b"\\"),
    "backslash-in-an-event": (EVENTS, b"data: {" + PEM + b"\\\n\n"),
    "string-without-end": (JSON, b'"' + b'\\"' * MiB),
    "many-strings": (JSON, b'["",' * (MiB // 4)),
    "brackets": (JSON, b"[" * MiB),
    "backslashes": (JSON, b"\\" * MiB),
    "small-fields": (FORM, b"".join(b"a%d=%d&" % (n, n) for n in range(100_000))),
    "references": (HTML, b"&#1;" * (MiB // 4)),
    "ampersands": (HTML, b"&" * MiB),
    "zeros": (TEXT, b"\x00" * MiB),
    "stray-bytes": (TEXT, b"\x80\xff" * (MiB // 2)),
    "comments": (EVENTS, b":\n" * (MiB // 16)),
    "lines-of-one-event": (EVENTS, b"a:b\n" * (MiB // 16) + b"\n"),
    "secrets": (TEXT, (KEY + b" ") * 20_000),
    "delimiters": (PARTS, b"--b\r\n" * 100_000),
    "delimiters-nearly": (PARTS, b"--b" * (MiB // 4)),
    "boundary-of-dashes": (MediaType.parse(b"multipart/mixed; boundary=----"), b"-" * MiB),
    "parts": (PARTS, b"--b\r\n\r\n" + KEY + b"\r\n" + b"--b\r\n\r\na=%41\r\n" * 20_000),
    "header-fields-of-a-part": (PARTS, b"--b\r\n" + b"content-type: a\r\n" * (MiB // 17)),
    "names-of-a-part": (
        PARTS,
        b"--b\r\nContent-Disposition: form-data" + b'; name="\\' * 1500 + b"\r\n\r\n" + KEY,
    ),
    "tags": (HTML, KEY + b"<a b='" * (MiB // 8)),
    "tags-with-secrets": (HTML, (b"<a b='" + KEY + b"'>") * 10_000),
    "comments-that-do-not-end": (HTML, KEY + b"<!--" * (MiB // 4)),
    "scripts": (HTML, KEY + b"<script>" * (MiB // 8)),
    "equals-signs": (HTML, KEY + b"<a" + b"= " * (MiB // 2)),
    "percents": (FORM, b"%25" * (MiB // 4)),
    "disguised": (TEXT, "\u0430\u200bB".encode() * (MiB // 8)),
    "base64": (TEXT, b"aGVsbG8gd29ybGQgaGVs " * (MiB // 32)),
    "base64-of-secrets": (TEXT, (b64encode(b"a text, and " + KEY) + b"\n") * 4000),
    "base64-in-lines": (TEXT, (b"SGVsbG8g" * 8 + b"\n") * (MiB // 65)),
    "base64-in-base64": (TEXT, b64encode(b64encode(b64encode(b64encode(b"a text, and " + KEY) * 1000)))),
}


@pytest.mark.parametrize("direction", INSPECTORS)
@pytest.mark.parametrize(("media_type", "body"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_body_comes_to_an_end(direction: str, media_type: MediaType, body: bytes) -> None:
    inspector = INSPECTORS[direction]
    for read in (
        lambda: inspector.inspect_body(body, media_type).text,
        lambda: stream(inspector, media_type, body),
    ):
        try:
            text = read()
        except ScanTimeout:
            continue
        assert KEY not in text and PEM not in text


def stream(inspector: Inspector, media_type: MediaType, body: bytes) -> bytes:
    return through(inspector.stream(media_type), [body[i : i + 50_000] for i in range(0, len(body), 50_000)])


def escaped(key: bytes) -> bytes:
    return b"".join(b"\\u%04x" % byte for byte in key)


# Ways to write a key that its reader undoes: (media type, body, reader).
SPELLINGS = {
    "json-behind-a-blank": (TEXT, b'\n {"k": "%b"}' % escaped(KEY), json.loads),
    "json-behind-a-mark": (
        TEXT,
        b'\xef\xbb\xbf{"k": "%b"}' % escaped(KEY),
        lambda text: json.loads(text[1:]),
    ),
    "references-with-zeros": (HTML, b"".join(b"&#%08d;" % byte for byte in KEY), html.unescape),
    "references-without-semicolons": (HTML, b"".join(b"&#%d" % byte for byte in KEY), html.unescape),
    "hexadecimal-references": (HTML, b"".join(b"&#x000%x;" % byte for byte in KEY), html.unescape),
    "event-behind-two-blanks": (
        EVENTS,
        b'data:  {"k": "%b"}\n\n' % escaped(KEY),
        lambda text: json.loads(text[6:]),
    ),
    "event-id": (EVENTS, b"id: %b\ndata: x\n\n" % KEY, str),
}


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(("media_type", "body", "reader"), SPELLINGS.values(), ids=SPELLINGS)
def test_no_spelling_hides_a_key(media_type: MediaType, body: bytes, reader: object, size: int) -> None:
    assert callable(reader)
    assert KEY.decode() in str(reader(body.decode()))
    inspector = INSPECTORS["response"]
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    results = [through(inspector.stream(media_type), pieces)]
    if media_type is not EVENTS:
        results.append(inspector.inspect_body(body, media_type).text)
    for result in results:
        assert KEY.decode() not in str(reader(result.decode()))


def test_what_follows_a_cut_character_is_still_text() -> None:
    body = "Server=tcp:db.example,1433;User ID=app;Password=x" + "é" * 200 + ";"
    text = INSPECTORS["response"].inspect_body(body.encode(), TEXT).text
    assert "[REDACTED]" in text.decode()
