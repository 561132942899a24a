"""An HTTPS origin on asyncio that answers each path as it was told to, and tells what arrived there."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Literal

import trustme
from soak.bodies import Body, Digest, Hasher
from soak.wire import Head, chunk, read_body, read_head, send

from icapd.fleet.demo_origin import HOST, LOOPBACK

#: The origin's other name, which the soak's Squid does not decrypt.
SPLICED_HOST = "localhost"
#: Seconds between the last byte of an origin and its end.
DYING = 0.2


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How a path is answered."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Body | None = None
    #: How the body's end is told: by its length, by a last chunk, or by closing the connection.
    framing: Literal["length", "chunked", "close"] = "length"
    #: Bytes after which the origin dies.
    dies_after: int | None = None
    #: Seconds before each piece.
    pause: float = 0.0
    #: Bytes of a piece; None: block by block, as the body comes.
    piece: int | None = None
    #: Answer before the request's body is read, and read no more of it.
    early: bool = False
    #: After the head the connection is an echo of what comes (WebSocket, to its beginning).
    tunnel: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as the origin saw it."""

    head: Head
    body: Digest
    #: False when it broke off.
    whole: bool


class Origin:
    """Answers by `replies`, keyed by path; keeps `arrivals` by the same."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply] = {}
        self.arrivals: dict[str, list[Arrival]] = {}
        self.port = 0
        authority = trustme.CA()
        self.ca_pem = authority.cert_pem.bytes()
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(HOST, SPLICED_HOST).configure_cert(self._tls)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, LOOPBACK, 0, ssl=self._tls, limit=2**20)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The proxy closes connections when it likes.
        with contextlib.suppress(
            ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one request; False when the connection ends with it."""
        head = await read_head(reader)
        if head is None:
            return False
        path = head.start_line.split(" ")[1].partition("?")[0]
        reply = self.replies[path]
        if not reply.early:
            if head.get("expect") == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            hasher = Hasher()
            whole = await read_body(reader, head, hasher.feed)
            self.arrivals.setdefault(path, []).append(Arrival(head, hasher.digest(), whole))
            if not whole:
                return False
        await self._send(reply, head, writer)
        if reply.tunnel:
            while data := await reader.read(4096):
                writer.write(data)
            return False
        if reply.early:
            # Closing on bytes that still come would reset the connection, and the answer with it.
            while await reader.read(2**16):
                pass
            return False
        return reply.framing != "close" and reply.dies_after is None

    async def _send(self, reply: Reply, request: Head, writer: asyncio.StreamWriter) -> None:
        headers = {"Date": formatdate(usegmt=True), **reply.headers}
        body = reply.body
        if body is not None:
            headers["Content-Type"] = body.media_type
            if body.coding:
                headers["Content-Encoding"] = body.coding
            if reply.framing == "length":
                headers["Content-Length"] = str(body.size)
            elif reply.framing == "chunked":
                headers["Transfer-Encoding"] = "chunked"
        elif reply.status not in (101, 204, 304):
            headers["Content-Length"] = "0"
        if reply.framing == "close" or reply.early:
            headers["Connection"] = "close"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {reply.status} As told\r\n{lines}\r\n".encode())
        if body is not None and not request.start_line.startswith("HEAD "):
            await self._send_body(reply, body, writer)
        await writer.drain()

    async def _send_body(self, reply: Reply, body: Body, writer: asyncio.StreamWriter) -> None:
        left = reply.dies_after
        for block in body.blocks():
            for start in range(0, len(block), reply.piece or len(block)):
                if reply.pause:
                    await writer.drain()
                    await asyncio.sleep(reply.pause)
                piece = block[start : start + (reply.piece or len(block))][:left]
                await send(writer, chunk(piece) if reply.framing == "chunked" else piece)
                if left is not None:
                    left -= len(piece)
                    if left <= 0:
                        # What is on its way must arrive: else the proxy may not even see the head.
                        await asyncio.sleep(DYING)
                        writer.transport.abort()
                        raise ConnectionAbortedError
        if reply.framing == "chunked":
            writer.write(chunk(b""))
