"""The pages for monitoring: what they say, and that they bear whatever asks for them."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from support import wire
from support.icapd import PATIENCE, ask, serving
from support.places import free_port
from support.policies import demo_policy
from support.supervision import LoneSupervision

from icapd.server.control import exchange_server, status_pages
from icapd.server.control.status_pages import MAX_REQUEST, StatusPages


class Pages:
    """Status pages over real sockets, and the supervision behind them."""

    def __init__(self, supervision: LoneSupervision, port: int) -> None:
        self.supervision = supervision
        self.port = port

    async def send(self, data: bytes) -> bytes:
        """All that is answered to these bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    async def get(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        answer = await self.send(f"{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body


def with_pages(tmp_path: Path, test: Callable[[Pages], Awaitable[None]]) -> None:
    async def main() -> None:
        demo_policy(tmp_path)
        supervision = LoneSupervision(tmp_path)
        pages = StatusPages(supervision)
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        await pages.start(listening)
        try:
            await test(Pages(supervision, listening.getsockname()[1]))
        finally:
            await pages.stop()

    asyncio.run(main())


def test_pages_say_how_the_server_is(tmp_path: Path) -> None:
    async def test(pages: Pages) -> None:
        assert await pages.get("/healthz") == (200, b"ok\n")
        assert await pages.get("/readyz") == (200, b"ready\n")
        status, text = await pages.get("/metrics?name[]=x")
        assert status == 200
        assert b'\nicapd_workers{state="serving"} 1.0\n' in text
        pages.supervision.problem = "stopping"
        assert await pages.get("/readyz") == (503, b"stopping\n")
        assert await pages.get("/healthz") == (200, b"ok\n")
        assert (await pages.get("/admin"))[0] == 404

    with_pages(tmp_path, test)


def test_head_is_get_without_its_body(tmp_path: Path) -> None:
    async def test(pages: Pages) -> None:
        answer = await pages.send(b"HEAD /healthz HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nContent-Length: 3\r\n" in answer
        assert answer.endswith(b"\r\n\r\n")

    with_pages(tmp_path, test)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"POST /metrics HTTP/1.1\r\n\r\n", b"405", id="method"),
        pytest.param(b"OPTIONS icap://h/reqmod ICAP/1.0\r\n\r\n", b"400", id="ICAP"),
        pytest.param(b"GET /metrics\r\n\r\n", b"400", id="no version"),
        pytest.param(b"GET /me trics HTTP/1.1\r\n\r\n", b"400", id="four words"),
        pytest.param(b"\x16\x03\x01\x02\r\n\r\n", b"400", id="TLS"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * MAX_REQUEST, b"431", id="head without end"),
    ],
)
def test_what_is_no_question_is_told_so(tmp_path: Path, data: bytes, status: bytes) -> None:
    async def test(pages: Pages) -> None:
        assert (await pages.send(data)).startswith(b"HTTP/1.1 " + status)
        assert await pages.get("/healthz") == (200, b"ok\n")

    with_pages(tmp_path, test)


def test_workers_are_asked_once_for_all_who_ask_at_one_time(tmp_path: Path) -> None:
    async def test(pages: Pages) -> None:
        pages.supervision.telling.clear()
        scrapes = [asyncio.create_task(pages.get("/metrics")) for _ in range(10)]
        assert await pages.get("/healthz") == (200, b"ok\n"), "other pages don't wait"
        pages.supervision.telling.set()
        assert {status for status, _ in await asyncio.gather(*scrapes)} == {200}
        assert pages.supervision.asked == 1
        await pages.get("/metrics")
        assert pages.supervision.asked == 2

    with_pages(tmp_path, test)


def test_workers_that_do_not_tell_are_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_pages, "METRICS_TIMEOUT", 0.05)

    async def test(pages: Pages) -> None:
        pages.supervision.telling.clear()
        assert (await pages.get("/metrics"))[0] == 503
        pages.supervision.telling.set()
        assert (await pages.get("/metrics"))[0] == 200

    with_pages(tmp_path, test)


def test_more_than_it_can_bear_are_told_to_come_back(tmp_path: Path) -> None:
    async def test(pages: Pages) -> None:
        silent = [
            socket.create_connection(("127.0.0.1", pages.port))
            for _ in range(exchange_server.MAX_CONNECTIONS)
        ]
        assert (await pages.get("/healthz"))[0] == 503
        silent.pop().close()
        while (await pages.get("/healthz"))[0] != 200:
            pass
        for connection in silent:
            connection.close()

    with_pages(tmp_path, test)


def test_who_says_nothing_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange_server, "TIMEOUT", 0.05)

    async def test(pages: Pages) -> None:
        assert await pages.send(b"GET /healthz HTTP/1.1\r\n") == b""

    with_pages(tmp_path, test)


@pytest.mark.alone
def test_pages_answer_while_the_workers_are_busy(tmp_path: Path) -> None:
    """Full load on a real server: each page within a second, and the load goes on meanwhile."""
    port = free_port()
    settings = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "127.0.0.1:{port}"\nworkers = 2\n'
    request = wire.respmod(wire.OK, wire.chunked(b'{"a": "' + b"x" * 100_000 + b'"}'), Allow="204")
    answered = [0] * 8
    # All have begun when all have passed it.
    under_way, stop = threading.Barrier(len(answered) + 1), threading.Event()

    def load(place: int) -> None:
        with server.connect() as connection:
            while not stop.is_set():
                assert ask(connection, request).startswith(b"ICAP/1.0 2")
                answered[place] += 1
                if answered[place] == 1:
                    under_way.wait(PATIENCE)

    with serving(tmp_path, settings) as server:
        threads = [threading.Thread(target=load, args=(place,)) for place in range(len(answered))]
        for thread in threads:
            thread.start()
        try:
            under_way.wait(PATIENCE)
            for page in ("healthz", "readyz", "metrics") * 5:
                # The time limit of each operation on the socket is the assertion.
                with urlopen(f"http://127.0.0.1:{port}/{page}", timeout=1) as answer:
                    assert answer.status == 200
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
            counted = answer.read().decode()
    total = sum(
        float(line.split()[1])
        for line in counted.splitlines()
        if line.startswith("icapd_transactions_total{")
    )
    assert total == sum(answered), "the metrics of both workers, together"


def test_not_ready_says_why(tmp_path: Path) -> None:
    """A real server whose outbox goes away."""
    port = free_port()
    settings = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "127.0.0.1:{port}"\nworkers = 1\n'
    with serving(tmp_path, settings):
        ready = f"http://127.0.0.1:{port}/readyz"
        with urlopen(ready, timeout=PATIENCE) as answer:
            assert answer.read() == b"ready\n"
        (outbox,) = (tmp_path / "outbox").glob("*.outbox")
        outbox.rename(tmp_path / "elsewhere")
        assert outbox.name.encode() in wait_for(ready, 503)
        (tmp_path / "elsewhere").rename(outbox)
        assert wait_for(ready, 200) == b"ready\n"


def wait_for(url: str, status: int) -> bytes:
    """The page once it has this status."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=PATIENCE) as answer:
                found, text = answer.status, answer.read()
        except HTTPError as error:
            with error:
                found, text = error.code, error.read()
        if found == status:
            return bytes(text)
        time.sleep(0.05)
    raise AssertionError(f"{url}: not {status} but {found}: {text!r}")
