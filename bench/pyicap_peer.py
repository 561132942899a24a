"""pyicap 1.0b1 as its own examples use it, answering 204 or the body again. A program of its own.

    python -m bench.pyicap_peer PORT

On Python 3.10 and later pyicap fails at every request (`collections.Callable`); the first lines mend that.
"""

import collections
import collections.abc
import socketserver
import sys

collections.Callable = collections.abc.Callable  # type: ignore[attr-defined]

import pyicap  # noqa: E402 (after the mending)


class Server(socketserver.ThreadingMixIn, pyicap.ICAPServer):
    """A thread for each connection."""

    daemon_threads = True
    # The default of 5 resets a burst of connections.
    request_queue_size = 128


class Handler(pyicap.BaseICAPRequestHandler):
    """One service, /echo, for both vectoring points."""

    disable_nagle_algorithm = True

    def echo_OPTIONS(self) -> None:
        self.set_icap_response(200)
        self.set_icap_header(b"Methods", b"REQMOD, RESPMOD")
        self.set_icap_header(b"Preview", b"4096")
        self.set_icap_header(b"Transfer-Preview", b"*")
        self.set_icap_header(b"Allow", b"204")
        self.send_headers(False)

    def echo_REQMOD(self) -> None:
        self._echo()

    def echo_RESPMOD(self) -> None:
        self._echo()

    def _echo(self) -> None:
        """The whole body is read first, as an inspection would have to."""
        chunks = []
        if self.has_body:
            chunks = self._read()
            if self.preview is not None and not self.ieof:
                self.cont()
                chunks += self._read()
        allowed = b"204" in b"".join(self.headers.get(b"allow", []))
        if allowed or not self.has_body:
            self.no_adaptation_required()
            return
        self.set_icap_response(200)
        self.set_enc_status(b" ".join(self.enc_res_status))
        for name, values in self.enc_res_headers.items():
            for value in values:
                self.set_enc_header(name, value)
        self.send_headers(True)
        for chunk in chunks:
            self.write_chunk(chunk)
        self.write_chunk(b"")

    def _read(self) -> list[bytes]:
        chunks = []
        while chunk := self.read_chunk():
            chunks.append(chunk)
        return chunks

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: it would be most of the cost."""


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
