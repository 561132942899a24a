"""Clients of the proxy: httpx, requests, curl, and one by hand that can do what no well-bred client does."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import requests
import urllib3
from soak.bodies import Body, Digest, Hasher
from soak.wire import Head, chunk, read_body, read_head, send

#: Seconds; far above anything measured, below patience.
TIMEOUT = 120.0
#: Bytes of a body that an answer keeps, to be looked into; of the rest there is the digest.
KEPT = 256 * 1024


class WentWrong(AssertionError):
    """Something is not as it was sent, or as it should be recorded."""


class NoAnswer(WentWrong):
    """The connection ended before the answer."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client sends through the proxy."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: Body | None = None
    #: Whether the body goes in chunks, its length unknown.
    chunked: bool = False

    @property
    def fields(self) -> dict[str, str]:
        """The headers, and the type of the body."""
        return self.headers | ({"Content-Type": self.body.media_type} if self.body else {})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got."""

    status: int
    fields: dict[str, str]
    digest: Digest
    #: The beginning of the body.
    content: bytes
    #: False when the client could see that the body broke off.
    whole: bool
    #: Statuses that came before the final one.
    informational: tuple[int, ...] = ()


class _Collector(Hasher):
    def __init__(self) -> None:
        super().__init__()
        self.content = b""

    def feed(self, data: bytes) -> None:
        super().feed(data)
        if len(self.content) < KEPT:
            self.content += data[: KEPT - len(self.content)]


@dataclass(frozen=True, slots=True)
class Proxy:
    """The Squid that all clients use, and the CA that they trust."""

    host: str
    port: int
    ca: Path

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


Client = Callable[[Proxy, Request], Awaitable[Answer]]


async def with_httpx(proxy: Proxy, request: Request) -> Answer:
    """httpx, asynchronous."""
    try:
        return await _with_httpx(proxy, request)
    except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
        raise NoAnswer(f"httpx: {error!r}") from error


async def _with_httpx(proxy: Proxy, request: Request) -> Answer:
    collector = _Collector()
    context = ssl.create_default_context(cafile=proxy.ca)
    content = _asynchronous(request.body) if request.chunked and request.body else _data(request)
    async with (
        httpx.AsyncClient(proxy=proxy.url, verify=context, trust_env=False, timeout=TIMEOUT) as client,
        client.stream(request.method, request.url, headers=request.fields, content=content) as answer,
    ):
        whole = True
        try:
            async for data in answer.aiter_raw():
                collector.feed(data)
        except httpx.RemoteProtocolError:
            whole = False
        fields = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, fields, collector.digest(), collector.content, whole)


async def _asynchronous(body: Body) -> AsyncIterator[bytes]:
    for block in body.blocks():
        yield block


def _data(request: Request) -> bytes | None:
    return request.body.data() if request.body else None


async def with_requests(proxy: Proxy, request: Request) -> Answer:
    """requests, in a thread."""
    try:
        return await asyncio.to_thread(_with_requests, proxy, request)
    except requests.ConnectionError as error:
        raise NoAnswer(f"requests: {error!r}") from error


def _with_requests(proxy: Proxy, request: Request) -> Answer:
    collector = _Collector()
    data = request.body.blocks() if request.chunked and request.body else _data(request)
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": proxy.url, "https": proxy.url}
        session.verify = str(proxy.ca)
        answer = session.request(
            request.method,
            request.url,
            headers=request.fields,
            data=data,
            stream=True,
            timeout=TIMEOUT,
            allow_redirects=False,
        )
        whole = True
        try:
            for piece in answer.raw.stream(64 * 1024, decode_content=False):
                collector.feed(piece)
        except urllib3.exceptions.ProtocolError:
            whole = False
        fields = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, fields, collector.digest(), collector.content, whole)


#: curl's exit codes for a body that broke off: partial file, receive error.
_CURL_BROKE_OFF = (18, 56)
#: For a connection that ended before an answer: empty reply, send error, receive error.
_CURL_NO_ANSWER = (52, 55, 56)


async def with_curl(proxy: Proxy, request: Request) -> Answer:
    """curl as a person calls it."""
    command = ["curl", "--silent", "--show-error", "--include", "--suppress-connect-headers", "--globoff"]
    command += ["--proxy", proxy.url, "--cacert", str(proxy.ca), "--max-time", str(TIMEOUT)]
    command += ["--head"] if request.method == "HEAD" else ["--request", request.method]
    headers = request.fields | ({"Transfer-Encoding": "chunked"} if request.chunked else {})
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    if request.body is not None:
        command += ["--data-binary", "@-"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, request.url, stdin=pipe, stdout=pipe, stderr=pipe, env={}, limit=2**20
    )
    output, complaint = await process.communicate(_data(request) or b"")
    if process.returncode in _CURL_NO_ANSWER and not _behind_informational(output):
        raise NoAnswer(f"curl: {complaint.decode().strip()}")
    if process.returncode not in (0, *_CURL_BROKE_OFF) or not output:
        raise WentWrong(f"curl ended with {process.returncode}: {complaint.decode().strip()}")
    reader = asyncio.StreamReader(limit=2**20)
    reader.feed_data(output)
    reader.feed_eof()
    head, informational = await _read_final_head(reader)
    collector = _Collector()
    collector.feed(await reader.read())  # curl has taken the chunks apart
    whole = process.returncode == 0
    return Answer(head.status, head.fields, collector.digest(), collector.content, whole, informational)


def _behind_informational(output: bytes) -> bytes:
    """What curl printed of the final answer: a 100 that asks for a body is none."""
    while output.startswith(b"HTTP/1.1 1"):
        output = output.partition(b"\r\n\r\n")[2]
    return output


class Refused(WentWrong):
    """The proxy did not open a tunnel."""

    def __init__(self, status: int) -> None:
        super().__init__(f"CONNECT was answered {status}")
        self.status = status


class Tunnel:
    """One connection through the proxy to an origin, TLS inside; by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def open(
        cls, proxy: Proxy, authority: str, context: ssl.SSLContext | None = None, *, slow: bool = False
    ) -> AsyncIterator["Tunnel"]:
        """Raises Refused. `context`: trusts what the far end will show, the proxy's CA if None.

        `slow`: buffers so small that whoever sends soon feels when nobody reads.
        """
        connection = socket.socket()
        connection.setblocking(False)
        if slow:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        await asyncio.get_running_loop().sock_connect(connection, (proxy.host, proxy.port))
        limit = 64 * 1024 if slow else 2**20
        reader, writer = await asyncio.open_connection(sock=connection, limit=limit)
        try:
            writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
            head = await read_head(reader)
            if head is None or head.status != 200:
                raise Refused(head.status if head else 0)
            context = context or ssl.create_default_context(cafile=proxy.ca)
            await writer.start_tls(context, server_hostname=authority.rpartition(":")[0])
            yield cls(reader, writer)
        finally:
            if not writer.transport.is_closing():
                writer.transport.abort()

    async def send_head(self, request: Request) -> None:
        """The head alone, with the length of the body in it."""
        path = "/" + request.url.split("/", 3)[3]
        headers = {"Host": request.url.split("/")[2], **request.fields}
        if request.body is not None:
            if request.chunked:
                headers["Transfer-Encoding"] = "chunked"
            else:
                headers["Content-Length"] = str(request.body.size)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.writer.write(f"{request.method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
        await self.writer.drain()

    async def send_body(self, request: Request) -> None:
        assert request.body is not None
        for block in request.body.blocks():
            await send(self.writer, chunk(block) if request.chunked else block)
        if request.chunked:
            self.writer.write(chunk(b""))

    async def ask(self, request: Request, rate: float = 0.0) -> Answer:
        """Send it all and take the answer; `rate`: bytes of it a second, 0 for as many as come."""
        await self.send_head(request)
        if request.body is None:
            return await self.answer(request.method, rate)
        # The answer may come before the body is through, and the connection's end right behind it.
        sending = asyncio.create_task(self.send_body(request))
        try:
            return await self.answer(request.method, rate)
        finally:
            sending.cancel()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await sending

    async def answer(self, method: str = "GET", rate: float = 0.0) -> Answer:
        head, informational = await _read_final_head(self.reader)
        collector, whole = _Collector(), True
        if method != "HEAD" and head.status not in (101, 204, 304):
            reader = _Slow(self.reader, rate) if rate else self.reader
            whole = await read_body(reader, head, collector.feed)
        return Answer(
            head.status, head.fields, collector.digest(), collector.content, whole, tuple(informational)
        )


class _Slow(asyncio.StreamReader):
    """Takes so many bytes a second."""

    def __init__(self, reader: asyncio.StreamReader, rate: float) -> None:
        self._reader = reader
        self._rate = rate

    async def read(self, n: int = -1) -> bytes:
        data = await self._reader.read(n)
        await asyncio.sleep(len(data) / self._rate)
        return data

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
        return await self._reader.readuntil(separator)

    async def readexactly(self, n: int) -> bytes:
        return await self._reader.readexactly(n)


async def by_hand(proxy: Proxy, request: Request) -> Answer:
    """A tunnel for one request."""
    async with Tunnel.open(proxy, request.url.split("/")[2]) as tunnel:
        return await tunnel.ask(request)


async def _read_final_head(reader: asyncio.StreamReader) -> tuple[Head, tuple[int, ...]]:
    informational: list[int] = []
    while True:
        head = await read_head(reader)
        if head is None:
            raise NoAnswer("the proxy closed the connection instead of answering")
        if head.status >= 200 or head.status == 101:
            return head, tuple(informational)
        informational.append(head.status)


CLIENTS: dict[str, Client] = {
    "httpx": with_httpx,
    "requests": with_requests,
    "curl": with_curl,
    "by hand": by_hand,
}
