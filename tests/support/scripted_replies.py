"""What the tests' ICAP server answers, and where its script wants something else."""

import email.utils
import socket

from support.icap_script import Gone, Script
from support.scripted_requests import Request

TRIGGER, BLOCK = b"AKIAQ3EGRIV7SDBN2XKP", b"<script>alert(1)</script>"
ISTAG = b'ISTag: "scripted-1"\r\n'


class Replies:
    """The replies on one connection."""

    def __init__(self, connection: socket.socket, script: Script) -> None:
        self.connection, self.script = connection, script
        #: Whether the connection ends behind the next one.
        self.closing = False

    def does(self, what: str) -> bool:
        return what in self.script.does

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

    def capabilities(self, request: Request) -> None:
        """The answer to OPTIONS."""
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

    def verdict(self, request: Request, may_204: bool, found: bool | None = None) -> None:
        if request.method == b"REQMOD" and (BLOCK in request.body or b"%3Cscript%3E" in request.heads):
            self.block(request)
        elif (TRIGGER in request.body) if found is None else found:
            changed = request.body.replace(TRIGGER, b"[gone]")
            self.send_message("200-changed", request, changed_head(request.head, len(changed)), changed)
        elif may_204 or self.does("204-unasked"):
            self.reply("204", b"204 No modifications")
        else:
            self.send_message(
                "200-echo", request, request.head, request.body if request.has_body else None, True
            )

    def partial(self, request: Request) -> bool:
        """Answer 206 where that is allowed, and the trigger stands in what has arrived."""
        loaded = TRIGGER in request.heads or TRIGGER in request.body
        allowed = b"206" in request.get_list(b"allow") or self.does("206-unasked")
        if not loaded or not allowed:
            return False
        changed = request.body.replace(TRIGGER, b"[gone]")
        head = changed_head(request.head, None)
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


def changed_head(head: bytes, length: int | None) -> bytes:
    """An HTTP head without the trigger, for a body of this length."""
    dropped = (b"content-length", b"etag", b"content-md5", b"digest", b"accept-ranges", b"cache-control")
    lines = [line for line in head[:-4].split(b"\r\n") if line.partition(b":")[0].lower() not in dropped]
    lines = [line.replace(TRIGGER, b"gone") for line in lines]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join([*lines, b"Cache-Control: no-store", b"Via: ICAP/1.0 scripted"]) + b"\r\n\r\n"
