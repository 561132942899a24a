"""A worker that dies: its channel ends some time before its process, and connections come meanwhile."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from support.icapd import PATIENCE

from icapd.server.engine import LOCAL
from icapd.server.listening.acceptor import Acceptor
from icapd.server.listening.admission import Admission
from icapd.server.listening.listeners import Listener
from icapd.server.supervision import channel
from icapd.server.supervision.messages import Start, Started, Take
from icapd.server.supervision.pool import Pool
from icapd.server.supervision.worker_process import Passport, WorkerGone, WorkerProcess
from icapd.server.telemetry.metrics import SupervisorMetrics
from icapd.settings import Server, Settings


@dataclass
class House:
    """A supervisor's pool and acceptor, on the running loop; its workers only live, and listen."""

    workers: int
    pool: Pool = field(init=False)
    acceptor: Acceptor = field(init=False)
    listening: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        # Before there are channels: for a moment a new process has all that is open here, and would keep the
        # end of a worker that is closed.
        self._pids = [os.posix_spawn("/bin/sleep", ["sleep", "600"], {}) for _ in range(self.workers)]
        self.listening.setblocking(False)
        self.pool = Pool(
            Start(Settings(), "json"),
            0,
            on_leave=lambda _: None,
            on_change=self.changed.set,
            on_death=lambda: None,
            on_retired=lambda _: None,
        )
        listener = Listener("listen", "127.0.0.1:0", self.listening)
        self.acceptor = Acceptor([listener], Admission(Server(), 100), self.pool, SupervisorMetrics())

    def hire(self) -> tuple[WorkerProcess, socket.socket]:
        """A worker that serves, and its end of the channel."""
        ours, theirs = channel.pair()
        theirs.settimeout(PATIENCE)
        pid = self._pids.pop(0)
        policy = Started("istag", (), "enforce")
        passport = Passport(pid, ours.detach(), "serving", time.time(), 0, policy, [])
        self.pool.adopt([passport], 0)
        self.acceptor.update()
        return next(worker for worker in self.pool.all if worker.pid == pid), theirs

    async def visit(self) -> socket.socket:
        """A client, connected; the loop has seen it come."""
        client = socket.socket()
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, self.listening.getsockname())
        return client

    async def close(self) -> None:
        self.acceptor.stop()
        while self._pids:
            self.hire()[1].close()
        for worker in self.pool.all:
            worker.kill()
        while self.pool.all:
            await self.changed.wait()
            self.changed.clear()
        self.listening.close()


@asynccontextmanager
async def house(workers: int) -> AsyncIterator[House]:
    made = House(workers)
    try:
        yield made
    finally:
        await made.close()


async def is_handed_over(client: socket.socket, theirs: socket.socket) -> bool:
    """Whether the connection of this client comes to a worker."""
    message, descriptor = await asyncio.to_thread(channel.receive, theirs)
    assert isinstance(message, Take) and descriptor is not None
    with socket.socket(fileno=descriptor) as connection:
        return bool(connection.getpeername() == client.getsockname())


@pytest.mark.parametrize("known", [True, False], ids=["channel-ended", "not-noticed-yet"])
def test_connection_goes_to_another_worker_when_one_dies(known: bool) -> None:
    async def scenario() -> None:
        async with house(2) as its:
            dying, its_end = its.hire()
            _, end = its.hire()
            its_end.close()
            if known:
                with pytest.raises(WorkerGone):
                    await dying.tell(metrics=False)
            with await its.visit() as client, end:
                assert await is_handed_over(client, end)

    asyncio.run(scenario())


def test_connection_waits_while_the_only_worker_dies() -> None:
    async def scenario() -> None:
        async with house(2) as its:
            dying, its_end = its.hire()
            its_end.close()
            with pytest.raises(WorkerGone):
                await dying.tell(metrics=False)
            with await its.visit() as client:
                _, end = its.hire()
                with end:
                    assert await is_handed_over(client, end)

    asyncio.run(scenario())


def test_connection_that_a_worker_can_not_take_is_still_the_callers() -> None:
    async def scenario() -> None:
        async with house(1) as its:
            dying, its_end = its.hire()
            ours, theirs = socket.socketpair()
            its_end.close()
            with ours, theirs:
                assert not dying.take(ours, LOCAL, tls=False)
                assert (dying.connections, dying.peers.total()) == (0, 0)
                ours.send(b"!")
                assert theirs.recv(1) == b"!"

    asyncio.run(scenario())
