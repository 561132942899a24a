"""The asyncio engine without sockets: the clocks of its connections."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.icapd import PATIENCE
from support.policies import demo_policy
from support.sessions import Workbench
from support.turns import CLEAN

from icapd.server import asyncio_engine
from icapd.server.asyncio_engine import AsyncioEngine
from icapd.server.asyncio_protocol import IcapProtocol
from icapd.server.engine import LOCAL
from icapd.settings import Server


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    (tmp_path / "rules").mkdir()
    bench = Workbench(demo_policy(tmp_path / "rules"), tmp_path)
    yield bench
    bench.close()


class Swept(IcapProtocol):
    """A connection whose clock is looked at; with `error`: one with a defect of ours."""

    def __init__(self, engine: AsyncioEngine, error: Exception | None = None) -> None:
        super().__init__(engine, LOCAL)
        self.error = error
        self.looks = 0
        self.was_seen_thrice = asyncio.Event()
        self.aborted: list[str] = []

    def sweep(self, now: float, settings: Server) -> None:
        self.looks += 1
        if self.looks == 3:
            self.was_seen_thrice.set()
        if self.error is not None:
            raise self.error

    def abort(self, reason: str) -> None:
        self.aborted.append(reason)


def test_defect_in_one_connection_does_not_stop_the_clocks(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio_engine, "SWEEP_INTERVAL", 0.001)

    async def run() -> tuple[Swept, Swept]:
        engine = AsyncioEngine(bench.context, Server(), lambda peer: None, lambda address, error: None)
        faulty, other = Swept(engine, ZeroDivisionError()), Swept(engine)
        await engine.start()
        engine.begin(faulty)
        engine.begin(other)
        async with asyncio.timeout(PATIENCE):
            await other.was_seen_thrice.wait()
        await engine.stop(0.0)
        return faulty, other

    faulty, other = asyncio.run(run())
    assert faulty.aborted[0] == "internal-error"
    assert other.aborted == ["server-stopped"]


def test_what_waits_for_its_turn_at_the_end_is_committed(bench: Workbench) -> None:
    bench.audit.mode = "durable"

    async def run() -> None:
        engine = AsyncioEngine(bench.context, Server(), lambda peer: None, lambda address, error: None)
        await engine.start()
        connection = IcapProtocol(engine, LOCAL)
        connection._session.receive(CLEAN)
        assert connection.pending is not None
        engine.turns.stage(connection)
        await engine.stop(0)
        assert connection.pending is None

    asyncio.run(run())
    with closing(sqlite3.connect(bench.audit.file)) as outbox:
        assert outbox.execute("SELECT count(*) FROM entry WHERE kind = 'event'").fetchone() == (1,)
