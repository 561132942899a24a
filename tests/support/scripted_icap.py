"""A small ICAP server of the tests' own, which keeps the bar, and breaks it where its script says so.

It shares nothing with icapd: what it answers is a second opinion on what the kit demands.
"""

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.icap_script import FAULTLESS, Gone, Refused, Script
from support.scripted_replies import BLOCK, TRIGGER, Replies
from support.scripted_requests import Request, RequestReader


class Conversation:
    """One connection, served to its end."""

    def __init__(self, connection: socket.socket, script: Script, lock: threading.Lock) -> None:
        self.connection, self.script, self.lock = connection, script, lock
        self.requests = RequestReader(connection, script)
        self.replies = Replies(connection, script)

    def serve(self) -> None:
        with contextlib.suppress(Gone, OSError):
            while not self.replies.closing:
                try:
                    self.serve_one()
                except Refused as refusal:
                    self.replies.closing = True
                    self.replies.send(str(refusal), self.replies.error(int(str(refusal))))
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

    def serve_one(self) -> None:
        request = self.requests.read_head()
        if b"close" in request.get_list(b"connection") and not self.does("keep-always"):
            self.replies.closing = True
        if request.method == b"OPTIONS":
            self.answer_options(request)
        elif request.method not in {b"REQMOD", b"RESPMOD"}:
            self.replies.send("501", self.replies.error(501))
        else:
            self.answer_message(request)
        if self.does("close-always"):
            self.replies.closing = True

    def answer_options(self, request: Request) -> None:
        if request.has_body and not self.does("ignore-opt-body"):
            for _ in self.requests.chunks(request):
                pass
            self.requests.end_of_chunks(request)
        if request.path not in {b"/reqmod", b"/respmod"}:
            self.unknown(request)
            return
        if self.does("slow-options"):
            threading.Event().wait(0.12)
        if self.does("one-at-a-time"):
            with self.lock:
                pass
        self.replies.capabilities(request)

    def unknown(self, request: Request) -> None:
        if self.does("close-on-404"):
            self.replies.closing = True
        self.replies.send("404", self.replies.error(404))

    def answer_message(self, request: Request) -> None:
        known = {b"/reqmod": b"REQMOD", b"/respmod": b"RESPMOD"}.get(request.path)
        if known != request.method:
            status = 404 if known is None else 405
            self.replies.send(str(status), self.replies.error(status))
            if request.has_body:
                self.requests.drain(request)
            return
        may_204 = b"204" in request.get_list(b"allow")
        if not request.has_body:
            if self.does("wait-for-chunk") and request.preview is not None:
                self.requests.reader.until(b"\r\n\r\n")
            if self.does("trust-http-length") and (length := re.search(rb"Length: (\d+)", request.head)):
                self.requests.reader.take(int(length[1]))
            self.replies.verdict(request, may_204 or request.preview is not None)
            return
        if b"image/png" in request.head and request.preview is None:
            self.pass_image(request, may_204)
            return
        self.read_and_judge(request, may_204)

    def pass_image(self, request: Request, may_204: bool) -> None:
        if BLOCK.replace(b"<", b"%3C").replace(b">", b"%3E") in request.heads:
            self.replies.block(request)
            self.requests.drain(request)
        elif may_204:
            self.replies.reply("204", b"204 No modifications")
            self.requests.drain(request)
        else:
            self.echo_along(request)

    def echo_along(self, request: Request) -> None:
        if self.does("hold-echo"):
            request.body = b"".join(self.requests.chunks(request))
            self.requests.end_of_chunks(request)
            self.replies.verdict(request, False)
            return
        with self.lock if self.does("one-at-a-time") else contextlib.nullcontext():
            self.replies.send_message("200-echo", request, request.head, None)
            for piece in self.requests.chunks(request):
                self.connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.requests.end_of_chunks(request)
        self.connection.sendall(b"0\r\n" + request.trailer + b"\r\n")

    def read_and_judge(self, request: Request, may_204: bool) -> None:
        pieces = []
        for piece in self.requests.chunks(request):
            pieces.append(piece)
            if self.does("early-100") and request.preview is not None and len(pieces) == 1:
                self.replies.reply("100", b"100 Continue")
        self.requests.end_of_chunks(request)
        request.body = b"".join(pieces)
        in_preview = request.preview is not None
        if in_preview:
            as_told = request.ieof or len(request.body) in {request.preview, 0}
            if self.does("refuse-other-preview") and not as_told:
                raise Refused(400)
            if request.ieof and self.does("100-after-ieof"):
                self.replies.send("100", b"ICAP/1.0 100 Continue\r\n\r\n")
            if not request.ieof:
                if self.replies.partial(request):
                    return
                if self.does("both-answers"):
                    self.replies.reply("204", b"204 No modifications")
                self.replies.send("100", b"ICAP/1.0 100 Continue\r\n\r\n")
                pieces += self.requests.chunks(request)
                self.requests.end_of_chunks(request)
                request.body = b"".join(pieces)
                in_preview = self.does("204-after-100")
        sees = all if self.does("judge-chunks") else any
        found = sees(TRIGGER in piece for piece in pieces) if self.does("judge-chunks") else None
        self.replies.verdict(request, may_204 or in_preview, found)


@contextmanager
def scripted(script: Script = FAULTLESS, tls: ssl.SSLContext | None = None) -> Iterator[int]:
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
