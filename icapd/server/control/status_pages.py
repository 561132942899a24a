"""/healthz, /readyz and /metrics for all workers, from the supervisor: it has no bodies to read."""

import asyncio
import socket
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST

from icapd.server.control.exchange_server import ExchangeServer
from icapd.server.control.supervision import Supervision

#: Bytes of a request's head. Monitoring sends a few hundred.
MAX_REQUEST = 8192
#: Seconds in which the workers must tell what they count.
METRICS_TIMEOUT = 5.0

_TEXT = "text/plain; charset=utf-8"


class StatusPages:
    """A small HTTP server: one request a connection, no bodies, few requests at one time."""

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision
        self._gathering: asyncio.Task[str] | None = None
        self._exchanges = ExchangeServer(
            self._answer,
            end=b"\r\n\r\n",
            max_size=MAX_REQUEST,
            busy=_response(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at one time"),
            too_large=_response(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large"
            ),
        )

    async def start(self, listening: socket.socket) -> None:
        """Serve what connects to this socket, which is bound already."""
        await self._exchanges.start(listening)

    async def stop(self) -> None:
        """Answer no more."""
        await self._exchanges.stop()

    async def _answer(self, head: bytes) -> bytes:
        method, target, version, *rest = [*head.partition(b"\r\n")[0].split(b" "), b"", b"", b""]
        if any(rest) or not version.startswith(b"HTTP/1."):
            return _response(HTTPStatus.BAD_REQUEST, "this is HTTP/1.1")
        if method not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD", allow="GET, HEAD")
        page = await self._page(target.partition(b"?")[0])
        return page if method == b"GET" else page[: page.index(b"\r\n\r\n") + 4]

    async def _page(self, path: bytes) -> bytes:
        match path:
            case b"/healthz":
                return _response(HTTPStatus.OK, "ok")
            case b"/readyz":
                problem = self._supervision.unready()
                if problem is None:
                    return _response(HTTPStatus.OK, "\n".join(("ready", *self._supervision.remarks())))
                return _response(HTTPStatus.SERVICE_UNAVAILABLE, problem)
            case b"/metrics":
                return await self._metrics()
            case _:
                return _response(HTTPStatus.NOT_FOUND, "the pages here are /healthz, /readyz and /metrics")

    async def _metrics(self) -> bytes:
        # However many ask at one time, the workers are asked once.
        if self._gathering is None or self._gathering.done():
            self._gathering = asyncio.create_task(self._supervision.metrics())
        try:
            async with asyncio.timeout(METRICS_TIMEOUT):
                text = await asyncio.shield(self._gathering)
        except TimeoutError:
            return _response(HTTPStatus.SERVICE_UNAVAILABLE, "the workers did not tell in time")
        return _response(HTTPStatus.OK, text.removesuffix("\n"), content_type=CONTENT_TYPE_LATEST)


def _response(status: HTTPStatus, text: str, *, content_type: str = _TEXT, allow: str = "") -> bytes:
    body = f"{text}\n".encode()
    allowed = f"Allow: {allow}\r\n" if allow else ""
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n{allowed}"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    ).encode() + body
