"""An ICAP client without a socket that takes nothing on trust: it asserts all that Squid asserts of a reply.

Squid counts each breach as a failure of the service, and gives the service up after ten; so here each breach
is an AssertionError. What is allowed depends on how far the request was written when the reply came.
"""

import re
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from support.icap_requests import Request

_STATUS_LINE = re.compile(rb"ICAP/1\.0 ([1-5]\d\d) [\x20-\x7e]+")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([^\r\n\x00]*)")
# A last chunk may name the part of the original body; no other chunk has an extension.
_CHUNK_LINE = re.compile(rb"([0-9a-f]{1,8})|0; use-original-body=(\d{1,10})")
_HEAD_LIMIT = 65535  # Squid's read buffer: either head must fit
_ENCAPSULATED = re.compile(rb"(req|res)-hdr=0, (?:(req|res)-body|(null-body))=(\d+)")


class Writing(Enum):
    """How far a request was written."""

    UPFRONT = auto()
    """Its heads, its preview, or the whole body where there is no preview."""
    PAUSED = auto()
    """The preview ended, more of the body is there."""
    REST = auto()
    """After 100 Continue."""
    DONE = auto()


@dataclass
class Reply:
    """A final reply as far as it has come."""

    status: int
    fields: list[tuple[bytes, bytes]]
    http_head: bytes = b""
    body: bytes = b""
    trailers: bytes = b""
    icap_trailers: bytes = b""
    #: use-original-body: where the virgin body takes over.
    original_from: int | None = None
    is_whole: bool = False

    def get(self, name: bytes) -> bytes | None:
        """The first field of that name."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)

    @property
    def closes(self) -> bool:
        return (self.get(b"Connection") or b"").lower() == b"close"


@dataclass
class Exchange:
    """A request, and what became of it."""

    request: Request
    writing: Writing = Writing.UPFRONT
    continued: bool = False
    reply: Reply | None = None
    #: Bytes of the body that were written.
    body_sent: int = 0
    #: Whether the body was ended early by a normal last chunk, as Squid does when its own source breaks off.
    was_cut: bool = False
    #: The sizes in which it was written, and None where it was cut: to do the same again.
    history: list[int | None] = field(default_factory=list)
    outgoing: deque[tuple[bytes, int]] = field(default_factory=deque)
    _left_of_piece: bytes = b""

    def __post_init__(self) -> None:
        self.outgoing.extend(self.request.upfront())

    @property
    def is_answered(self) -> bool:
        return self.reply is not None and self.reply.is_whole

    @property
    def body(self) -> bytes:
        """What the server should have of the body once all is written."""
        whole = self.request.body or b""
        return whole[: self.body_sent] if self.was_cut else whole

    def write(self, size: int) -> bytes:
        """Up to `size` bytes more of the request."""
        out = b""
        while len(out) < size and (self._left_of_piece or self.outgoing):
            if not self._left_of_piece:
                self._left_of_piece, in_body = self.outgoing.popleft()
                # A chunk counts as sent once it is begun: who counts too much is too lenient, never wrong.
                self.body_sent += in_body
            piece = self._left_of_piece[: size - len(out)]
            self._left_of_piece = self._left_of_piece[len(piece) :]
            out += piece
        if out:
            self.history.append(len(out))
        if not self._left_of_piece and not self.outgoing:
            self._end_of_part()
        return out

    def _end_of_part(self) -> None:
        if self.writing is Writing.UPFRONT and self.request.rest() and self.reply is None:
            self.writing = Writing.PAUSED
        elif self.writing is not Writing.PAUSED or self.reply is not None:
            self.writing = Writing.DONE

    def go_on(self) -> None:
        """100 Continue has come."""
        self.writing, self.continued = Writing.REST, True
        self.outgoing.extend(self.request.rest())

    def cut(self) -> bool:
        """End the body here; False where there is no body to cut."""
        in_body = self.writing is Writing.REST or (
            self.writing is Writing.UPFRONT
            and not self.request.previews
            and self.request.body is not None
            and len(self.outgoing) < len(self.request.upfront())
        )
        if not in_body or not self.outgoing:
            return False
        last_chunk = self.outgoing[-1]
        self.was_cut = self.was_cut or len(self.outgoing) > 1
        self.outgoing = deque([last_chunk])
        self.history.append(None)
        return True

    def check_allowed(self, reply: Reply) -> None:
        """SQUID.md 2.4: which final status may come now."""
        request = self.request
        allows = set(request.allow)
        answers_preview = request.preview is not None and not self.continued
        if reply.status == 204 and request.is_mod:
            assert answers_preview or "204" in allows, "204 for a request that does not allow it"
        if reply.status == 206:
            assert "206" in allows and request.body is not None, "206 for a request that does not allow it"
            assert not (request.previews and self.writing is Writing.UPFRONT), "206 within the preview"
            assert self.writing is Writing.PAUSED or "204" in allows, "206 needs Allow: 204 here"


class _Part(Enum):
    HEAD = auto()
    HTTP_HEAD = auto()
    CHUNK_LINE = auto()
    CHUNK = auto()
    TRAILERS = auto()
    ICAP_TRAILERS = auto()


class IcapClient:
    """One connection. Requests are written in order; the next one when the one before is written."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._buffer = b""
        self._part = _Part.HEAD
        self._reply: Reply | None = None
        self._wanted = 0  # bytes of the HTTP head, or of the chunk that is being read
        self._body_follows = False

    @property
    def unanswered(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if not exchange.is_answered]

    @property
    def is_closed(self) -> bool:
        """Whether the server has announced that it closes."""
        return any(exchange.reply is not None and exchange.reply.closes for exchange in self.exchanges)

    def ask(self, request: Request) -> Exchange:
        self.exchanges.append(Exchange(request))
        return self.exchanges[-1]

    def write(self, size: int) -> bytes:
        """The next bytes for the server, at most `size`; b"" when a reply must come first, or all is out."""
        out = b""
        for exchange in self.exchanges:
            out += exchange.write(size - len(out))
            if exchange.writing is not Writing.DONE or len(out) == size:
                break
        return out

    def receive(self, data: bytes) -> None:
        """Bytes of the server. AssertionError for whatever would fail in Squid."""
        self._buffer += data
        steps = {
            _Part.HEAD: self._read_head,
            _Part.HTTP_HEAD: self._read_http_head,
            _Part.CHUNK_LINE: self._read_chunk_line,
            _Part.CHUNK: self._read_chunk,
            _Part.TRAILERS: self._read_trailers,
            _Part.ICAP_TRAILERS: self._read_icap_trailers,
        }
        while self._buffer and steps[self._part]():
            pass

    @property
    def is_between_replies(self) -> bool:
        """Whether the server has said all that it began to say."""
        return self._part is _Part.HEAD and not self._buffer

    def _current(self) -> Exchange:
        unanswered = self.unanswered
        assert unanswered, f"{len(self._buffer)} stray bytes behind the last reply: {self._buffer[:40]!r}"
        assert unanswered[0].history, "a reply to a request that was not begun"
        previous = self.exchanges[: self.exchanges.index(unanswered[0])]
        assert not any(done.reply and done.reply.closes for done in previous), (
            "a reply behind Connection: close"
        )
        return unanswered[0]

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _read_head(self) -> bool:
        exchange = self._current()
        assert b"ICAP/1.0 "[: len(self._buffer)] == self._buffer[:9], f"no status line: {self._buffer[:40]!r}"
        end = self._buffer.find(b"\r\n\r\n")
        assert len(self._buffer) < _HEAD_LIMIT or end >= 0, "an ICAP head over 64 KiB"
        if end < 0:
            return False
        lines = self._take(end + 4)[:-4].split(b"\r\n")
        status_line = _STATUS_LINE.fullmatch(lines[0])
        assert status_line is not None, f"status line {lines[0]!r}"
        fields = [_FIELD.fullmatch(line) for line in lines[1:]]
        assert all(fields), f"field lines {lines[1:]!r}"
        reply = Reply(int(status_line[1]), [(match[1], match[2]) for match in fields if match])
        if reply.status == 100:
            assert exchange.writing is Writing.PAUSED, f"100 Continue while {exchange.writing}"
            assert reply.get(b"Encapsulated") is None
            exchange.go_on()
            return True
        exchange.check_allowed(reply)
        exchange.reply = self._reply = reply
        self._begin_message(exchange, reply)
        if exchange.writing is Writing.PAUSED:
            # The rest of the body never travels.
            exchange.writing = Writing.DONE
        return True

    def _begin_message(self, exchange: Exchange, reply: Reply) -> None:
        encapsulated = [value for name, value in reply.fields if name.lower() == b"encapsulated"]
        if reply.status == 204:
            assert not encapsulated, "a 204 with Encapsulated"
            self._end_reply()
            return
        assert len(encapsulated) == 1, f"{len(encapsulated)} Encapsulated headers in a {reply.status}"
        if reply.status not in (200, 206) or exchange.request.method == "OPTIONS":
            assert encapsulated == [b"null-body=0"]
            self._end_reply()
            return
        match = _ENCAPSULATED.fullmatch(encapsulated[0])
        assert match is not None, f"Encapsulated: {encapsulated[0]!r}"
        assert match[1] == (match[2] or match[1]), "head of one kind, body of the other"
        if exchange.request.method == "RESPMOD":
            assert match[1] == b"res", "RESPMOD answered without res-hdr"
        self._body_follows = match[3] is None
        assert self._body_follows or reply.status == 200, "Squid delivers no body for a 206 with null-body"
        self._wanted = int(match[4])
        assert 0 < self._wanted < _HEAD_LIMIT
        self._part = _Part.HTTP_HEAD

    def _read_http_head(self) -> bool:
        assert self._reply is not None
        if len(self._buffer) < self._wanted:
            return False
        head = self._take(self._wanted)
        assert head.find(b"\r\n\r\n") == len(head) - 4, "the offset is not where the HTTP head ends"
        is_response = head.startswith(b"HTTP/")
        kind = self._reply.get(b"Encapsulated") or b""
        assert is_response == kind.startswith(b"res-hdr"), "the head is not of the kind that was announced"
        self._reply.http_head = head
        self._part = _Part.CHUNK_LINE if self._body_follows else _Part.ICAP_TRAILERS
        if not self._body_follows:
            self._end_body()
        return True

    def _read_chunk_line(self) -> bool:
        assert self._reply is not None
        line, end, _ = self._buffer.partition(b"\r\n")
        assert len(line) < 64, f"chunk line {line!r}"
        if not end:
            return False
        match = _CHUNK_LINE.fullmatch(line)
        assert match is not None, f"chunk line {line!r}"
        self._take(len(line) + 2)
        if match[2] is not None:
            exchange = self._current()
            assert self._reply.status == 206, "use-original-body without 206"
            self._reply.original_from = int(match[2])
            assert self._reply.original_from <= exchange.body_sent, "use-original-body beyond what was sent"
        self._wanted = int(match[1] or b"0", 16)
        self._part = _Part.CHUNK if self._wanted else _Part.TRAILERS
        return True

    def _read_chunk(self) -> bool:
        assert self._reply is not None
        if len(self._buffer) < self._wanted + 2:
            return False
        self._reply.body += self._take(self._wanted)
        assert self._take(2) == b"\r\n", "no CRLF behind a chunk"
        self._part = _Part.CHUNK_LINE
        return True

    def _read_trailers(self) -> bool:
        assert self._reply is not None
        if self._buffer.startswith(b"\r\n"):
            self._take(2)
        else:
            lines, end, _ = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return False
            assert all(_FIELD.fullmatch(line) for line in lines.split(b"\r\n")), f"trailers {lines!r}"
            self._reply.trailers = lines
            self._take(len(lines) + 4)
        if self._reply.status == 206:
            assert self._reply.original_from is not None, "a 206 without use-original-body"
        self._end_body()
        return True

    def _end_body(self) -> None:
        """ICAP trailers follow where they were announced, which only those meet who allow them."""
        assert self._reply is not None
        if self._reply.get(b"Trailer") is None:
            self._end_reply()
            return
        assert "trailers" in self._current().request.allow, (
            "ICAP trailers for a request that does not allow them"
        )
        assert b"trailers" in (self._reply.get(b"Allow") or b""), "Trailer without Allow: trailers"
        self._part = _Part.ICAP_TRAILERS

    def _read_icap_trailers(self) -> bool:
        assert self._reply is not None
        lines, end, _ = self._buffer.partition(b"\r\n\r\n")
        if self._buffer.startswith(b"\r\n"):
            self._take(2)
        elif end:
            self._reply.icap_trailers = lines
            self._take(len(lines) + 4)
        else:
            return False
        self._end_reply()
        return True

    def _end_reply(self) -> None:
        assert self._reply is not None
        self._reply.is_whole = True
        self._reply, self._part = None, _Part.HEAD
