"""The lines of the conformance bar that have no test elsewhere: whole sessions without a socket.

docs/conformance.md says which test is for which line. Each conversation runs at once and byte by byte.
"""

import email.utils
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import wire
from support.adapting import JSON, response
from support.policies import demo_policy
from support.replies import IcapReply, replies_of
from support.sessions import Workbench

from icapd.http.headers import Headers
from icapd.icap.limits import CodecLimits
from icapd.policy import Policy
from icapd.server.session import Session
from icapd.settings import Server, Services

Factory = pytest.TempPathFactory
Benches = Iterator[Workbench]
GET, POST, OK = wire.GET, wire.POST, wire.OK
BODY = b'{"message": "hello"}'
CHUNKS = wire.chunked(BODY)
WHOLE, BYTEWISE = 10**9, 1
cuts = pytest.mark.parametrize("size", [WHOLE, BYTEWISE], ids=["at once", "byte by byte"])


@pytest.fixture(scope="module")
def policy(tmp_path_factory: Factory) -> Policy:
    return demo_policy(tmp_path_factory.mktemp("rules"))


@pytest.fixture(scope="module")
def bench(policy: Policy, tmp_path_factory: Factory) -> Benches:
    bench = Workbench(policy, tmp_path_factory.mktemp("bar"))
    yield bench
    bench.close()


def run(bench: Workbench, data: bytes, size: int = WHOLE) -> tuple[list[IcapReply], Session]:
    out, _, session = bench.run(data[at : at + size] for at in range(0, len(data), size))
    return replies_of(out), session


def statuses(replies: list[IcapReply]) -> list[int]:
    return [reply.status for reply in replies]


def fields(reply: IcapReply) -> Headers:
    return Headers.parse(reply.icap_head[:-4].partition(b"\r\n")[2])


def mod(method: bytes, encapsulated: bytes, payload: bytes, *lines: bytes) -> bytes:
    path = b"/reqmod" if method == b"REQMOD" else b"/respmod"
    extra = b"".join(line + b"\r\n" for line in lines)
    head = b"%b icap://h%b ICAP/1.0\r\nHost: h\r\n%bEncapsulated: %b\r\n\r\n"
    return head % (method, path, extra, encapsulated) + payload


# --- which request gets which answers, with another request behind it

G, P, R = len(GET), len(POST), len(OK)
ANSWERS = [
    pytest.param(wire.options("/nowhere"), [404], id="2 unknown service"),
    pytest.param(wire.respmod(OK, CHUNKS, path="/nowhere"), [404], id="2 unknown service, with a body"),
    pytest.param(wire.respmod(OK, CHUNKS, path="/reqmod"), [405], id="3 RESPMOD of a REQMOD service"),
    pytest.param(
        wire.reqmod(POST, CHUNKS).replace(b"/reqmod", b"/respmod", 1),
        [405],
        id="3 REQMOD of a RESPMOD service",
    ),
    pytest.param(b"FOOMOD icap://h/reqmod ICAP/1.0\r\nHost: h\r\n\r\n", [501], id="4 unknown method"),
    pytest.param(
        wire.respmod(OK, CHUNKS, Allow="204, x-patience, trailers", **{"X-Unheard-Of": "1"}),
        [204],
        id="10 unknown headers and tokens",
    ),
    pytest.param(mod(b"REQMOD", b"req-hdr=0, null-body=%d" % G, GET), [200], id="17 head alone"),
    pytest.param(mod(b"REQMOD", b"req-hdr=0, req-body=%d" % P, POST + CHUNKS), [200], id="17 head and body"),
    pytest.param(mod(b"REQMOD", b"req-body=0", CHUNKS), [200], id="17 request's body alone"),
    pytest.param(
        mod(b"RESPMOD", b"req-hdr=0, res-hdr=%d, res-body=%d" % (G, G + R), GET + OK + CHUNKS),
        [200],
        id="17 both heads and body",
    ),
    pytest.param(
        mod(b"RESPMOD", b"req-hdr=0, res-hdr=%d, null-body=%d" % (G, G + R), GET + OK),
        [200],
        id="17 both heads",
    ),
    pytest.param(mod(b"RESPMOD", b"res-body=0", CHUNKS), [200], id="17 response's body alone"),
    pytest.param(
        mod(b"RESPMOD", b"res-hdr=0, res-body=%d" % R, OK + CHUNKS), [200], id="21 RESPMOD without req-hdr"
    ),
    pytest.param(
        mod(b"RESPMOD", b"req-hdr=0, res-body=%d" % G, GET + CHUNKS), [200], id="21 RESPMOD without res-hdr"
    ),
    pytest.param(
        wire.respmod(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 999\r\n\r\n", Allow="204"),
        [204],
        id="18 Content-Length before null-body",
    ),
    pytest.param(wire.reqmod(Preview="0", Allow="204"), [204], id="19 null-body with Preview: 0"),
    pytest.param(wire.respmod(OK, wire.chunked(BODY, ieof=True), Preview="1024"), [204], id="30 ieof"),
    pytest.param(
        wire.respmod(OK, wire.chunked(BODY[:9]) + wire.chunked(BODY[9:]), Preview="9"),
        [100, 200],
        id="30 preview and rest",
    ),
    pytest.param(
        wire.respmod(OK, wire.chunked() + CHUNKS, Preview="0", Allow="204"), [100, 204], id="37 Preview: 0"
    ),
    pytest.param(
        wire.respmod(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n", wire.chunked(), Preview="0"),
        [204],
        id="37 Preview: 0, decided by the head",
    ),
    pytest.param(
        wire.respmod(OK, wire.chunked(BODY[:3]) + wire.chunked(BODY[3:]), Preview="900"),
        [100, 200],
        id="38 shorter than told",
    ),
    pytest.param(
        wire.respmod(OK, CHUNKS + wire.chunked(b"!"), Preview="3"), [100, 200], id="38 longer than told"
    ),
]


@cuts
@pytest.mark.parametrize(("data", "expected"), ANSWERS)
def test_request_and_the_one_behind_it_get_their_answers(
    bench: Workbench, data: bytes, expected: list[int], size: int
) -> None:
    replies, session = run(bench, data + wire.options(), size)
    assert statuses(replies) == [*expected, 200]
    assert session.connection.is_idle and not session.connection.must_close


# --- lines 15 and 26: what does not come to its end


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"O", id="first byte"),
        pytest.param(wire.options()[:-2], id="ICAP head"),
        pytest.param(wire.respmod()[:-9], id="HTTP heads"),
        pytest.param(wire.respmod(OK, wire.chunked(BODY)[:9]), id="chunk"),
        pytest.param(wire.respmod(OK, wire.chunked(BODY), Preview="20")[:-2], id="preview"),
    ],
)
def test_request_that_stays_unfinished_is_told_so_and_the_connection_ends(
    bench: Workbench, data: bytes
) -> None:
    session = bench.session()
    assert session.receive(data) == b""
    assert not session.connection.is_idle
    (reply,) = replies_of(session.time_out())
    assert reply.status == 408
    assert b"\r\nConnection: close\r\n" in reply.icap_head


@pytest.mark.parametrize("tolerant", [False, True])
def test_preview_of_the_rfcs_own_example_is_waited_for_unless_tolerant(
    policy: Policy, tmp_path: Path, tolerant: bool
) -> None:
    bench = Workbench(policy, tmp_path, CodecLimits(tolerant=tolerant))
    session = bench.session()
    # RFC 3507 section 4.5 shows a preview without the empty line behind its last chunk (errata e9).
    out = session.receive(wire.respmod(OK, b"5\r\n%b\r\n0\r\n" % BODY[:5], Preview="5", Allow="204"))
    assert statuses(replies_of(out)) == ([100] if tolerant else [])
    out += session.receive(b"\r\n" + wire.chunked(BODY[5:]) + wire.options())
    assert statuses(replies_of(out)) == [100, 204, 200]
    bench.close()


# --- lines 42, 48, 49, 50, 51, 52: every answer of every kind

KINDS = {
    "OPTIONS": wire.options(),
    "OPTIONS of an unknown service": wire.options("/nowhere"),
    "wrong method": wire.respmod(path="/reqmod"),
    "unknown method": b"FOOMOD icap://h/reqmod ICAP/1.0\r\nHost: h\r\n\r\n",
    "no ICAP": b"GET / HTTP/1.1\r\n\r\n",
    "REQMOD 204": wire.reqmod(Allow="204"),
    "REQMOD echo": wire.reqmod(),
    "REQMOD echo with a body": wire.reqmod(POST, CHUNKS),
    "REQMOD redacted": wire.reqmod(POST, wire.chunked(JSON)),
    "REQMOD blocked": wire.reqmod(POST, wire.chunked(b'{"q": "ATTACK!"}')),
    "REQMOD blocked by its head": wire.reqmod(GET.replace(b"page=1", b"page=ATTACK%21")),
    "RESPMOD 204": wire.respmod(OK, CHUNKS, Allow="204"),
    "RESPMOD echo": wire.respmod(OK, CHUNKS),
    "RESPMOD echo without a body": wire.respmod(),
    "RESPMOD redacted": wire.respmod(OK, wire.chunked(JSON)),
    "RESPMOD redacted, of a known length": wire.respmod(response(JSON), wire.chunked(JSON)),
    "RESPMOD partly redacted": wire.respmod(
        OK, wire.chunked(JSON, ieof=True), Preview="99", Allow="204, 206"
    ),
    "RESPMOD blocked": wire.respmod(OK, wire.chunked(b"MALWARE!")),
    "RESPMOD after 100": wire.respmod(OK, wire.chunked(BODY[:5]) + wire.chunked(BODY[5:]), Preview="5"),
    "RESPMOD that flows": wire.respmod(OK, *[wire.chunked(b"x" * 5000)]),
}


@cuts
@pytest.mark.parametrize("kind", KINDS)
def test_grammar_of_every_answer(bench: Workbench, kind: str, size: int) -> None:
    # That offsets and chunks are exact, and nothing stands behind a reply, `replies_of` sees to.
    replies, _ = run(bench, KINDS[kind], size)
    assert replies
    for reply in replies:
        assert reply.is_whole
        assert re.match(rb"ICAP/1\.0 \d{3} [A-Z][A-Za-z0-9 -]+\r\n", reply.icap_head)
        assert reply.icap_head.count(b"\n") == reply.icap_head.count(b"\r\n") == reply.icap_head.count(b"\r")
        if reply.status == 100:
            continue
        tags = re.findall(rb'\r\nISTag: "([A-Za-z0-9-]{1,32})"\r\n', reply.icap_head)
        assert tags == [bench.catalogue.policy.istag.encode()]
        if reply.status in {200, 206} and kind != "OPTIONS":
            assert reply.http_head.startswith((b"HTTP/", b"GET ", b"POST "))
            assert kind.startswith("REQMOD") or b"res-hdr=0" in reply.icap_head
        length = re.search(rb"\r\nContent-Length: (\d+)\r\n", reply.http_head)
        if reply.status == 200 and length is not None:
            assert int(length[1]) == len(reply.body)


# --- lines 47, 56, 58, 60


def test_pass_through_begins_before_its_request_has_ended(bench: Workbench) -> None:
    image = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
    session = bench.session()
    begun = session.receive(wire.respmod(image, b"5\r\nbegin\r\n"))
    assert begun.endswith(b"5\r\nbegin\r\n")
    assert session.receive(b"3\r\nend\r\n") == b"3\r\nend\r\n"
    assert session.receive(b"0\r\n\r\n") == b"0\r\n\r\n"


@cuts
def test_credentials_of_http_pass_untouched(bench: Workbench, size: int) -> None:
    line = b"Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    (reply,), _ = run(bench, wire.reqmod(GET[:-2] + line), size)
    assert reply.http_head.endswith(line)
    challenge = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\n\r\n'
    (reply,), _ = run(bench, wire.respmod(challenge), size)
    assert reply.http_head == challenge


def test_cache_directives_of_a_response_stand_in_the_response(bench: Workbench) -> None:
    for body in (JSON, b"MALWARE!"):
        (reply,), _ = run(bench, wire.respmod(OK, wire.chunked(body)))
        assert b"Cache-Control: no-store\r\n" in reply.http_head
        assert b"Cache-Control" not in reply.icap_head


ODD = [
    pytest.param(b"Content-Encoding: dcb", b"text", id="unknown coding"),
    pytest.param(b"Content-Encoding: gzip", b"no gzip", id="broken coding"),
    pytest.param(b"Content-Type: text/plain; charset=utf-16", b"\xff", id="broken charset"),
    pytest.param(b"Content-Length: 99999999999999999999", b"short", id="impossible length"),
    pytest.param(b"Content-Length: -1", b"short", id="no length"),
    pytest.param(b"Content-Type: application/json", b"[" * 5000, id="deep JSON"),
    pytest.param(b"Content-Type: text/event-stream", b"data\n" * 3000, id="endless event"),
    pytest.param(b"Content-Type: \xff\xfe", b"text", id="no type"),
    pytest.param(b"Transfer-Encoding: chunked", b"text", id="Transfer-Encoding"),
]


@pytest.fixture(scope="module", params=["open", "closed"])
def bench_of_mode(request: pytest.FixtureRequest, policy: Policy, tmp_path_factory: Factory) -> Benches:
    bench = Workbench(policy, tmp_path_factory.mktemp("odd"), mode=request.param)
    yield bench
    bench.close()


@cuts
@pytest.mark.parametrize(("line", "body"), ODD)
def test_what_is_odd_in_http_is_no_error_of_icap(
    bench_of_mode: Workbench, line: bytes, body: bytes, size: int
) -> None:
    for data in (
        wire.respmod(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % line, wire.chunked(body), Allow="204"),
        wire.reqmod(b"POST / HTTP/1.1\r\nHost: h\r\n%b\r\n\r\n" % line, wire.chunked(body), Allow="204"),
    ):
        replies, session = run(bench_of_mode, data + wire.options(), size)
        assert [reply.status in {200, 204} for reply in replies] == [True, True]
        assert session.connection.is_idle


# --- lines 61 to 66, 68: OPTIONS


@pytest.mark.parametrize(
    ("path", "method"), [("/reqmod", "REQMOD"), ("/respmod", "RESPMOD"), ("/stream", "RESPMOD")]
)
def test_options_say_what_a_client_needs(bench: Workbench, path: str, method: str) -> None:
    (reply,), _ = run(bench, wire.options(path))
    told = fields(reply)
    assert told.get(b"Methods") == method.encode()
    assert told.get(b"Encapsulated") == b"null-body=0"
    assert (told.get(b"Preview") or b"").isdigit()
    stars = [name for name, value in told if name.startswith(b"Transfer-") and value == b"*"]
    assert stars == [b"Transfer-Preview"]
    assert told.get(b"Transfer-Ignore") is None
    date = email.utils.parsedate_to_datetime((told.get(b"Date") or b"").decode())
    assert abs(date.timestamp() - time.time()) < 60
    assert 300 <= int(told.get(b"Options-TTL") or 0) <= 3600
    # Squid divides it by its workers without a remainder.
    connections = int(told.get(b"Max-Connections") or 0)
    assert connections > 0 and (connections < 12 or connections % 12 == 0)
    for name in (b"Service", b"Service-ID", b"ISTag"):
        assert told.get(name)
    wanted = {b"X-Client-IP", b"X-Client-Username", b"X-Authenticated-User", b"X-Authenticated-Groups"}
    assert set(told.get_list(b"X-Include")) == wanted


@pytest.mark.parametrize(
    ("offered", "allowed"),
    [
        ("", {b"204"}),
        ("204", {b"204"}),
        ("trailers", {b"204", b"trailers"}),
        ("206, trailers", {b"204", b"206", b"trailers"}),
        ("204, 206", {b"204", b"206"}),
    ],
)
def test_options_allow_what_the_client_offers(bench: Workbench, offered: str, allowed: set[bytes]) -> None:
    line = f"Allow: {offered}\r\n".encode() if offered else b""
    (reply,), _ = run(bench, wire.options()[:-2] + line + b"\r\n")
    assert set(fields(reply).get_list(b"allow")) == allowed


def test_options_are_answered_while_the_server_stops(bench: Workbench) -> None:
    session = bench.session()
    session.connection.close_after_response()
    (reply,) = replies_of(session.receive(wire.options()))
    assert reply.status == 200
    assert b"\r\nConnection: close\r\n" in reply.icap_head


# --- lines 70 and 77


def test_idle_limit_is_longer_than_squids() -> None:
    assert Server().idle_timeout > 60
    assert 300 <= Services().options_ttl <= 3600


def test_proxy_credentials_are_in_no_record_and_no_answer(bench: Workbench) -> None:
    line = "Basic c2VjcmV0OnBhc3N3b3Jk"
    http = b"GET http://h/ HTTP/1.1\r\nHost: h\r\nProxy-Authorization: %b\r\n\r\n" % line.encode()
    data = wire.reqmod(http, **{"Proxy-Authorization": line, "Allow": "204"})
    out, records, _ = bench.run([data])
    assert replies_of(out)[0].status == 204
    assert len(records) == 1
    assert "c2VjcmV0" not in repr(records) and b"c2VjcmV0" not in out
