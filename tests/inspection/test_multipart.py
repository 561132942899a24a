"""Multipart bodies: each part read as it says, its boundaries and all other bytes left as they are."""

import base64
import email
import json
import quopri
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inspecting import inspector, policy, rule

from icapd.http.media_types import MediaType
from icapd.inspection import Inspector
from icapd.inspection.multipart import MAX_PARTS, Part, boundary_of, split, with_length

KEY = "KEY-ABCDEF123456"
RULES = (
    rule("key", r"\bKEY-[A-Z0-9]{12}\b", KEY),
    rule("password", r'"?password"?[\s:=]{1,6}"?(?P<secret>[^\s"&<]{4,32})', "password=hunter2"),
    rule("attack", "' OR 1", "' OR 1", targets=["field"], action="block"),
    rule("program", r"\.exe\Z", "a.exe", targets=["name"], action="block"),
    rule("csv", "only-csv", "only-csv", more='media_types = ["text/csv"]'),
    rule("form", "only-form", "only-form", targets=["field"], more='media_types = ["multipart/form-data"]'),
)
FORM_DATA = MediaType.parse(b"multipart/form-data; boundary=XyZ")


@pytest.fixture(scope="module")
def inspecting(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    return inspector(policy(tmp_path_factory.mktemp("rules"), *RULES))


def part(content: str, head: str = 'Content-Disposition: form-data; name="a"', boundary: str = "XyZ") -> str:
    return f"--{boundary}\r\n{head}\r\n\r\n{content}\r\n"


def body(*parts: str, boundary: str = "XyZ") -> str:
    return "".join(parts) + f"--{boundary}--\r\n"


def disposition(more: str) -> str:
    return f"Content-Disposition: form-data; {more}"


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def in_utf_16(text: str) -> str:
    return base64.b64encode(text.encode("utf-16-le")).decode()


UTF_16_IN_BASE64 = "Content-Type: text/plain; charset=utf-16le\r\nContent-Transfer-Encoding: base64"
SHIFT_JIS_QUOTED = (
    "Content-Type: text/plain; charset=shift_jis\r\nContent-Transfer-Encoding: quoted-printable"
)
JSON_HEAD = disposition('name="j"') + "\r\nContent-Type: application/json"
FILE = disposition('name="f"; filename="notes.txt"')
CASES = {
    "a-value": (body(part(f"x {KEY} y")), body(part("x [REDACTED] y")), "key"),
    "two-parts": (body(part("one"), part(KEY)), body(part("one"), part("[REDACTED]")), "key"),
    "named-by-its-part": (
        body(part("hunter2", disposition('name="password"'))),
        body(part("[REDACTED]", disposition('name="password"'))),
        "password",
    ),
    "json": (
        body(part(r'{"k": "\u004bEY-ABCDEF123456", "n": 1}', JSON_HEAD)),
        body(part('{"k": "[REDACTED]", "n": 1}', JSON_HEAD)),
        "key",
    ),
    "form-in-a-part": (
        body(part(f"a=1&k={KEY}&b", "Content-Type: application/x-www-form-urlencoded")),
        body(part("a=1&k=%5BREDACTED%5D&b", "Content-Type: application/x-www-form-urlencoded")),
        "key",
    ),
    "value-is-a-field": (body(part("1' OR 1=1")), None, "attack"),
    "value-by-the-rules-of-the-form": (body(part("only-form")), body(part("[REDACTED]")), "form"),
    "json-field": (body(part('{"q": "\' OR 1"}', JSON_HEAD)), None, "attack"),
    "file-is-no-field": (body(part("1' OR 1=1", FILE)), None, ""),
    "name-is-a-field": (body(part("x", disposition('name="\' OR 1"'))), None, "attack"),
    "file-name-is-a-field": (body(part("x", disposition('name="f"; filename="%27 OR 1"'))), None, "attack"),
    "program": (body(part("x", disposition('name="f"; filename="a.exe"'))), None, "program"),
    "key-in-a-file-name": (
        body(part("x", disposition(f'name="f"; filename="{KEY}.txt"'))),
        body(part("x", disposition('name="f"; filename="[REDACTED].txt"'))),
        "key",
    ),
    "by-the-type-of-the-part": (
        body(part("only-csv", "Content-Type: text/csv"), part("only-csv")),
        body(part("[REDACTED]", "Content-Type: text/csv"), part("only-csv")),
        "csv",
    ),
    "length": (
        body(part(KEY, "Content-Length: 16\r\nContent-Type: text/plain")),
        body(part("[REDACTED]", "Content-Length: 10\r\nContent-Type: text/plain")),
        "key",
    ),
    "wrong-length-stays": (
        body(part(KEY, "Content-Length: 99")),
        body(part("[REDACTED]", "Content-Length: 99")),
        "key",
    ),
    "base64": (
        body(part(in_base64(f"a\n{KEY}\n"), "Content-Transfer-Encoding: base64")),
        body(part(in_base64("a\n[REDACTED]\n"), "Content-Transfer-Encoding: base64")),
        "key",
    ),
    "quoted-printable": (
        body(part("p=C3=A9 KEY-ABC=\r\nDEF1234=35=36 x", "Content-Transfer-Encoding: Quoted-Printable")),
        body(part("p=C3=A9 [REDACTED] x", "Content-Transfer-Encoding: Quoted-Printable")),
        "key",
    ),
    "base64-of-utf-16": (
        body(part(in_utf_16(f"\u8868 {KEY} x"), UTF_16_IN_BASE64)),
        body(part(in_utf_16("\u8868 [REDACTED] x"), UTF_16_IN_BASE64)),
        "key",
    ),
    "quoted-printable-of-shift-jis": (
        body(part("=95=5C=0D=0A KEY-ABC=\r\nDEF1234=35=36 x", SHIFT_JIS_QUOTED)),
        body(part("=95\\=0D=0A [REDACTED] x", SHIFT_JIS_QUOTED)),
        "key",
    ),
    "ascii-that-calls-itself-utf-16": (
        body(part(f"x {KEY} y", "Content-Type: text/plain; charset=utf-16")),
        body(part("x [REDACTED] y", "Content-Type: text/plain; charset=utf-16")),
        "key",
    ),
    "nested": (
        body(
            part(body(part(KEY, boundary="in"), boundary="in"), "Content-Type: multipart/mixed; boundary=in")
        ),
        body(
            part(
                body(part("[REDACTED]", boundary="in"), boundary="in"),
                "Content-Type: multipart/mixed; boundary=in",
            )
        ),
        "key",
    ),
    "without-header-fields": (f"--XyZ\r\n\r\n{KEY}\r\n--XyZ--", "--XyZ\r\n\r\n[REDACTED]\r\n--XyZ--", "key"),
    "line-feeds": (f"--XyZ\nA: b\n\n{KEY}\n--XyZ--\n", "--XyZ\nA: b\n\n[REDACTED]\n--XyZ--\n", "key"),
    "no-end": (f"--XyZ\r\n\r\n{KEY}", "--XyZ\r\n\r\n[REDACTED]", "key"),
    "around-the-parts": (
        f"a {KEY}\r\n" + body(part("x")) + f"b {KEY}",
        "a [REDACTED]\r\n" + body(part("x")) + "b [REDACTED]",
        "key",
    ),
    "another-boundary-than-named": (
        body(part(KEY, JSON_HEAD, boundary="Abc"), boundary="Abc"),
        body(part("[REDACTED]", JSON_HEAD, boundary="Abc"), boundary="Abc"),
        "key",
    ),
    "no-multipart-at-all": (f"just {KEY}", "just [REDACTED]", "key"),
    "everywhere": (
        body(
            part("tr0ub4dor-and-3", disposition('name="password"')),
            part('["tr0ub4dor\\u002dand-3"]', JSON_HEAD),
        ),
        body(part("[REDACTED]", disposition('name="password"')), part('["[REDACTED]"]', JSON_HEAD)),
        "password",
    ),
}


@pytest.mark.parametrize(("text", "redacted", "found"), CASES.values(), ids=CASES)
def test_parts(inspecting: Inspector, text: str, redacted: str | None, found: str) -> None:
    raw = text.encode()
    inspection = inspecting.inspect_body(raw, FORM_DATA)
    assert {finding.rule_id for finding in inspection.findings} == {f"test.{name}" for name in found.split()}
    if redacted is None:
        assert inspection.text is raw
    else:
        assert inspection.text.decode() == redacted


def test_a_finding_knows_its_place(inspecting: Inspector) -> None:
    text = body(part("one"), part(f'["\\n", "{KEY}"]', JSON_HEAD)).encode()
    (finding,) = inspecting.inspect_body(text, FORM_DATA).findings
    assert text[finding.start : finding.end] == KEY.encode()


@pytest.mark.parametrize(
    ("head", "name"),
    [
        pytest.param(FILE, "notes.txt", id="name"),
        pytest.param(disposition('name="a"'), "", id="no-file"),
        pytest.param(disposition(f'name="f"; filename="{KEY}.txt"'), "", id="secret"),
        pytest.param(disposition('name="f"; filename="\x07é.txt"'), "....txt", id="unprintable"),
    ],
)
def test_a_finding_names_the_file(inspecting: Inspector, head: str, name: str) -> None:
    findings = inspecting.inspect_body(body(part(KEY, head)).encode(), FORM_DATA).findings
    assert {finding.file_name for finding in findings} == {name}


@pytest.mark.parametrize("media_type", ["image/png", "application/octet-stream", "text/plain"])
def test_bytes_that_are_no_text_are_left_alone_unless_their_type_says_text(
    inspecting: Inspector, media_type: str
) -> None:
    picture = b"\x89PNG\r\n\x1a\n\x00\x00" + KEY.encode() + b"\xff"
    head = f"{FILE}\r\nContent-Type: {media_type}\r\n\r\n".encode()
    text = b"--XyZ\r\n" + head + picture + b"\r\n--XyZ--\r\n"
    assert bool(inspecting.inspect_body(text, FORM_DATA).findings) is (media_type == "text/plain")


def test_text_that_calls_itself_an_image_is_read(inspecting: Inspector) -> None:
    text = body(part(KEY, "Content-Type: image/png")).encode()
    assert KEY.encode() not in inspecting.inspect_body(text, FORM_DATA).text


def test_a_part_in_another_charset_is_read_and_keeps_it(inspecting: Inspector) -> None:
    head = b"--XyZ\r\nContent-Type: text/plain; charset=utf-16-le\r\n\r\n"
    text = head + f"x {KEY}".encode("utf-16-le") + b"\r\n--XyZ--"
    assert (
        inspecting.inspect_body(text, FORM_DATA).text
        == head + "x [REDACTED]".encode("utf-16-le") + b"\r\n--XyZ--"
    )


@pytest.mark.parametrize("depth", [1, 2, 3, 8])
def test_a_deep_nest_is_read_to_its_bottom(inspecting: Inspector, depth: int) -> None:
    text = KEY
    for level in range(depth):
        text = body(part(text, f"Content-Type: multipart/mixed; boundary=b{level - 1}"), boundary=f"b{level}")
        text = text.replace("--XyZ\r\n", f"--b{level}\r\n")
    media_type = MediaType.parse(f"multipart/mixed; boundary=b{depth - 1}".encode())
    assert inspecting.inspect_body(text.encode(), media_type).text.decode() == text.replace(KEY, "[REDACTED]")


def test_a_pack_in_order_sees_the_body_as_it_stands(tmp_path: Path) -> None:
    step = rule("step", r'name="a".{1,40}', 'name="a" b', more="unicode = true\nmax_length = 64")
    in_order = inspector(policy(tmp_path, step, pack='[pack]\nredaction = "in-order"\n'))
    text = body(part("x"), part("y")).encode()
    inspection = in_order.inspect_body(text, FORM_DATA)
    assert len(inspection.findings) == 2
    assert inspection.text.count(b"[REDACTED]") == 2


SECRETS = st.sampled_from(
    [KEY, f"x {KEY}", f'{{"k": "{KEY}"}}', "password=hunter2", "plain", "", "é --XyZ", "\r\n"]
)
HEADS = st.sampled_from(
    [disposition('name="a"'), FILE, JSON_HEAD, "Content-Type: text/html", "Content-Type: image/png", "X: y"]
)


def encoded(text: str, encoding: str) -> str:
    if encoding == "base64":
        return base64.encodebytes(text.encode()).decode().rstrip("\n").replace("\n", "\r\n")
    if encoding == "quoted-printable":
        return quopri.encodestring(text.encode()).decode()
    return text


@given(
    parts=st.lists(st.tuples(HEADS, SECRETS, st.sampled_from(["", "base64", "quoted-printable"])), max_size=5)
)
def test_any_multipart_body_keeps_its_parts_and_loses_its_secrets(
    inspecting: Inspector, parts: list[tuple[str, str, str]]
) -> None:
    written = [
        part(encoded(text, encoding), f"{head}\r\nContent-Transfer-Encoding: {encoding or '8bit'}")
        for head, text, encoding in parts
    ]
    text = body(*written)
    redacted = inspecting.inspect_body(text.encode(), FORM_DATA).text
    before, after = parsed(text.encode()), parsed(redacted)
    assert [message.items() for message in before] == [message.items() for message in after]
    for one, other in zip(before, after, strict=True):
        content = content_of(other)
        assert KEY.encode() not in content
        if KEY.encode() not in content_of(one) and b"hunter2" not in content_of(one):
            assert one.get_payload() == other.get_payload()
        elif one["content-type"] == "application/json" and content.startswith(b"{"):
            assert json.loads(content) == {"k": "[REDACTED]"}


def parsed(text: bytes) -> list[Message]:
    message = email.message_from_bytes(b"Content-Type: multipart/form-data; boundary=XyZ\r\n\r\n" + text)
    return message.get_payload() if message.is_multipart() else []  # type: ignore[return-value]


def content_of(message: Message) -> bytes:
    content = message.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


# --- taking apart


@pytest.mark.parametrize(
    ("content_type", "text", "boundary"),
    [
        pytest.param(b'multipart/mixed; boundary="a b"', b"--a b\r\n", b"a b", id="quoted"),
        pytest.param(b"multipart/mixed; Boundary=aB", b"--aB\r\n", b"aB", id="case-counts"),
        pytest.param(b"multipart/mixed", b"--aB \r\nx", b"aB", id="shown-by-the-first-line"),
        pytest.param(b"multipart/mixed; boundary=zz", b"\r\n--aB\r\n", b"aB", id="not-the-one-named"),
        pytest.param(b"multipart/mixed", b"x\r\n--aB\r\n", b"", id="none"),
    ],
)
def test_boundary(content_type: bytes, text: bytes, boundary: bytes) -> None:
    assert boundary_of(MediaType.parse(content_type), text) == boundary


@given(st.lists(st.sampled_from(["--b", "--b--", "\r\n", "\n", "x", " ", "-"]), max_size=20).map("".join))
def test_segments_lie_in_order_within_the_text(text: str) -> None:
    raw = text.encode()
    segments = split(raw, b"b")
    assert segments[0].start == 0
    assert segments[-1].end == len(raw)
    position = 0
    for start, end, _ in segments:
        assert position <= start <= end
        position = end


def test_a_million_delimiters_make_no_million_parts() -> None:
    assert len(split(b"--b\r\n" * 100_000, b"b")) == MAX_PARTS + 2


@pytest.mark.parametrize(
    ("head", "names", "file_names"),
    [
        pytest.param('name="a"', ["a"], [], id="name"),
        pytest.param("name=a; filename=b.txt", ["a", "b.txt"], [b"b.txt"], id="tokens"),
        pytest.param(
            "name=\"a\"; filename*=UTF-8''%41.txt", ["a", "UTF-8''%41.txt"], [b"A.txt"], id="extended"
        ),
        pytest.param('name="a\\"b"; filename="c;d"', ['a\\"b', "c;d"], [b"c;d"], id="quotes"),
    ],
)
def test_names_of_a_part(head: str, names: list[str], file_names: list[bytes]) -> None:
    text = f"X: y\r\n{disposition(head)}\r\n\r\nbody".encode()
    part = Part.parse(text)
    assert part.content == b"body"
    assert [text[start:end].decode() for start, end in part.names] == names
    assert list(part.file_names) == file_names


def test_a_length_that_was_right_is_right_again() -> None:
    before = b"Content-Length: 3\r\n\r\nabc"
    assert with_length(before, b"Content-Length: 3\r\n\r\nabcdef") == b"Content-Length: 6\r\n\r\nabcdef"
