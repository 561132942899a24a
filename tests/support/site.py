"""A site's own pyicap services, good and bad, and a server of its own with icapd mounted in it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn

from icapd.server.pyicap_engine.compat import BaseICAPRequestHandler, ICAPServer
from icapd.server.pyicap_engine.mount import Icapd


class SiteHandler(BaseICAPRequestHandler):
    """Written as pyicap's examples are: it knows nothing of icapd."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing, in tests."""

    def shout_OPTIONS(self) -> None:
        self.set_icap_response(200)
        self.set_icap_header(b"Methods", b"RESPMOD")
        self.set_icap_header(b"Preview", b"0")
        self.set_icap_header(b"Encapsulated", b"null-body=0")
        self.send_headers(False)

    def shout_RESPMOD(self) -> None:
        """The body in capitals."""
        self.set_icap_response(200)
        self.set_enc_status(b" ".join(self.enc_res_status))
        self.set_enc_header(b"Content-Type", b"text/plain")
        if not self.has_body:
            self.send_headers(False)
            return
        body = b"".join(iter(self.read_chunk, b""))
        if self.preview is not None and not self.ieof:
            self.cont()
            body += b"".join(iter(self.read_chunk, b""))
        self.send_headers(True)
        self.write_chunk(body.upper())
        self.write_chunk(b"")

    def pass_REQMOD(self) -> None:
        self.no_adaptation_required()

    def pass_RESPMOD(self) -> None:
        self.no_adaptation_required()

    def lazy_RESPMOD(self) -> None:
        """Answers without a look at the body."""
        self.set_icap_response(204)
        self.send_headers(False)

    def lines_RESPMOD(self) -> None:
        """Reads its body by hand."""
        size = int(self.rfile.readline(), 16)
        data = self.rfile.read(size)
        assert self.rfile.readline() == b"\r\n" and self.rfile.readline() == b"0\r\n"
        assert self.rfile.readline() == b"\r\n"
        self.eob = True
        self.set_icap_response(204)
        self.set_icap_header(b"X-Size", b"%d" % len(data))
        self.send_headers(False)

    def raises_RESPMOD(self) -> None:
        raise RuntimeError("KEY-abcdefgh01234567 of the body")

    def mute_RESPMOD(self) -> None:
        """Forgets to answer."""

    def half_RESPMOD(self) -> None:
        """Breaks in the middle of its answer."""
        self.set_icap_response(200)
        self.set_enc_status(b"HTTP/1.1 200 OK")
        self.send_headers(True)
        raise RuntimeError

    def refuses_RESPMOD(self) -> None:
        self.send_error(404)


class SiteServer(ThreadingMixIn, ICAPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def site(icapd: Icapd, handler: type[BaseICAPRequestHandler] = SiteHandler) -> Iterator[tuple[str, int]]:
    """The address of a site's server on loopback."""
    with SiteServer(("127.0.0.1", 0), icapd.mount(handler)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address
        finally:
            server.shutdown()
            thread.join()
