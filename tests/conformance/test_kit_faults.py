"""A check that can't fail is no check: each one meets a server with the one fault that it is for."""

import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from support.scripted_icap import Script, scripted

from icapd.conformance import CHECKS, Lab, Options, Status, Target, find_services, run
from icapd.conformance.kit import run_one

OPTIONS = Options(timeout=0.8, pause=0.15, wait=0.8)


def lax(*what: str) -> Script:
    return Script(lax=frozenset(what))


def does(*what: str) -> Script:
    return Script(does=frozenset(what))


def edits(kind: str, old: bytes, new: bytes) -> Script:
    """Replies of one kind with other bytes in them, and all else as it should be."""
    return replies(kind, lambda reply: placed(reply.replace(old, new)))


def placed(reply: bytes) -> bytes:
    """The reply with its body's offset where its HTTP head now ends."""
    icap, end, rest = reply.partition(b"\r\n\r\n")
    if not rest or not re.search(rb"-hdr=0, ", icap):
        return reply
    offset = len(rest.partition(b"\r\n\r\n")[0]) + 4
    return re.sub(rb"-body=\d+", b"-body=%d" % offset, icap) + end + rest


def replies(kind: str, change: Callable[[bytes], bytes]) -> Script:
    return Script(edit=lambda told, reply: change(reply) if told == kind else reply)


def headless(reply: bytes) -> bytes:
    icap, _, rest = reply.partition(b"\r\n\r\n")
    body = rest.partition(b"\r\n\r\n")[2]
    kind = b"res" if b"res-hdr" in icap else b"req"
    head = icap[: icap.index(b"Encapsulated")]
    return head + (b"Encapsulated: %b-body=0\r\n\r\n%b" % (kind, body))


def misplaced(reply: bytes) -> bytes:
    return re.sub(rb"-body=(\d+)", lambda match: b"-body=%d" % (int(match[1]) - 1), reply, count=1)


FAULTS: list[tuple[int, str, Script]] = [
    (1, "knows its own name only", does("own-name-only")),
    (2, "another status", edits("404", b"404", b"400")),
    (2, "closes behind 404", does("close-on-404")),
    (3, "another status", edits("405", b"405", b"404")),
    (4, "another status", edits("501", b"501", b"400")),
    (5, "takes any version", lax("version")),
    (6, "takes any Host", lax("host")),
    (7, "names by their case", does("case-matters")),
    (8, "ends at a folded header", Script(frozenset({"fold"}), frozenset({"crash-on-fold"}))),
    (9, "takes a line without a colon", lax("colon")),
    (9, "takes a NUL", lax("nul")),
    (9, "takes a head of any size", lax("size")),
    (10, "refuses what it does not know", does("refuse-unknown")),
    (11, "crashes at Transfer-Encoding", replies("400", lambda reply: b"<cut>")),
    (12, "frames by Content-Length", does("frame-by-content-length")),
    (13, "stumbles over empty lines", lax("empty-lines")),
    (14, "closes behind each answer", does("close-always")),
    (15, "waits for ever", does("wait-for-ever")),
    (16, "takes any offsets", lax("offsets", "section-end")),
    (17, "needs both heads", does("needs-request")),
    (18, "waits for a body by Content-Length", does("trust-http-length")),
    (19, "waits for a chunk behind null-body", does("wait-for-chunk")),
    (20, "looks at no end of a head", lax("section-end")),
    (21, "needs req-hdr", does("needs-request")),
    (22, "takes any list", lax("duplicates", "offsets", "section-end")),
    (23, "takes opt-body for the next request", does("ignore-opt-body")),
    (24, "takes any chunk size", lax("chunks")),
    (24, "refuses extensions", does("refuse-extensions")),
    (25, "knows one spelling of ieof", lax("ieof")),
    (26, "does not wait for the last CRLF", does("no-last-crlf")),
    (27, "loses the trailer", edits("200-echo", b"X-Checksum: 4711\r\n", b"")),
    (28, "looks at each chunk alone", does("judge-chunks")),
    (30, "answers 204, and 100 as well", does("both-answers")),
    (31, "100 after ieof", does("100-after-ieof")),
    (32, "100 within the preview", does("early-100")),
    (33, "204 unasked", does("204-unasked")),
    (34, "204 after 100", does("204-after-100")),
    (35, "a line behind each answer", does("stray-crlf")),
    (35, "204 with a body", edits("204", b"\r\n\r\n", b"\r\nEncapsulated: res-hdr=0, null-body=19\r\n\r\n")),
    (36, "100 with more than it needs", edits("100", b"\r\n\r\n", b"\r\nServer: x\r\n\r\n")),
    (37, "500 to Preview: 0", edits("200-echo", b"ICAP/1.0 200 OK", b"ICAP/1.0 500 no")),
    (38, "wants what was told", does("refuse-other-preview")),
    (39, "206 unasked", does("206-unasked")),
    (40, "206 of more than it has", does("206-too-much")),
    (40, "206 without its extension", edits("206", b"; use-original-body=", b"; original=")),
    (41, "206 with null-body", does("206-null-body")),
    (42, "a wrong length", edits("block", b"Content-Length: 7", b"Content-Length: 8")),
    (43, "stops reading", does("stop-reading")),
    (44, "serves nobody while it is not read", does("one-at-a-time")),
    (45, "hangs up without a word", does("hang-up-early")),
    (46, "ends in the middle", replies("200-changed", lambda reply: reply[:-20] + b"<cut>")),
    (47, "holds an echo back", does("hold-echo")),
    (48, "LF for CRLF", replies("204", lambda reply: reply.replace(b"\r\n", b"\n", 1))),
    (49, "no ISTag", edits("204", b"ISTag", b"X-Tag")),
    (49, "ISTag without quotes", edits("options", b'"scripted-1"', b"scripted-1")),
    (49, "a long ISTag", edits("options", b'"scripted-1"', b'"' + b"x" * 33 + b'"')),
    (50, "no head", replies("200-echo", headless)),
    (51, "offsets one too low", replies("block", misplaced)),
    (52, "bytes behind a body", replies("block", lambda reply: reply + b"\r\n")),
    (52, "no chunks", edits("block", b"7\r\nblocked\r\n0\r\n\r\n", b"blocked\r\n")),
    (53, "the old length", edits("200-changed", b"Content-Length: ", b"Content-Length: 1")),
    (53, "the old ETag", edits("200-changed", b"Via:", b'ETag: "of-the-old-body"\r\nVia:')),
    (53, "hop-by-hop", edits("200-changed", b"Via:", b"Connection: close\r\nVia:")),
    (54, "lower case", edits("200-echo", b"Set-Cookie:", b"set-cookie:")),
    (54, "one cookie less", edits("200-echo", b"Set-Cookie: b=2\r\n", b"")),
    (54, "another body", edits("200-echo", b"hello", b"HELLO")),
    (55, "no Via", edits("200-changed", b"Via: ICAP/1.0 scripted\r\n", b"")),
    (56, "takes credentials out", edits("200-echo", b"Basic ", b"Basic-")),
    (57, "a longer life", edits("200-changed", b"no-store", b"max-age=3600")),
    (58, "directives in the ICAP head", edits("200-changed", b"ISTag", b"Cache-Control: no-store\r\nISTag")),
    (59, "no length", edits("block", b"Content-Length: 7\r\n", b"")),
    (59, "may be stored", edits("block", b"no-store", b"public")),
    (60, "500 for a verdict", edits("block", b"ICAP/1.0 200 OK", b"ICAP/1.0 500 no")),
    (61, "two methods", edits("options", b"Methods: R", b"Methods: OPTIONS, R")),
    (61, "no Encapsulated", edits("options", b"Encapsulated: null-body=0\r\n", b"")),
    (62, "no Transfer-Preview", edits("options", b"Transfer-Preview: *\r\n", b"")),
    (62, "no Preview", edits("options", b"Preview: 1024\r\nTransfer", b"Transfer")),
    (63, "no 204", edits("options", b"Allow: 204", b"Allow: x")),
    (63, "206 to everybody", edits("options", b"Allow: 204", b"Allow: 206, 204")),
    (64, "no Date", edits("options", b"Date", b"X-Date")),
    (64, "an old Date", edits("options", b"Date: ", b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nX-Date: ")),
    (64, "a long life", edits("options", b"Options-TTL: 600", b"Options-TTL: 86400")),
    (65, "no connections", edits("options", b"Max-Connections: 96", b"Max-Connections: 0")),
    (66, "no Service-ID", edits("options", b"Service-ID", b"X-ID")),
    (67, "slow", does("slow-options")),
    (68, "Transfer-Ignore", edits("options", b"Allow", b"Transfer-Ignore: jpg\r\nAllow")),
    (69, "keeps what it should close", does("keep-always")),
    (69, "closes what it should keep", does("close-always")),
    (69, "closes without a word", does("silent-close")),
    (70, "closes at once", does("close-idle")),
    (73, "a trailer unasked", edits("200-changed", b"Encapsulated", b"Trailer: X\r\nEncapsulated")),
    (73, "a trailer without Allow", edits("200-changed", b"Allow: trailers\r\n", b"")),
    (73, "no trailer", edits("200-changed", b"X-Verdict: changed\r\n", b"")),
    (74, "refuses an address", does("refuse-identity")),
    (76, "no form", edits("200-changed", b"Threat=trigger;", b"trigger")),
    (
        76,
        "no count",
        edits("200-changed", b"X-Infection-Found: Type=2", b"X-Violations-Found: none\r\nX-A: 2"),
    ),
]
#: What else such a fault breaks, by line and fault: the lines ask for parts of the same thing.
CONSEQUENCES = {
    (7, "names by their case"): {
        *(3, 10, 14, 17, 18, 19, 21, 24, 25, 27, 30, 31, 33, 37, 38, 54, 56, 69, 73, 74)
    },
    (11, "crashes at Transfer-Encoding"): {5},
    (14, "closes behind each answer"): {2, 12, 13, 19, 27, 30, 37, 69, 73},
    (16, "takes any offsets"): {20},
    (17, "needs both heads"): {21},
    (18, "waits for a body by Content-Length"): {17, 33, 52},
    (21, "needs req-hdr"): {17},
    (22, "takes any list"): {16, 20},
    (26, "does not wait for the last CRLF"): {30, 34, 37, 38},
    (30, "answers 204, and 100 as well"): {37, 52},
    (31, "100 after ieof"): {25, 52},
    (32, "100 within the preview"): {25, 30, 31, 34, 38, 39, 52},
    (33, "204 unasked"): {34, 54},
    (35, "a line behind each answer"): {12, 13, 14, 19, 27, 30, 37, 52, 69, 73},
    (37, "500 to Preview: 0"): {12, 14, 17, 21, 24, 27, 30, 33, 34, 38, 54, 56},
    (41, "206 with null-body"): {40},
    (46, "ends in the middle"): {31, 39, 40, 41, 52, 53, 55, 57, 73},
    (50, "no head"): {17, 33, 52, 54},
    (52, "no chunks"): {59},
    (53, "the old length"): {42},
    (54, "another body"): {24},
    (61, "two methods"): {68},
    (61, "no Encapsulated"): {51},
    (69, "closes what it should keep"): {2, 12, 13, 14, 19, 27, 30, 37, 73},
}
#: Checks that have to wait, or send much, also where nothing is wrong.
LENGTHY = {9, 15, 23, 26, 28, 32, 35, 43, 44, 45, 47, 60, 67, 70}
IDS = [f"{line} {fault}" for line, fault, _ in FAULTS]
TESTABLE = [line for line, check in CHECKS.items() if check.examine is not None]


def lab_of(port: int, options: Options = OPTIONS) -> Lab:
    return find_services(Target.parse(f"icap://127.0.0.1:{port}"), options)


@pytest.fixture(scope="module")
def faultless() -> Iterator[Lab]:
    with scripted() as port:
        # How fast this server is on a busy machine says nothing about the check.
        yield lab_of(port, replace(OPTIONS, options_limit=OPTIONS.timeout))


@pytest.mark.parametrize("line", TESTABLE)
def test_server_without_a_fault_passes(faultless: Lab, line: int) -> None:
    result = run_one(faultless, CHECKS[line])
    # The idle limit of 60 seconds is not waited for, and this one has no TLS.
    assert result.status is (Status.SKIPPED if line in {70, 78} else Status.PASS), result.seen


@pytest.mark.parametrize(("line", "fault", "script"), FAULTS, ids=IDS)
def test_fault_is_found(line: int, fault: str, script: Script) -> None:
    with scripted(script) as port:
        result = run_one(lab_of(port), CHECKS[line])
    assert result.status is Status.FAIL, result.seen
    # A line to show, with nothing of a body in it.
    assert result.seen.isprintable()
    assert len(result.seen) < 300
    assert "hello" not in result.seen and "conformance" not in result.seen.replace("conformance.example", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "fault", "script"), FAULTS, ids=[f"{line} {fault}" for line, fault, _ in FAULTS]
)
def test_fault_fails_its_own_check(line: int, fault: str, script: Script) -> None:
    checks = [check for number, check in CHECKS.items() if number not in LENGTHY]
    with scripted(script) as port:
        results = list(run(lab_of(port), checks))
    failed = {result.check.line for result in results if result.status is Status.FAIL}
    assert failed - {line} == CONSEQUENCES.get((line, fault), set())


def test_each_check_meets_its_fault() -> None:
    assert {line for line, _, _ in FAULTS} | {78} == set(TESTABLE)


@pytest.mark.parametrize("minimum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_found(tmp_path: Path, minimum: ssl.TLSVersion) -> None:
    context, ca_file = tls_of(tmp_path)
    if minimum is ssl.TLSVersion.TLSv1:
        context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = minimum
    with scripted(tls=context) as port:
        lab = find_services(Target.parse(f"icaps://127.0.0.1:{port}", ca_file), OPTIONS)
        result = run_one(lab, CHECKS[78])
    assert result.status is (Status.PASS if minimum is ssl.TLSVersion.TLSv1_2 else Status.FAIL), result.seen


def test_handshake_that_keeps_others_out_is_found(tmp_path: Path) -> None:
    context, ca_file = tls_of(tmp_path)
    with scripted(does("one-handshake"), context) as port:
        lab = find_services(Target.parse(f"icaps://127.0.0.1:{port}", ca_file), OPTIONS)
        result = run_one(lab, CHECKS[78])
    assert result.status is Status.FAIL
    assert "another handshake" in result.seen


def tls_of(directory: Path) -> tuple[ssl.SSLContext, Path]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(directory / "ca.pem")
    return context, directory / "ca.pem"


def test_server_that_dies_fails_the_rest_of_the_bar() -> None:
    with scripted() as port:
        lab = lab_of(port)
    results = list(run(lab, [CHECKS[1], CHECKS[4]]))
    assert [result.status for result in results] == [Status.FAIL, Status.FAIL]
    assert "connection" in results[0].seen or "refused" in results[0].seen
