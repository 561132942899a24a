"""A fast HTTPS origin. A program of its own.

    python -m bench.origin PORT CERTIFICATE

/1k and /100k are JSON bodies of the cases; /events is a stream of one event a second that tells when each was
sent, by the clock that all processes of a machine share.
"""

import asyncio
import ssl
import sys
import time

import uvloop

from bench.cases import SIZES, response_case

#: Seconds between two events of one stream.
INTERVAL = 1.0


def bodies() -> dict[str, bytes]:
    """By path: what a client must get."""
    return {
        "/1k": response_case("JSON", "1 KB", SIZES["1 KB"]).body,
        "/100k": response_case("JSON", "100 KB", SIZES["100 KB"]).body,
    }


class Origin(asyncio.Protocol):
    """One connection."""

    responses: dict[bytes, bytes]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            if path == b"/events":
                self._transport.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n"
                )
                self._send_event()
            else:
                self._transport.write(self.responses[path])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _send_event(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._send_event)
        event = b'data: {"text": "a few words of an answer, as a model streams them", "sent": %f}\n\n'
        event %= time.monotonic()
        self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))


async def serve(port: int, certificate: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await asyncio.get_running_loop().create_server(
        Origin, "127.0.0.1", port, ssl=context, backlog=1024
    )
    await server.serve_forever()


def main() -> None:
    Origin.responses = {
        path.encode(): b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
        for path, body in bodies().items()
    }
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2]))


if __name__ == "__main__":
    main()
