"""What the tests' ICAP server reads, and what it looks at on the way."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.icap_script import Gone, Refused, Script

HEAD_TIMEOUT = 0.4
_CHUNK = re.compile(rb"0*([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n]*)?")
_LEGAL = {
    b"REQMOD": re.compile(rb"(req-hdr=\d+, )?(req|null)-body=\d+"),
    b"RESPMOD": re.compile(rb"(req-hdr=\d+, )?(res-hdr=\d+, )?(res|null)-body=\d+"),
    b"OPTIONS": re.compile(rb"(opt|null)-body=\d+"),
}


class Reader:
    """Bytes from the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.buffer = b""

    def fill(self, deadline: float | None = None) -> None:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.connection.settimeout(left)
        try:
            data = self.connection.recv(65536)
        finally:
            self.connection.settimeout(None)
        if not data:
            raise Gone
        self.buffer += data

    def until(self, end: bytes, limit: int = 65536, timeout: float | None = None) -> bytes:
        deadline = time.monotonic() + timeout if timeout else None
        while (at := self.buffer.find(end)) < 0:
            if len(self.buffer) > limit:
                raise Refused(400)
            self.fill(deadline)
        return self.take(at + len(end))

    def take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self.fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def some(self, limit: int) -> bytes:
        if not self.buffer:
            self.fill()
        return self.take(min(limit, len(self.buffer)))


@dataclass
class Request:
    """One ICAP request, as far as it was read."""

    method: bytes
    path: bytes
    fields: list[tuple[bytes, bytes]]
    parts: list[tuple[bytes, int]] = field(default_factory=list)
    heads: bytes = b""
    body: bytes = b""
    trailer: bytes = b""
    ieof: bool = False

    def get_list(self, name: bytes) -> list[bytes]:
        values = [value for key, value in self.fields if key.lower() == name]
        return [part.strip().lower() for value in values for part in value.split(b",") if part.strip()]

    @property
    def has_body(self) -> bool:
        return bool(self.parts) and self.parts[-1][0] != b"null-body"

    @property
    def preview(self) -> int | None:
        values = self.get_list(b"preview")
        return int(values[0]) if values else None

    @property
    def head(self) -> bytes:
        """The head of the message to adapt."""
        wanted = b"res-hdr" if self.method == b"RESPMOD" else b"req-hdr"
        starts = dict(self.parts)
        if wanted not in starts:
            return b"HTTP/1.1 200 OK\r\n\r\n" if wanted == b"res-hdr" else b"POST / HTTP/1.1\r\n\r\n"
        ends = [offset for _, offset in self.parts if offset > starts[wanted]]
        return self.heads[starts[wanted] : min(ends)]


class RequestReader:
    """The requests of one connection, read as the script has it."""

    def __init__(self, connection: socket.socket, script: Script) -> None:
        self.script = script
        self.reader = Reader(connection)

    def does(self, what: str) -> bool:
        return what in self.script.does

    def check(self, what: str, holds: bool, status: int = 400) -> None:
        if not holds and what not in self.script.lax:
            raise Refused(status)

    def read_head(self) -> Request:
        while not self.reader.buffer:
            idle = 0.05 if self.does("close-idle") else None
            try:
                self.reader.fill(time.monotonic() + idle if idle else None)
            except TimeoutError:
                raise Gone from None
        while "empty-lines" not in self.script.lax and self.reader.buffer.startswith(b"\r\n"):
            self.reader.buffer = self.reader.buffer[2:]
            if not self.reader.buffer:
                return self.read_head()
        timeout = None if self.does("wait-for-ever") else HEAD_TIMEOUT
        try:
            head = self.reader.until(b"\r\n\r\n", 2**24 if "size" in self.script.lax else 65536, timeout)
        except TimeoutError:
            raise Refused(408) from None
        line, _, rest = head[:-2].partition(b"\r\n")
        words = line.split(b" ")
        self.check("version", len(words) == 3 and re.fullmatch(rb"ICAP/\d\.\d", words[2]) is not None)
        self.check("version", words[2] == b"ICAP/1.0", 505)
        uri = re.fullmatch(rb"(?:icaps?://[^/]*)(/[^?]*)(\?.*)?", words[1], re.IGNORECASE)
        if uri is None or (self.does("own-name-only") and b"alias" in words[1]):
            raise Refused(404)
        request = Request(words[0], uri[1], self.read_fields(rest))
        self.check("te", not request.get_list(b"transfer-encoding"))
        if self.does("frame-by-content-length") and (length := request.get_list(b"content-length")):
            self.reader.take(int(length[0]))
        self.read_encapsulated(request)
        return request

    def read_fields(self, lines: bytes) -> list[tuple[bytes, bytes]]:
        lines = re.sub(rb"\r\n[ \t]+", b" ", lines) if "fold" not in self.script.lax else lines
        fields = []
        for line in lines.removesuffix(b"\r\n").split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if self.does("crash-on-fold") and line[:1] in (b" ", b"\t"):
                raise Gone
            self.check("colon", bool(colon) and bool(name))
            self.check("nul", not re.search(rb"[\x00\r]", value))
            fields.append((name if self.does("case-matters") else name.lower(), value.strip(b" \t")))
        hosts = {value for name, value in fields if name.lower() == b"host"}
        self.check("host", len(hosts) == 1)
        if self.does("refuse-unknown") and any(name.startswith(b"x-unheard") for name, _ in fields):
            raise Refused(400)
        if self.does("refuse-identity") and any(b"<nobody>" in value for _, value in fields):
            raise Refused(400)
        return fields

    def read_encapsulated(self, request: Request) -> None:
        values = [value for name, value in request.fields if name == b"encapsulated"]
        if not values:
            if request.method in {b"REQMOD", b"RESPMOD"}:
                raise Refused(400)
            return
        value = values[0]
        legal = _LEGAL.get(request.method, _LEGAL[b"REQMOD"])
        # A method that the service does not take gets 405, whatever it lists.
        self.check("duplicates", legal.fullmatch(value) is not None)
        parts = re.findall(rb"([a-z]+-[a-z]+)=(\d+)", value)
        if not parts:
            raise Refused(400)
        request.parts = [(name, int(offset)) for name, offset in parts]
        offsets = [offset for _, offset in request.parts]
        self.check("offsets", offsets[0] == 0 and offsets == sorted(set(offsets)))
        if self.does("needs-request") and request.method == b"RESPMOD" and parts[0][0] != b"req-hdr":
            raise Refused(400)
        request.heads = self.reader.take(max(offsets))
        ends = offsets[1:]
        self.check("section-end", all(request.heads[:end].endswith(b"\r\n\r\n") for end in ends))

    def chunks(self, request: Request) -> Iterator[bytes]:
        """Pieces up to the next last chunk."""
        while True:
            line = self.reader.until(b"\r\n", 4096)[:-2]
            match = _CHUNK.fullmatch(line)
            if match is None and "chunks" in self.script.lax:
                size = int(re.sub(rb"[^0-9A-Fa-f]|0x", b"", line)[:8] or b"0", 16)
            else:
                self.check("chunks", match is not None and int(match[1], 16) < 2**63)
                assert match is not None
                size = int(match[1], 16)
            if self.does("refuse-extensions") and b"name=" in line:
                raise Refused(400)
            if not size:
                spelling = rb";\s*ieof" if "ieof" not in self.script.lax else rb"; ieof"
                flags = 0 if "ieof" in self.script.lax else re.IGNORECASE
                request.ieof = re.search(spelling, line, flags) is not None
                return
            left = size
            while left:
                piece = self.reader.some(left)
                left -= len(piece)
                yield piece
            self.check("chunks", self.reader.take(2) == b"\r\n")

    def end_of_chunks(self, request: Request) -> None:
        """The trailer and the empty line behind the last chunk."""
        if self.does("no-last-crlf") and request.preview is not None:
            return
        while (line := self.reader.until(b"\r\n")) != b"\r\n":
            request.trailer += line

    def drain(self, request: Request) -> None:
        """Read the rest of a body that was answered already."""
        if self.does("hang-up-early"):
            raise Gone
        if self.does("stop-reading"):
            threading.Event().wait(3)
            raise Gone
        for _ in self.chunks(request):
            pass
        self.end_of_chunks(request)
