"""A small ICAP server of the tests' own, which keeps the bar, and breaks it where its script says so.

It shares nothing with icapd: what it answers is a second opinion on what the kit demands.
"""

import contextlib
import email.utils
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

TRIGGER, BLOCK = b"AKIAQ3EGRIV7SDBN2XKP", b"<script>alert(1)</script>"
HEAD_TIMEOUT = 0.4
ISTAG = b'ISTag: "scripted-1"\r\n'
_CHUNK = re.compile(rb"0*([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n]*)?")
_LEGAL = {
    b"REQMOD": re.compile(rb"(req-hdr=\d+, )?(req|null)-body=\d+"),
    b"RESPMOD": re.compile(rb"(req-hdr=\d+, )?(res-hdr=\d+, )?(res|null)-body=\d+"),
    b"OPTIONS": re.compile(rb"(opt|null)-body=\d+"),
}


@dataclass(frozen=True)
class Script:
    """Where the server departs from the bar."""

    #: What it does not look at; the names stand where it would look.
    lax: frozenset[str] = frozenset()
    #: What it does otherwise; the names stand where it does so.
    does: frozenset[str] = frozenset()
    #: Takes each reply's kind and bytes; returns what is sent in its place.
    edit: Callable[[str, bytes], bytes] = field(default=lambda kind, reply: reply)


class Refused(Exception):
    """The request gets this status, and the connection ends."""


class Gone(Exception):
    """The connection ends."""


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


class Conversation:
    """One connection, served to its end."""

    def __init__(self, connection: socket.socket, script: Script, lock: threading.Lock) -> None:
        self.connection, self.script, self.lock = connection, script, lock
        self.reader = Reader(connection)
        self.closing = False

    def serve(self) -> None:
        with contextlib.suppress(Gone, OSError):
            while not self.closing:
                try:
                    self.serve_one()
                except Refused as refusal:
                    self.closing = True
                    self.send(str(refusal), self.error(int(str(refusal))))
        self.close()

    def close(self) -> None:
        # A reset would take away what the client has not read yet.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.2)
            while self.connection.recv(65536):
                pass
        self.connection.close()

    def does(self, what: str) -> bool:
        return what in self.script.does

    def check(self, what: str, holds: bool, status: int = 400) -> None:
        if not holds and what not in self.script.lax:
            raise Refused(status)

    def send(self, kind: str, reply: bytes) -> None:
        edited = self.script.edit(kind, reply)
        self.connection.sendall(edited.removesuffix(b"<cut>"))
        if edited.endswith(b"<cut>"):
            raise Gone

    def reply(self, kind: str, status: bytes, fields: bytes = b"", payload: bytes = b"") -> None:
        close = b"Connection: close\r\n" if self.closing and not self.does("silent-close") else b""
        self.send(kind, b"ICAP/1.0 %b\r\n%b%b%b\r\n%b" % (status, ISTAG, close, fields, payload))
        if self.does("stray-crlf") and kind != "100":
            self.connection.sendall(b"\r\n")

    def error(self, status: int) -> bytes:
        close = b"Connection: close\r\n" if self.closing else b""
        head = b"ICAP/1.0 %d Error\r\n%b%bEncapsulated: null-body=0\r\n\r\n"
        return head % (status, ISTAG, close)

    # --- one request

    def serve_one(self) -> None:
        request = self.read_head()
        if b"close" in request.get_list(b"connection") and not self.does("keep-always"):
            self.closing = True
        if request.method == b"OPTIONS":
            self.answer_options(request)
        elif request.method not in {b"REQMOD", b"RESPMOD"}:
            self.send("501", self.error(501))
        else:
            self.answer_message(request)
        if self.does("close-always"):
            self.closing = True

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

    # --- bodies

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

    # --- answers

    def answer_options(self, request: Request) -> None:
        if request.has_body and not self.does("ignore-opt-body"):
            for _ in self.chunks(request):
                pass
            self.end_of_chunks(request)
        if request.path not in {b"/reqmod", b"/respmod"}:
            self.unknown(request)
            return
        if self.does("slow-options"):
            threading.Event().wait(0.3)
        if self.does("one-at-a-time"):
            with self.lock:
                pass
        offered = request.get_list(b"allow")
        allow = [b"204", *(token for token in (b"206", b"trailers") if token in offered)]
        fields = [
            b"Methods: " + (b"REQMOD" if request.path == b"/reqmod" else b"RESPMOD"),
            b"Service: scripted",
            b"Service-ID: scripted",
            b"Date: " + email.utils.formatdate(usegmt=True).encode(),
            b"Options-TTL: 600",
            b"Max-Connections: 96",
            b"Allow: " + b", ".join(allow),
            b"Preview: 1024",
            b"Transfer-Preview: *",
            b"X-Include: X-Client-IP",
            b"Encapsulated: null-body=0",
        ]
        self.reply("options", b"200 OK", b"".join(line + b"\r\n" for line in fields))

    def unknown(self, request: Request) -> None:
        if self.does("close-on-404"):
            self.closing = True
        self.send("404", self.error(404))

    def answer_message(self, request: Request) -> None:
        known = {b"/reqmod": b"REQMOD", b"/respmod": b"RESPMOD"}.get(request.path)
        if known != request.method:
            self.send(*(("404", self.error(404)) if known is None else ("405", self.error(405))))
            if request.has_body:
                self.drain(request)
            return
        may_204 = b"204" in request.get_list(b"allow")
        if not request.has_body:
            if self.does("wait-for-chunk") and request.preview is not None:
                self.reader.until(b"\r\n\r\n")
            if self.does("trust-http-length") and (length := re.search(rb"Length: (\d+)", request.head)):
                self.reader.take(int(length[1]))
            self.verdict(request, may_204 or request.preview is not None)
            return
        if b"image/png" in request.head and request.preview is None:
            self.pass_image(request, may_204)
            return
        self.read_and_judge(request, may_204)

    def pass_image(self, request: Request, may_204: bool) -> None:
        if BLOCK.replace(b"<", b"%3C").replace(b">", b"%3E") in request.heads:
            self.block(request)
            self.drain(request)
        elif may_204:
            self.reply("204", b"204 No modifications")
            self.drain(request)
        else:
            self.echo_along(request)

    def echo_along(self, request: Request) -> None:
        if self.does("hold-echo"):
            request.body = b"".join(self.chunks(request))
            self.end_of_chunks(request)
            self.verdict(request, False)
            return
        with self.lock if self.does("one-at-a-time") else contextlib.nullcontext():
            self.send_message("200-echo", request, request.head, None)
            for piece in self.chunks(request):
                self.connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.end_of_chunks(request)
        self.connection.sendall(b"0\r\n" + request.trailer + b"\r\n")

    def read_and_judge(self, request: Request, may_204: bool) -> None:
        pieces = []
        for piece in self.chunks(request):
            pieces.append(piece)
            if self.does("early-100") and request.preview is not None and len(pieces) == 1:
                self.reply("100", b"100 Continue")
        self.end_of_chunks(request)
        request.body = b"".join(pieces)
        in_preview = request.preview is not None
        if in_preview:
            as_told = request.ieof or len(request.body) in {request.preview, 0}
            if self.does("refuse-other-preview") and not as_told:
                raise Refused(400)
            if request.ieof and self.does("100-after-ieof"):
                self.send("100", b"ICAP/1.0 100 Continue\r\n\r\n")
            if not request.ieof:
                if self.partial(request):
                    return
                if self.does("both-answers"):
                    self.reply("204", b"204 No modifications")
                self.send("100", b"ICAP/1.0 100 Continue\r\n\r\n")
                pieces += self.chunks(request)
                self.end_of_chunks(request)
                request.body = b"".join(pieces)
                in_preview = self.does("204-after-100")
        sees = all if self.does("judge-chunks") else any
        found = sees(TRIGGER in piece for piece in pieces) if self.does("judge-chunks") else None
        self.verdict(request, may_204 or in_preview, found)

    def partial(self, request: Request) -> bool:
        """Answer 206 where that is allowed, and the trigger stands in what has arrived."""
        loaded = TRIGGER in request.heads or TRIGGER in request.body
        allowed = b"206" in request.get_list(b"allow") or self.does("206-unasked")
        if not loaded or not allowed:
            return False
        changed = request.body.replace(TRIGGER, b"[gone]")
        head = self.changed_head(request.head, None)
        offset = len(request.body)
        if self.does("206-too-much"):
            offset = 100_000
        kind = b"res" if head.startswith(b"HTTP/") else b"req"
        if self.does("206-null-body") and TRIGGER not in request.body:
            fields = b"Encapsulated: %b-hdr=0, null-body=%d\r\n" % (kind, len(head))
            self.reply("206", b"206 Partial Content", fields, head)
            return True
        body = b"%x\r\n%b\r\n0; use-original-body=%d\r\n\r\n" % (len(changed), changed, offset)
        fields = b"Encapsulated: %b-hdr=0, %b-body=%d\r\n" % (kind, kind, len(head))
        self.reply("206", b"206 Partial Content", fields, head + body)
        return True

    def verdict(self, request: Request, may_204: bool, found: bool | None = None) -> None:
        if request.method == b"REQMOD" and (BLOCK in request.body or b"%3Cscript%3E" in request.heads):
            self.block(request)
        elif (TRIGGER in request.body) if found is None else found:
            changed = request.body.replace(TRIGGER, b"[gone]")
            self.send_message("200-changed", request, self.changed_head(request.head, len(changed)), changed)
        elif may_204 or self.does("204-unasked"):
            self.reply("204", b"204 No modifications")
        else:
            self.send_message(
                "200-echo", request, request.head, request.body if request.has_body else None, True
            )

    def changed_head(self, head: bytes, length: int | None) -> bytes:
        dropped = (b"content-length", b"etag", b"content-md5", b"digest", b"accept-ranges", b"cache-control")
        lines = [line for line in head[:-4].split(b"\r\n") if line.partition(b":")[0].lower() not in dropped]
        lines = [line.replace(TRIGGER, b"gone") for line in lines]
        if length is not None:
            lines.append(b"Content-Length: %d" % length)
        return b"\r\n".join([*lines, b"Cache-Control: no-store", b"Via: ICAP/1.0 scripted"]) + b"\r\n\r\n"

    def block(self, request: Request) -> None:
        page = b"blocked"
        head = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % len(page)
        head += b"Cache-Control: no-store\r\n\r\n"
        is_head = request.heads.startswith(b"HEAD ")
        self.send_message("block", request, head, None if is_head else page, not is_head)

    def send_message(
        self, kind: str, request: Request, head: bytes, body: bytes | None, whole: bool = True
    ) -> None:
        """A 200; with neither body nor `whole`, only its heads: the body follows."""
        name = b"res" if head.startswith(b"HTTP/") else b"req"
        follows = kind == "200-echo" and body is None and request.has_body
        part = b"%b-body" % name if body is not None or follows else b"null-body"
        fields = b"Encapsulated: %b-hdr=0, %b=%d\r\n" % (name, part, len(head))
        if kind == "200-changed":
            fields += b"X-Infection-Found: Type=2; Resolution=1; Threat=trigger;\r\n"
        trailers = kind == "200-changed" and b"trailers" in request.get_list(b"allow")
        if trailers:
            fields += b"Trailer: X-Verdict\r\nAllow: trailers\r\n"
        payload = head
        if body is not None:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            trailer = request.trailer if kind == "200-echo" else b""
            payload += chunk + b"0\r\n" + trailer + b"\r\n"
        if trailers:
            payload += b"X-Verdict: changed\r\n\r\n"
        if follows:
            self.send(kind, b"ICAP/1.0 200 OK\r\n" + ISTAG + fields + b"\r\n" + payload)
        else:
            self.reply(kind, b"200 OK", fields, payload)


@contextmanager
def scripted(script: Script = Script(), tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server that follows the script; gives its port."""
    lock = threading.Lock()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def serve(connection: socket.socket) -> None:
            try:
                if tls is not None:
                    connection = tls.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                return
            Conversation(connection, script, lock).serve()

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if tls is not None and "one-handshake" in script.does:
                    try:
                        connection = tls.wrap_socket(connection, server_side=True)
                    except OSError:
                        connection.close()
                        continue
                    target = Conversation(connection, script, lock).serve
                    threading.Thread(target=target, daemon=True).start()
                else:
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            # Wakes the thread that accepts.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
