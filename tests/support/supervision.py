"""A server of one process, without traffic: what the control plane needs of a supervisor, and no more."""

import asyncio
import os
import time
from pathlib import Path

from icapd.errors import PolicyError, RestartError
from icapd.policy import PolicyStore
from icapd.server.control.supervision import ReloadResult, WorkerState, WorkerStatus
from icapd.server.telemetry.metrics import Metrics, SupervisorMetrics


class LoneSupervision:
    """Implements Supervision over a policy store of its own."""

    def __init__(self, directory: Path) -> None:
        self.store = PolicyStore(directory)
        self.counted, self.own = Metrics(), SupervisorMetrics()
        self.reloads: asyncio.Queue[ReloadResult] = asyncio.Queue()
        self.pids = [os.getpid()]
        self.state: WorkerState = "serving"
        self.problem: str | None = None
        self.restart_problem = ""
        self.remarked: list[str] = []
        #: Until it is set, metrics are not told.
        self.telling = asyncio.Event()
        self.telling.set()
        self.asked = 0

    async def reload(self) -> ReloadResult:
        problem = ""
        try:
            await asyncio.to_thread(self.store.reload)
        except PolicyError as error:
            problem = str(error)
        policy = self.store.current()
        result = ReloadResult(not problem, policy.istag, tuple(policy.packs), policy.mode, problem)
        self.own.reloads["taken" if result.taken else "refused"].inc()
        await self.reloads.put(result)
        return result

    async def restart(self) -> None:
        if self.restart_problem:
            raise RestartError(self.restart_problem)
        self.pids = [pid + 1 for pid in self.pids]

    async def metrics(self) -> str:
        self.asked += 1
        await self.telling.wait()
        return self.counted.text() + self.own.text(self.status())

    async def answers(self) -> bool:
        return self.telling.is_set()

    def status(self) -> list[WorkerStatus]:
        istag = self.store.current().istag
        return [WorkerStatus(pid, self.state, 3, istag, time.time(), 0) for pid in self.pids]

    def listeners(self) -> list[str]:
        return ["icap 127.0.0.1:1344"]

    def remarks(self) -> list[str]:
        return self.remarked

    def unready(self) -> str | None:
        return self.problem
