"""The codec as Squid meets it: each conversation whole, byte by byte, and cut anywhere."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import wire

from icapd.errors import LocalProtocolError
from icapd.http.headers import Headers
from icapd.http.heads import RequestHead, ResponseHead
from icapd.icap import (
    AdaptedData,
    AdaptedEnd,
    AdaptedHead,
    BodyData,
    BodyEnd,
    CodecLimits,
    Connection,
    ConnectionClosed,
    Continue,
    ErrorReply,
    Event,
    Method,
    ModRequest,
    OptionsReply,
    OptionsRequest,
    PreviewEnd,
    Unmodified,
    UnsupportedRequest,
)

GET, POST, OK = wire.GET, wire.POST, wire.OK


def summary(events: Iterable[Event]) -> list[object]:
    """Events in short, with neighbouring pieces of a body joined: where they are cut is left open."""
    told: list[object] = []
    for event in events:
        match event:
            case ModRequest():
                told.append((event.method.value, event.preview, event.has_body))
            case OptionsRequest():
                told.append("OPTIONS")
            case UnsupportedRequest():
                told.append(event.method)
            case BodyData(data) if told and isinstance(told[-1], bytes):
                told[-1] += data
            case BodyData(data):
                told.append(data)
            case PreviewEnd(complete):
                told.append("ieof" if complete else "preview end")
            case BodyEnd():
                told.append("end")
            case ConnectionClosed():
                told.append("closed")
    return told


def listen(connection: Connection, data: Iterable[bytes]) -> list[Event]:
    """Feed the pieces; answer each request as soon as it is whole, and each open preview by 100."""
    events: list[Event] = []
    for piece in data:
        connection.receive_data(piece)
        while (event := connection.next_event()) is not None:
            events.append(event)
            match event:
                case PreviewEnd(complete=False):
                    connection.send(Continue())
                case BodyEnd() | ModRequest(has_body=False) | OptionsRequest() | UnsupportedRequest():
                    connection.send(Unmodified())
    return events


CONVERSATIONS = [
    pytest.param(wire.options(), ["OPTIONS"], id="OPTIONS"),
    pytest.param(wire.reqmod(), [("REQMOD", None, False)], id="GET"),
    pytest.param(wire.reqmod(Preview="0"), [("REQMOD", 0, False)], id="Preview: 0 with null-body"),
    pytest.param(wire.respmod(), [("RESPMOD", None, False)], id="response without body"),
    pytest.param(
        wire.reqmod(POST, wire.chunked(b"abc", b"def")), [("REQMOD", None, True), b"abcdef", "end"], id="POST"
    ),
    pytest.param(wire.reqmod(POST, wire.chunked()), [("REQMOD", None, True), "end"], id="body of no bytes"),
    pytest.param(
        wire.reqmod(POST, wire.chunked(b"abc", ieof=True), Preview="1024"),
        [("REQMOD", 1024, True), b"abc", "ieof", "end"],
        id="preview with ieof",
    ),
    pytest.param(
        wire.reqmod(POST, wire.chunked(b"abc") + wire.chunked(b"def"), Preview="3"),
        [("REQMOD", 3, True), b"abc", "preview end", b"def", "end"],
        id="preview and rest",
    ),
    pytest.param(
        wire.respmod(OK, wire.chunked() + wire.chunked(b"x"), Preview="0"),
        [("RESPMOD", 0, True), "preview end", b"x", "end"],
        id="Preview: 0 with a body",
    ),
    pytest.param(
        wire.respmod(
            OK, b'3;name=value;q="x"\r\nabc\r\n0003\r\ndef\r\n1F\r\n' + b"z" * 31 + b"\r\n0;a\r\n\r\n"
        ),
        [("RESPMOD", None, True), b"abcdef" + b"z" * 31, "end"],
        id="extensions, leading zeros, upper case",
    ),
    pytest.param(
        wire.respmod(OK, b"1\r\nx\r\n0;  IEOF \r\n\r\n", Preview="9"),
        [("RESPMOD", 9, True), b"x", "ieof", "end"],
        id="ieof in any spelling",
    ),
    pytest.param(
        wire.respmod(OK, b'1\r\nx\r\n0; a="; ieof; "\r\n\r\n' + wire.chunked(b"y"), Preview="1"),
        [("RESPMOD", 1, True), b"x", "preview end", b"y", "end"],
        id="ieof within quotes is none",
    ),
    pytest.param(
        wire.respmod(OK, b"1\r\nx\r\n0\r\nContent-MD5: abc\r\n\r\n"),
        [("RESPMOD", None, True), b"x", "end"],
        id="HTTP trailer",
    ),
    pytest.param(
        wire.options() + b"\r\n\r\n" + wire.reqmod() + wire.options(),
        ["OPTIONS", ("REQMOD", None, False), "OPTIONS"],
        id="pipelined, with empty lines between",
    ),
    pytest.param(
        b"FOOMOD icap://h/x ICAP/1.0\r\nHost: h\r\nEncapsulated: req-hdr=0, req-body=%d\r\n\r\n" % len(POST)
        + POST
        + wire.chunked(b"abc")
        + wire.options(),
        ["FOOMOD", "OPTIONS"],
        id="unknown method with a body",
    ),
    pytest.param(
        b"OPTIONS icap://h/x ICAP/1.0\r\nHost: h\r\nEncapsulated: opt-body=0\r\n\r\n"
        + wire.chunked(b"abc")
        + wire.options(),
        ["OPTIONS", "OPTIONS"],
        id="OPTIONS with a body",
    ),
    pytest.param(
        b"RESPMOD icap://h/x ICAP/1.0\r\nHost: h\r\nencapsulated:  res-body=0 \r\n\r\n"
        + wire.chunked(b"abc"),
        [("RESPMOD", None, True), b"abc", "end"],
        id="body alone",
    ),
    pytest.param(
        b"REQMOD icap://h/x ICAP/1.0\r\nHost: h\r\nX-Folded: a\r\n b\r\nEncapsulated: null-body=0\r\n\r\n",
        [("REQMOD", None, False)],
        id="folded header",
    ),
    pytest.param(
        b"OPTIONS icap://h/x ICAP/1.0\r\nHost: h\r\nContent-Length: 9999\r\n\r\n" + wire.options(),
        ["OPTIONS", "OPTIONS"],
        id="Content-Length frames nothing",
    ),
]


@pytest.mark.parametrize(("data", "events"), CONVERSATIONS)
def test_conversation_that_arrives_at_once(data: bytes, events: list[object]) -> None:
    assert summary(listen(Connection(), [data])) == events


@pytest.mark.parametrize(("data", "events"), CONVERSATIONS)
def test_conversation_that_arrives_byte_by_byte(data: bytes, events: list[object]) -> None:
    assert summary(listen(Connection(), [data[i : i + 1] for i in range(len(data))])) == events


@pytest.mark.parametrize(("data", "events"), CONVERSATIONS)
def test_conversation_with_another_request_behind_it(data: bytes, events: list[object]) -> None:
    assert summary(listen(Connection(), [data + wire.options()])) == [*events, "OPTIONS"]


@given(st.sampled_from([case.values for case in CONVERSATIONS]), st.lists(st.integers(1, 40)))
def test_conversation_cut_anywhere(case: tuple[bytes, list[object]], sizes: list[int]) -> None:
    data, events = case
    assert summary(listen(Connection(), wire.pieces(data, sizes))) == events


def first(data: bytes) -> Event:
    connection = Connection()
    connection.receive_data(data)
    event = connection.next_event()
    assert event is not None
    return event


def test_request_has_its_heads_and_headers() -> None:
    request = first(wire.respmod(OK, request=GET, Allow="204", allow="206, trailers"))
    assert isinstance(request, ModRequest)
    assert request.method is Method.RESPMOD
    assert request.path == "/respmod"
    assert request.allow == {b"204", b"206", b"trailers"}
    assert request.request_head == RequestHead.parse(GET)
    assert request.response_head == ResponseHead.parse(OK)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("icap://host:1344/reqmod", "/reqmod"),
        ("ICAPS://host/reqmod?x=y", "/reqmod"),
        ("icap://[::1]:1344/reqmod", "/reqmod"),
        ("icap://host", "/"),
        ("/reqmod", "/reqmod"),
        ("icap://host/a/b", "/a/b"),
    ],
)
def test_service_is_named_by_the_path_of_the_uri(uri: str, path: str) -> None:
    request = first(f"OPTIONS {uri} ICAP/1.0\r\nHost: h\r\n\r\n".encode())
    assert isinstance(request, OptionsRequest)
    assert request.path == path


def test_end_of_connection_between_requests_is_an_event() -> None:
    assert summary(listen(Connection(), [wire.options(), b""])) == ["OPTIONS", "closed"]


def begun(data: bytes) -> Connection:
    """A connection that has told all events of the data."""
    connection = Connection()
    connection.receive_data(data)
    while connection.next_event() is not None:
        pass
    return connection


def test_204_is_nothing_but_its_head() -> None:
    reply = begun(wire.reqmod()).send(Unmodified(Headers(((b"ISTag", b'"x"'),))))
    assert reply == b'ICAP/1.0 204 No modifications needed\r\nISTag: "x"\r\n\r\n'


def test_100_is_minimal() -> None:
    connection = begun(wire.reqmod(POST, wire.chunked(b"abc"), Preview="3"))
    assert connection.send(Continue()) == b"ICAP/1.0 100 Continue\r\n\r\n"


def test_adapted_request_names_its_parts_exactly() -> None:
    connection = begun(wire.reqmod(POST, wire.chunked(b"abc")))
    http = RequestHead.parse(POST)
    out = connection.send(AdaptedHead(http, has_body=True))
    out += connection.send(AdaptedData(b"x" * 20)) + connection.send(AdaptedData(b""))
    out += connection.send(AdaptedEnd())
    assert out == (
        b"ICAP/1.0 200 OK\r\nEncapsulated: req-hdr=0, req-body=%d\r\n\r\n" % len(POST)
        + POST
        + b"14\r\n%b\r\n0\r\n\r\n" % (b"x" * 20)
    )


def test_request_satisfaction_carries_a_response() -> None:
    connection = begun(wire.reqmod())
    head = ResponseHead(403, b"Forbidden", headers=Headers(((b"Content-Length", b"0"),)))
    out = connection.send(AdaptedHead(head, has_body=False)) + connection.send(AdaptedEnd())
    encoded = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    assert out == b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, null-body=%d\r\n\r\n" % len(encoded) + encoded


def test_unchanged_head_goes_back_byte_for_byte() -> None:
    odd = b"GET / HTTP/1.1\r\nhOsT:  h \r\nSet-Cookie: a\r\nX:\r\nSet-Cookie: b\r\n\r\n"
    connection = begun(wire.reqmod(odd))
    assert connection.send(AdaptedHead(RequestHead.parse(odd), has_body=False)).endswith(odd)


def test_final_reply_to_a_preview_ends_the_request() -> None:
    connection = begun(wire.reqmod(POST, wire.chunked(b"abc"), Preview="3"))
    connection.send(Unmodified())
    assert summary(listen(connection, [wire.options()])) == ["OPTIONS"]


def test_early_reply_drains_the_rest_of_the_body() -> None:
    whole = wire.reqmod(POST, wire.chunked(b"a" * 10, b"b" * 1000))
    connection = begun(whole[:-500])
    connection.send(AdaptedHead(ResponseHead(403), has_body=False))
    connection.send(AdaptedEnd())
    assert summary(listen(connection, [whole[-500:], wire.options()])) == ["OPTIONS"]
    assert not connection.must_close


def test_early_reply_to_an_endless_body_closes_the_connection() -> None:
    connection = Connection(CodecLimits(max_drain=1000))
    connection.receive_data(wire.reqmod(POST, b"fffff\r\n"))
    assert summary([connection.next_event()]) == [("REQMOD", None, True)]
    connection.send(Unmodified())
    assert not connection.must_close
    connection.receive_data(b"x" * 2000)
    assert connection.next_event() is None
    assert connection.must_close


def test_second_request_waits_until_the_first_is_answered() -> None:
    connection = begun(wire.reqmod() + wire.options())
    assert connection.next_event() is None
    connection.send(Unmodified())
    assert summary([connection.next_event()]) == ["OPTIONS"]


def test_client_that_asks_for_it_is_told_of_the_close() -> None:
    connection = begun(wire.reqmod(Connection="close"))
    assert not connection.must_close
    assert b"\r\nConnection: close\r\n" in connection.send(Unmodified())
    assert connection.must_close


def test_orderly_stop_announces_the_close() -> None:
    connection = begun(wire.reqmod())
    connection.close_after_response()
    assert b"\r\nConnection: close\r\n" in connection.send(OptionsReply(Headers()))
    assert connection.must_close


def test_error_that_keeps_the_framing_keeps_the_connection() -> None:
    connection = begun(wire.reqmod(POST, wire.chunked(b"abc")))
    reply = connection.send(ErrorReply(404, "no such service", close=False))
    assert reply == (
        b"ICAP/1.0 404 ICAP Service not found\r\n"
        b"X-Icapd-Error: no such service\r\nEncapsulated: null-body=0\r\n\r\n"
    )
    assert summary(listen(connection, [wire.options()])) == ["OPTIONS"]


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        pytest.param(b"\r\n", Unmodified(), id="204 without a request"),
        pytest.param(wire.reqmod(), AdaptedEnd(), id="end without a beginning"),
        pytest.param(wire.reqmod(), AdaptedData(b"x"), id="data without a head"),
        pytest.param(wire.reqmod(POST, wire.chunked(b"abc")), Continue(), id="100 without a preview"),
        pytest.param(
            wire.reqmod(POST, wire.chunked(b"a", ieof=True), Preview="9"), Continue(), id="100 after ieof"
        ),
        pytest.param(wire.reqmod(POST, b"3\r\na", Preview="9"), Continue(), id="100 within the preview"),
    ],
)
def test_reply_that_the_protocol_forbids_is_our_own_error(data: bytes, reply: Unmodified) -> None:
    with pytest.raises(LocalProtocolError):
        begun(data).send(reply)


def test_nothing_follows_a_204() -> None:
    connection = begun(wire.reqmod(POST, wire.chunked(b"abc")))
    connection.send(Unmodified())
    with pytest.raises(LocalProtocolError):
        connection.send(Unmodified())


@given(st.binary(max_size=300))
def test_any_bytes_at_all_end_in_an_event_or_in_a_named_error(data: bytes) -> None:
    connection = Connection(CodecLimits(max_icap_head=128))
    connection.receive_data(data)
    try:
        while connection.next_event() is not None:
            pass
    except Exception as error:
        assert getattr(error, "icap_status", None) in {400, 505}
