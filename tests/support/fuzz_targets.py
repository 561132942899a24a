"""What is thrown bytes at, and what must hold whatever they are: tests and `scripts/fuzz` call the same.

A target takes any bytes. It raises nothing but AssertionError, and that only for a defect.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from support.policies import demo_policy
from support.replies import replies_of
from support.sessions import Workbench

from icapd.errors import CodingError, RemoteProtocolError
from icapd.http.acceptance import preferred_type
from icapd.http.charsets import STATEFUL, by_label, charset_of
from icapd.http.codings import CodingLimits, Decoder, parse_content_codings
from icapd.http.headers import Headers
from icapd.http.heads import MessageHead, RequestHead, ResponseHead
from icapd.http.media_types import MediaType
from icapd.http.target import file_names_of, target_of
from icapd.http.transcoding import Edit, Transcoding
from icapd.icap import (
    BodyData,
    BodyEnd,
    Connection,
    Continue,
    ModRequest,
    OptionsRequest,
    PreviewEnd,
    Unmodified,
    UnsupportedRequest,
)
from icapd.icap.chunked import ChunkedReader
from icapd.icap.encapsulated import Encapsulated
from icapd.icap.grammar import parse_request_line
from icapd.icap.limits import CodecLimits
from icapd.inspection import BodyStream, Fingerprinter, InspectionLimits, Inspector
from icapd.inspection.server_sent_event import EventData, parse_event
from icapd.policy import Policy
from icapd.services.identity import identity_of

Target = Callable[[bytes], None]
LIMITS = CodecLimits(
    max_icap_head=1024,
    max_http_head=1024,
    max_header_fields=16,
    max_preview=256,
    max_chunk_size=4096,
    max_chunk_line=64,
    max_trailer=256,
    max_drain=512,
)
#: Bytes that the codec may hold when it waits for more of them.
_MOST_HELD = LIMITS.max_icap_head + 2 * LIMITS.max_http_head
_EVENTS = MediaType("text/event-stream")
_JSON = MediaType("application/json")
_PLAIN = MediaType("text/plain")


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# --- the codec


def request_reader(data: bytes) -> None:
    """Any bytes are events or a named error, the same ones however they are cut."""
    assert _events_of([data]) == _events_of(bytewise(data))


def _events_of(pieces: Iterable[bytes]) -> list[object]:
    connection, told = Connection(LIMITS), []
    try:
        for piece in [*pieces, b""]:
            connection.receive_data(piece)
            while (event := connection.next_event()) is not None:
                told.append(event)
                match event:
                    case PreviewEnd(complete=False):
                        connection.send(Continue())
                    case BodyEnd() | ModRequest(has_body=False) | OptionsRequest() | UnsupportedRequest():
                        if connection.awaits_reply:
                            connection.send(Unmodified())
            assert len(connection._buffer) <= _MOST_HELD
    except RemoteProtocolError as error:
        assert str(error).isprintable() and connection.must_close
        told.append((error.icap_status, str(error)))
    return _joined(told)


def _joined(told: list[object]) -> list[object]:
    """Pieces of a body as one; what stands before an error is left out, for it depends on the cut."""
    joined: list[object] = []
    for event in told:
        if isinstance(event, BodyData):
            if joined and isinstance(joined[-1], bytes):
                joined[-1] += event.data
            else:
                joined.append(event.data)
            continue
        if isinstance(event, tuple) and joined and isinstance(joined[-1], bytes):
            joined.pop()
        joined.append(event)
    return joined


def chunk_parser(data: bytes) -> None:
    """A body in chunks; its first byte says whether a preview comes first. Held against a plain reading."""
    preview, data = data[:1] == b"p", data[1:]
    whole = _chunks_of([data], preview=preview)
    assert whole == _chunks_of(bytewise(data), preview=preview)
    told, rest = whole
    if told and isinstance(told[-1], BodyEnd) and not preview:
        body, left = _plain_reading(data)
        assert body == b"".join(item for item in told if isinstance(item, bytes))
        assert rest == left


def _chunks_of(pieces: Iterable[bytes], *, preview: bool) -> tuple[list[object], bytes]:
    reader, buffer, told = ChunkedReader(LIMITS, preview=preview), bytearray(), []
    ended = False
    try:
        for piece in pieces:
            buffer += piece
            while not ended and (event := reader.next_event(buffer)) is not None:
                told.append(event)
                ended = isinstance(event, BodyEnd)
    except RemoteProtocolError as error:
        return _joined([*told, (error.icap_status, str(error))]), b""
    return _joined(told), bytes(buffer)


def _plain_reading(data: bytes) -> tuple[bytes, bytes]:
    """A chunked body that is known to be whole and sound, read in the plainest way; and what is behind it."""
    body = b""
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if not size:
            break
        body, data = body + data[:size], data[size:].removeprefix(b"\r\n")
    while not data.startswith(b"\r\n"):
        data = data.partition(b"\r\n")[2]
    return body, data[2:]


# --- sessions


@cache
def _directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="icapd-fuzz-"))


@cache
def _policy() -> Policy:
    return demo_policy(_directory())


@cache
def _workbench() -> Workbench:
    return Workbench(_policy(), _directory(), LIMITS)


def session(data: bytes) -> None:
    """Whatever a client sends gets well-formed replies, and each transaction its one record.

    The verdict does not depend on how the bytes were cut. (How a message that flows is cut does.)
    """
    assert _session_of([data]) == _session_of(bytewise(data))


def _session_of(pieces: Iterable[bytes]) -> object:
    workbench = _workbench()
    out, records, session = workbench.run(pieces)
    if not session.connection.must_close:
        out += session.receive(b"")
    session.abandon("client-gone")
    records += workbench.take_records()
    assert workbench.memory.held == 0
    assert len({record.event_id for record in records}) == len(records)
    replies = replies_of(out)
    transactions = [reply.status for reply in replies if b"X-Icapd-Txn" in reply.icap_head]
    assert len(transactions) <= len(records) <= len(transactions) + 1
    statuses = [reply.status for reply in replies]
    assert not any(record.inspection == "error" for record in records), "a defect of ours"
    return statuses, [(record.verdict, record.skip_reason is None) for record in records]


# --- HTTP


def heads(data: bytes) -> None:
    """Heads, fields and what is read from them: a value, which gives the bytes again, or a named error."""
    for parse in (RequestHead.parse, ResponseHead.parse):
        with contextlib.suppress(RemoteProtocolError):
            _check_head(parse(data))
    with contextlib.suppress(RemoteProtocolError):
        fields = Headers.parse(data)
        assert Headers.parse(fields.encode().removesuffix(b"\r\n")) == fields
    with contextlib.suppress(RemoteProtocolError):
        method, path = parse_request_line(data)
        assert method.isascii() and path.startswith("/")
    for method in ("OPTIONS", "REQMOD", "RESPMOD", "FOOMOD"):
        with contextlib.suppress(RemoteProtocolError):
            parts = Encapsulated.parse(data, method)
            ends = [end for _, _, end in parts.heads]
            assert ends == sorted(set(ends)) and (ends or [0])[-1] == parts.length
    _read_values(data)


def _check_head(head: MessageHead) -> None:
    assert head.encode() == head.raw
    bare = head.with_headers(head.headers)
    assert type(head).parse(bare.encode()).headers == head.headers
    if isinstance(head, RequestHead):
        target_of(head)
        file_names_of(None, head)
    repr(head)


def _read_values(data: bytes) -> None:
    """Values of single fields: nothing makes their readers fail."""
    media_type = MediaType.parse(data)
    charset_of(media_type, data)
    by_label(data.decode("latin-1").lower())
    parse_content_codings(data)
    assert preferred_type(data, ("text/html", "text/plain")) in {"text/html", "text/plain"}
    file_names_of(data, None)


def identity(data: bytes) -> None:
    """Who the client says its user is: text that can be stored, of bounded length."""
    names = (b"X-Client-IP", b"X-Client-Username", b"X-Authenticated-User", b"X-Authenticated-Groups")
    values = (data.split(b"\n") + [b""] * 4)[:4]
    who = identity_of(Headers(tuple(zip(names, values, strict=True))))
    for name in (who.client_ip, who.user, *who.groups):
        assert len(name) <= 255
        name.encode("utf-8")


_CODINGS = (("gzip",), ("deflate",), ("gzip", "deflate"), ("gzip", "gzip", "gzip"), ("deflate", "x-gzip"))
_CODINGS += (("br",), ("zstd",), ("gzip", "zstd"), ("br", "deflate"))


def codings(data: bytes) -> None:
    """Compressed bodies, by the first byte's coding: bounded, and the same however they are cut."""
    names, data = _CODINGS[(data[:1] or b"\0")[0] % len(_CODINGS)], data[1:]
    whole, cut = _decoded(names, [data]), _decoded(names, bytewise(data))
    # What breaks off and is too large as well may be told by either reason.
    assert bool(whole[1]) is bool(cut[1])
    if not whole[1]:
        assert whole[0] == cut[0]


def _decoded(names: tuple[str, ...], pieces: Iterable[bytes]) -> tuple[bytes, str]:
    limits = CodingLimits(max_size=200_000, max_ratio=200)
    decoder, out = Decoder(names, limits), b""
    try:
        for piece in pieces:
            out += decoder.feed(piece)
            assert len(out) <= 200_000
        return out + decoder.finish(), ""
    except CodingError as error:
        return out, error.reason


_CHARSETS = (
    "utf_16_le",
    "utf_16_be",
    "utf_32_le",
    "cp932",
    "euc_jp",
    "gb18030",
    "big5hkscs",
    "cp949",
    "johab",
)
_CHARSETS += (*sorted(STATEFUL), "cp037")


def transcoding(data: bytes) -> None:
    """Bytes in the charset that the first one chooses: the same text however they are cut, and an edit in its
    middle leaves what stands around it."""
    charset, own = _CHARSETS[(data[:1] or b"\0")[0] % len(_CHARSETS)], data[1:]
    try:
        whole, text = _transcoded(charset, [own])
        cut, in_pieces = _transcoded(charset, [own] if charset in STATEFUL else bytewise(own))
    except CodingError:
        return  # UTF-7 that does not end
    assert text == in_pieces
    characters = text.decode()
    before = len(characters[: len(characters) // 3].encode())
    behind = len(characters[: 2 * len(characters) // 3].encode())
    first, last = whole.own_offset(before), whole.own_offset(behind)
    changed = whole.respell([Edit(before, behind, b"[REDACTED]")])
    assert changed == cut.respell([Edit(before, behind, b"[REDACTED]")])
    if charset not in STATEFUL:
        # What two bytes are decoded to together can't be cut between them.
        assert changed.startswith(own[:first]) and changed.endswith(own[last + 8 :])
        assert "[REDACTED]".encode(charset) in changed


def _transcoded(charset: str, pieces: list[bytes]) -> tuple[Transcoding, bytes]:
    transcoding, out = Transcoding(charset), b""
    for piece in pieces[:-1]:
        out += transcoding.feed(piece)
    return transcoding, out + transcoding.feed(pieces[-1] if pieces else b"", is_last=True)


# --- inspection


@cache
def _inspector() -> Inspector:
    limits = InspectionLimits(max_event_size=256, block_size=128, scan_timeout=10)
    return Inspector(_policy().response, Fingerprinter(b"k" * 32), limits)


def event_stream(data: bytes) -> None:
    """An event stream comes out the same however it was cut, and as it went in where nothing was found."""
    _check_stream(_EVENTS, data)


def window(data: bytes) -> None:
    """So does a text that flows."""
    _check_stream(_PLAIN, data)


def _check_stream(media_type: MediaType, data: bytes) -> None:
    whole, cut = _inspector().stream(media_type), _inspector().stream(media_type)
    out = _through(whole, [data])
    assert out == _through(cut, bytewise(data))
    assert whole.findings == cut.findings and whole.cut == cut.cut
    if not whole.findings:
        assert out == data


def _through(stream: BodyStream, pieces: Iterable[bytes]) -> bytes:
    return b"".join(map(stream.feed, pieces)) + stream.finish()


def server_sent_event(data: bytes) -> None:
    """The lines of an event are its bytes again, and each byte of its data has its place."""
    lines = parse_event(data)
    assert b"".join(line.encode(line.value) for line in lines) == data
    event = EventData(lines)
    for offset, byte in enumerate(event.text):
        place = event.locate(offset)
        assert data[place] == byte or byte == ord("\n")


def json_cutter(data: bytes) -> None:
    """JSON stays JSON of the same shape, whatever is taken out of it; other bytes do no harm."""
    inspection = _inspector().inspect_body(data, _JSON)
    if inspection.text is data:
        return
    try:
        before = json.loads(data)
    except (ValueError, RecursionError):
        return
    assert _shape(json.loads(inspection.text)) == _shape(before)
    again = _inspector().inspect_body(inspection.text, _JSON)
    assert again.text == inspection.text


def _shape(value: object) -> object:
    """A value with its texts and numbers taken out."""
    if isinstance(value, dict):
        return [_shape(item) for item in value.values()]
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        request_reader,
        chunk_parser,
        session,
        heads,
        identity,
        codings,
        transcoding,
        event_stream,
        window,
        server_sent_event,
        json_cutter,
    )
}
