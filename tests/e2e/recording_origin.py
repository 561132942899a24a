"""The tests' own HTTPS origin: the demonstration's, with routes that remember each secret they send."""

import gzip
import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator

import brotli
import zstandard

from icapd.fleet.demo_origin import DemoOrigin, OriginHandler, access_key_id

EVENTS = 5
EVENT_INTERVAL = 1.0  # seconds, by the issue that asks for the measurement
#: The event that carries a secret.
SECRET_EVENT = 2
TICK_INTERVAL = 0.1  # seconds
BLOCK = 64 * 1024

#: What a download consists of, repeated: words like a log's, and bytes like an archive's.
DOWNLOADS = {
    "text/plain": (b"2026-01-02 03:04:05 INFO worker-7 fetched page 42 of the catalogue in 31 ms\n" * 1000)[
        :BLOCK
    ],
    "application/zip": secrets.token_bytes(BLOCK),
}


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


class RecordingOrigin(DemoOrigin):
    """Serves on loopback while its context lasts."""

    def __init__(self) -> None:
        super().__init__(
            {
                "/clean": lambda handler: handler.send_json({"message": "nothing to see here"}),
                "/secret": self._send_secret,
                "/secret-gzip": lambda handler: self._send_secret_coded(handler, "gzip"),
                "/secret-br": lambda handler: self._send_secret_coded(handler, "br"),
                "/secret-zstd": lambda handler: self._send_secret_coded(handler, "zstd"),
                "/secret-utf-16": self._send_secret_utf_16,
                "/request-fields": _send_request_fields,
                "/secret-page": self._send_secret_page,
                "/secret-large": self._send_secret_large,
                "/bomb": _send_bomb,
                "/unknown-coding": _send_unknown_coding,
                "/events": self._send_events,
                "/ticks": self._send_ticks,
                "/download": _send_download,
                "/connection": lambda handler: handler.send_json({"requests": handler.requests}),
                "/echo": _echo,
            }
        )
        #: Every secret that left here.
        self.secrets: list[str] = []
        #: Set it to end the streams of /ticks.
        self.ticked = threading.Event()

    def _secret(self) -> str:
        self.secrets.append(access_key_id())
        return self.secrets[-1]

    def _document(self) -> bytes:
        keys = [{"name": "überschrift", "aws_access_key_id": self._secret()}, {"name": "b", "port": 8443}]
        return json.dumps({"keys": keys, "count": 2, "next": None}).encode()

    def _send_secret(self, handler: OriginHandler) -> None:
        handler.send_body(self._document(), "application/json", ETag='"1"')

    def _send_secret_coded(self, handler: OriginHandler, coding: str) -> None:
        body = COMPRESSORS[coding](self._document())
        handler.send_body(body, "application/json", Content_Encoding=coding)

    def _send_secret_utf_16(self, handler: OriginHandler) -> None:
        handler.send_body(self._document().decode().encode("utf-16"), "application/json")

    def _send_secret_page(self, handler: OriginHandler) -> None:
        _, _, size = handler.path.partition("?")
        page = b"key: %b\n%b" % (self._secret().encode(), DOWNLOADS["text/plain"][: int(size)])
        handler.send_body(page, "text/plain")

    def _send_secret_large(self, handler: OriginHandler) -> None:
        """More than is held back, with the secret in its midst."""
        filler = ["nothing to see here"] * 50_000
        body = json.dumps({"before": filler, "aws_access_key_id": self._secret(), "after": filler})
        handler.send_body(body.encode(), "application/json")

    def _send_events(self, handler: OriginHandler) -> None:
        handler.start("text/event-stream", Transfer_Encoding="chunked")
        for number in range(EVENTS):
            if number:
                time.sleep(EVENT_INTERVAL)
            event = {"number": number, "sent": time.monotonic()}
            if number == SECRET_EVENT:
                event["aws_access_key_id"] = self._secret()
            handler.send_chunk(b"data: %b\n\n" % json.dumps(event).encode())
        handler.send_chunk(b"")

    def _send_ticks(self, handler: OriginHandler) -> None:
        """Events without an end of their own, each with a secret."""
        handler.start("text/event-stream", Transfer_Encoding="chunked")
        for number in itertools.count():
            event = {"number": number, "aws_access_key_id": self._secret()}
            handler.send_chunk(b"data: %b\n\n" % json.dumps(event).encode())
            if self.ticked.wait(TICK_INTERVAL):
                break
        handler.send_chunk(b"")


def download_blocks(media_type: str, size: int) -> Iterator[bytes]:
    """The body of /download, piece by piece."""
    for start in range(0, size, BLOCK):
        yield DOWNLOADS[media_type][: size - start]


def _send_download(handler: OriginHandler) -> None:
    _, _, query = handler.path.partition("?")
    media_type, _, size = query.partition("&")
    handler.start(media_type, Content_Length=size)
    for block in download_blocks(media_type, int(size)):
        handler.wfile.write(block)


def _send_bomb(handler: OriginHandler) -> None:
    """A thousand times as large as it looks."""
    handler.send_body(gzip.compress(bytes(16 * 1024 * 1024)), "application/json", Content_Encoding="gzip")


def _send_unknown_coding(handler: OriginHandler) -> None:
    handler.send_body(b"who knows", "application/json", Content_Encoding="x-of-our-own")


def _send_request_fields(handler: OriginHandler) -> None:
    """What of a request got here."""
    handler.send_json({name.lower(): value for name, value in handler.headers.items()})


def _echo(handler: OriginHandler) -> None:
    handler.send_body(handler.read_body(), handler.headers.get("Content-Type", "text/plain"))
