"""One ICAP connection as the server sees it: bytes in, events out; replies in, bytes out.

No socket, no clock:

    connection.receive_data(data)
    while (event := connection.next_event()) is not None:
        for reply in adaptation.handle(event):
            write(connection.send(reply))

Where each side stands is told in `states`.
"""

from typing import assert_never

from icapd.errors import LocalProtocolError, RemoteProtocolError
from icapd.icap import partial_content, writer
from icapd.icap.chunked import ChunkedReader
from icapd.icap.events import BodyData, BodyEnd, ConnectionClosed, Event, ModRequest, PreviewEnd
from icapd.icap.limits import CodecLimits
from icapd.icap.replies import (
    AdaptedData,
    AdaptedEnd,
    AdaptedHead,
    Continue,
    ErrorReply,
    OptionsReply,
    PartialContent,
    Reply,
    Unmodified,
)
from icapd.icap.request_reader import IcapHead
from icapd.icap.states import Reading, Writing


class Connection:
    """The server's side of one connection (RFC 3507). Not thread-safe: one thread drives it."""

    def __init__(self, limits: CodecLimits = CodecLimits(), *, pauses: bool = False) -> None:
        self._limits, self._pauses = limits, pauses
        self._buffer = bytearray()
        self._reading, self._writing = Reading.IDLE, Writing.SILENT
        self._head: IcapHead | None = None
        self._chunks: ChunkedReader | None = None
        self._complete_preview = False  # ieof was seen, and its BodyEnd is still to be told
        self._request: ModRequest | None = None
        self._body_received = 0  # bytes of the body that were told, preview included
        self._adapting: AdaptedHead | None = None  # the message that is being sent
        self._searched = 0  # bytes of the buffer in which an ICAP head does not end
        self._drained = 0
        self._peer_closed = False
        self._closing = False  # the connection is to end behind an answer that says so
        self._announced = False  # the current answer says so

    @property
    def must_close(self) -> bool:
        """Whether the transport is to be closed once all bytes are written."""
        return self._reading is Reading.CLOSED or (self._announced and self._has_ended)

    @property
    def _has_ended(self) -> bool:
        return self._reading is Reading.READ and self._writing is Writing.WRITTEN

    @property
    def is_idle(self) -> bool:
        """Whether nothing of a request has arrived since the last one ended."""
        # Whole empty lines were passed over already: one CR is all that may be left of another.
        return self._reading is Reading.IDLE and (not self._buffer or self._buffer == b"\r")

    @property
    def is_reading_head(self) -> bool:
        """Whether a request has begun to arrive, but not all of its heads."""
        begun = self._reading is Reading.IDLE and not self.is_idle
        return begun or self._reading is Reading.HTTP_HEADS

    @property
    def is_draining(self) -> bool:
        """Whether the final reply was sent, and the rest of the request is read only to be dropped."""
        return self._writing is Writing.WRITTEN and self._reading is Reading.BODY

    @property
    def awaits_reply(self) -> bool:
        """Whether nothing of a final reply to the current request was sent yet."""
        return self._writing is Writing.SILENT

    @property
    def is_mid_response(self) -> bool:
        """Whether an adapted message was begun and not ended; nothing but its end may be sent now."""
        return self._writing is Writing.ADAPTING

    def close_after_response(self) -> None:
        """Announce `Connection: close` with the next final reply, and close behind it (orderly shutdown).

        An answer that has begun can't say so any more: it does not end the connection.
        """
        self._closing = True

    def take_rest(self) -> bytes | None:
        """What came behind a request that has ended; one that `pauses` takes the next request after this."""
        if not self._has_ended:
            return None
        rest, self._buffer = bytes(self._buffer), bytearray()
        self._begin_next_request()
        return rest

    def receive_data(self, data: bytes) -> None:
        """Bytes from the peer; b"" says that it closed its side."""
        if not data:
            self._peer_closed = True
        elif self._reading is not Reading.CLOSED:
            self._buffer += data

    def next_event(self) -> Event | None:
        """The next thing the peer did; None when more bytes, or a reply, are needed first.

        Raises RemoteProtocolError: answer with its `icap_status` by an ErrorReply, and close.
        """
        try:
            return self._next_event()
        except RemoteProtocolError:
            # Where the next request would begin is not known any more.
            self._reading, self._closing = Reading.CLOSED, True
            raise

    def _next_event(self) -> Event | None:
        while True:
            match self._reading:
                case Reading.IDLE:
                    if not self._read_icap_head():
                        return self._closed_or_none()
                case Reading.HTTP_HEADS:
                    event = self._read_http_heads()
                    return event if event is not None else self._closed_or_none()
                case Reading.BODY:
                    size = len(self._buffer)
                    event = self._read_body()
                    if self._writing is Writing.WRITTEN:
                        self._drain(size - len(self._buffer))
                    elif event is not None:
                        return event
                    if event is None and self._reading is Reading.BODY:
                        return self._closed_or_none()
                case Reading.PAUSED:
                    return self._closed_or_none()
                case Reading.READ if self._has_ended and not (self._announced or self._pauses):
                    self._begin_next_request()
                case Reading.READ | Reading.CLOSED:
                    return None

    def _read_icap_head(self) -> bool:
        # Some clients send an empty line between two requests, as RFC 9112 section 2.2 tolerates.
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3), self._limits.max_icap_head)
        self._searched = len(self._buffer) if end < 0 else 0
        if end < 0:
            if len(self._buffer) >= self._limits.max_icap_head:
                raise RemoteProtocolError(f"the ICAP head is over {self._limits.max_icap_head} bytes")
            return False
        raw = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        self._head = IcapHead(raw, self._limits)
        self._closing = self._closing or self._head.wants_close
        self._reading = Reading.HTTP_HEADS
        return True

    def _read_http_heads(self) -> Event | None:
        assert self._head is not None
        encapsulated = self._head.encapsulated
        if len(self._buffer) < encapsulated.length:
            return None
        event = self._head.event(bytes(self._buffer[: encapsulated.length]))
        del self._buffer[: encapsulated.length]
        self._request = event if isinstance(event, ModRequest) else None
        if encapsulated.has_body:
            self._chunks = ChunkedReader(self._limits, preview=self._head.preview is not None)
            self._reading = Reading.BODY
        else:
            self._reading = Reading.READ
        return event

    def _read_body(self) -> BodyData | PreviewEnd | BodyEnd | None:
        assert self._chunks is not None
        if self._complete_preview:
            self._complete_preview = False
            self._reading = Reading.READ
            return BodyEnd(self._chunks.trailers)
        event = self._chunks.next_event(self._buffer)
        if isinstance(event, BodyData):
            self._body_received += len(event.data)
        elif isinstance(event, BodyEnd):
            self._reading = Reading.READ
        elif isinstance(event, PreviewEnd):
            self._complete_preview = event.complete
            if not event.complete:
                self._reading = Reading.PAUSED if self._writing is not Writing.WRITTEN else Reading.READ
        return event

    def _drain(self, size: int) -> None:
        """Drop what arrives behind a final reply; past the limit, stop reading for good."""
        self._drained += size
        if self._drained > self._limits.max_drain:
            self._reading = Reading.CLOSED

    def _begin_next_request(self) -> None:
        self._reading, self._writing = Reading.IDLE, Writing.SILENT
        self._head = self._request = self._chunks = self._adapting = None
        self._complete_preview = False
        self._body_received = self._drained = 0

    def _closed_or_none(self) -> ConnectionClosed | None:
        """What to tell when the bytes at hand make no event."""
        if not self._peer_closed:
            return None
        if self._reading is Reading.IDLE and not self._buffer:
            self._reading = Reading.CLOSED
            return ConnectionClosed()
        raise RemoteProtocolError("the connection was closed in the middle of a request")

    def send(self, reply: Reply) -> bytes:
        """The bytes of a reply. Raises LocalProtocolError when the state of the conversation forbids it."""
        match reply:
            case Continue():
                return self._send_continue()
            case AdaptedData(data):
                self._expect(Writing.ADAPTING, reply)
                assert self._adapting is not None
                if not self._adapting.has_body:
                    raise LocalProtocolError("AdaptedData behind a head that announced no body")
                return writer.chunk(data) if data else b""
            case AdaptedEnd():
                self._expect(Writing.ADAPTING, reply)
                assert self._adapting is not None
                self._finish()
                return writer.adapted_end(reply, self._adapting.has_body, bool(self._adapting.trailer_names))
            case AdaptedHead():
                self._expect(Writing.SILENT, reply)
                if reply.trailer_names and not (self._request and self._request.allows_trailers):
                    raise LocalProtocolError("ICAP trailers for a request that does not allow them")
                self._writing = Writing.ADAPTING
                self._adapting = reply
                return writer.adapted_head(reply, self._announce())
            case Unmodified():
                self._expect(Writing.SILENT, reply)
                self._finish()
                return writer.unmodified(reply, self._announce())
            case PartialContent():
                self._expect(Writing.SILENT, reply)
                paused, read = self._reading is Reading.PAUSED, self._reading is Reading.READ
                partial_content.check(reply, self._request, self._body_received, paused=paused, read=read)
                self._finish()
                return writer.partial_content(reply, self._announce())
            case OptionsReply():
                self._expect(Writing.SILENT, reply)
                self._finish()
                return writer.options(reply, self._announce())
            case ErrorReply():
                self._expect(Writing.SILENT, reply)
                self._closing = self._closing or reply.close
                self._finish()
                if reply.close:
                    self._reading = Reading.CLOSED
                return writer.error(reply, self._announce())
            case _:
                assert_never(reply)

    def _send_continue(self) -> bytes:
        # A 100 before the preview's end, or after ieof, fails Squid's transaction.
        if self._reading is not Reading.PAUSED or self._writing is not Writing.SILENT:
            raise LocalProtocolError("100 Continue answers the end of an incomplete preview and nothing else")
        self._reading = Reading.BODY
        return writer.CONTINUE

    def _expect(self, state: Writing, reply: Reply) -> None:
        # An error may come at any time: for a head that never ends, or for what is no ICAP.
        was_told = self._reading in {Reading.BODY, Reading.PAUSED, Reading.READ}
        if self._writing is not state or not (was_told or isinstance(reply, ErrorReply)):
            raise LocalProtocolError(f"{type(reply).__name__} can't be sent while {self._writing.name}")

    def _announce(self) -> bool:
        """Whether the answer that begins now says `Connection: close`."""
        self._announced = self._closing
        return self._announced

    def _finish(self) -> None:
        self._writing = Writing.WRITTEN
        if self._reading is Reading.PAUSED:
            # A final reply to a preview: the rest of the body never travels (RFC 3507 section 4.5).
            self._reading = Reading.READ
