"""Restarts that the system refuses half-way: the server stands as it did."""

import asyncio
import errno
import os
import socket
from typing import Any, NoReturn

import pytest

from icapd.errors import IcapdError, RestartError
from icapd.server.supervision import restart
from icapd.server.supervision.messages import Start, Started
from icapd.server.supervision.pool import Pool
from icapd.server.supervision.restart import Estate
from icapd.server.supervision.worker_process import Passport
from icapd.settings import Settings


def refuse(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_program_that_can_not_be_replaced_keeps_its_descriptors_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that is started later would inherit them, and not see when another one is gone."""
    monkeypatch.setattr(os, "execv", refuse)
    listener, lock, channel, other = *socket.socketpair(), *socket.socketpair()
    with listener, lock, channel, other:
        passport = Passport(1, channel.fileno(), "serving", 0.0, 0, Started("tag", (), "enforce"), [])
        estate = Estate([("listen", "a:1", [listener.fileno()])], lock.fileno(), [passport], "")
        with pytest.raises(RestartError, match="Resource temporarily unavailable"):
            restart.replace_program(estate)
        assert not any(map(os.get_inheritable, (listener.fileno(), lock.fileno(), channel.fileno())))


def test_workers_that_can_not_all_be_started_leave_those_that_were_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spawn, started = os.posix_spawn, iter([True, False])

    def spawn_one(*arguments: Any, **options: Any) -> int:
        return spawn(*arguments, **options) if next(started) else refuse()

    monkeypatch.setattr(os, "posix_spawn", spawn_one)

    async def run() -> None:
        pool = Pool(
            Start(Settings(), "text"),
            2,
            on_leave=lambda peer: None,
            on_change=lambda: None,
            on_death=lambda: None,
            on_retired=lambda worker: None,
        )
        with pytest.raises(IcapdError, match="a worker can't be started: Resource temporarily unavailable"):
            await pool.fill()
        # The one that was started is ended again.
        await pool.stop(0.0)
        assert not pool.all

    asyncio.run(run())
