"""The workers: as many as there are places, each place filled again when its worker dies."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from icapd.errors import ConfigurationError, IcapdError
from icapd.server.control.supervision import WorkerStatus
from icapd.server.engine import Peer
from icapd.server.supervision import backoff
from icapd.server.supervision.messages import Start, Started
from icapd.server.supervision.worker_process import KILL_AFTER, Passport, WorkerProcess

log = structlog.get_logger()

#: Seconds between two looks whether a worker has taken what it was sent.
_LOOK = 0.05


@dataclass(slots=True)
class _Place:
    """Where one worker works, and another one when that has died."""

    worker: WorkerProcess
    #: Deaths in a row.
    deaths: int = 0
    #: Why there is none now; "" when there is.
    vacant: str = ""
    #: The next worker, when there is none now.
    timer: asyncio.TimerHandle | None = None


class Pool:
    """Starts workers, keeps their number, ends them. The `Owner` of them all."""

    def __init__(
        self,
        start: Start,
        size: int,
        *,
        on_leave: Callable[[Peer], None],
        on_change: Callable[[], None],
        on_death: Callable[[], None],
        on_retired: Callable[[WorkerProcess], None],
    ) -> None:
        """`on_leave`: a connection has ended. `on_change`: there may be more room for connections, or another
        policy. `on_death`: a worker ended by itself. `on_retired`: its process is no more, whyever."""
        self._start, self._size = start, size
        self._on_leave, self._on_change = on_leave, on_change
        self._on_death, self._on_retired = on_death, on_retired
        self._places: list[_Place] = []
        #: Started together: not yet in their places.
        self._fresh: list[WorkerProcess] = []
        #: Before a restart they served, and end now what they have.
        self._old: list[WorkerProcess] = []
        self._stopping = False
        self._change = asyncio.Event()

    @property
    def policy(self) -> Started | None:
        """What the workers in their places serve."""
        served = (place.worker.policy for place in self._places if not place.vacant)
        return next((policy for policy in served if policy is not None), None)

    @property
    def is_of_one_mind(self) -> bool:
        """Whether all workers in their places serve the same policy, and make fingerprints with one key."""
        policies = (place.worker.policy for place in self._places if not place.vacant)
        served = {(policy.istag, policy.state.key_id) for policy in policies if policy is not None}
        return len(served) <= 1

    @property
    def all(self) -> list[WorkerProcess]:
        """Every process that lives."""
        return [*(place.worker for place in self._places if not place.vacant), *self._fresh, *self._old]

    @property
    def serving(self) -> list[WorkerProcess]:
        """Those that can take connections, and answer."""
        return [worker for worker in self.all if worker.state == "serving" and worker.is_alive]

    def least_loaded(self) -> WorkerProcess | None:
        """Who takes the next connection: the one with the fewest; None when nobody can."""
        return min(self.serving, key=lambda worker: worker.connections, default=None)

    def adopt(self, passports: Iterable[Passport], timeout: float) -> None:
        """Take over the workers of the supervisor before: they serve until those of `fill` do.

        `timeout`: seconds for those that are draining.
        """
        for passport in passports:
            worker = WorkerProcess.adopt(self, passport)
            self._old.append(worker)
            if worker.state == "draining":
                asyncio.get_running_loop().call_later(timeout + KILL_AFTER, worker.kill)

    async def fill(self) -> None:
        """Start a worker for each place; returns when all can take connections.

        Raises what the first of them has to say that can't, and then none of the new ones is left.
        """
        try:
            for _ in range(self._size):
                self._fresh.append(WorkerProcess.spawn(self, self._start))
            starting = list(self._fresh)
            while any(worker.state == "starting" for worker in starting):
                await self._change.wait()
                _require_life(starting)
        except BaseException as error:
            for worker in self._fresh:
                worker.state = "draining"
                worker.kill()
            self._old += self._fresh
            self._fresh = []
            if isinstance(error, OSError):
                # No descriptors, processes or memory left.
                raise IcapdError(f"a worker can't be started: {error.strerror}") from None
            raise
        self._places = [_Place(worker) for worker in starting]
        self._fresh = []

    def keep_old(self) -> None:
        """After `fill` failed: those that served before it take the places."""
        self._places = [_Place(worker) for worker in self._old if worker.state == "serving"]
        self._old = [worker for worker in self._old if worker.state != "serving"]

    def retire_old(self, timeout: float) -> None:
        """After `fill`: have those that served before it end what they have, within `timeout` seconds."""
        for worker in self._old:
            worker.drain(timeout, retire=True)

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109 (for the connections, not for this call)
        """Have all workers end within `timeout` seconds, and wait until they have."""
        self._stopping = True
        for place in self._places:
            if place.timer is not None:
                place.timer.cancel()
        for worker in self.all:
            if worker.state == "starting":
                worker.kill()
            else:
                worker.drain(timeout, retire=False)
        while self.all:
            await self._change.wait()

    async def hand_on(self) -> list[Passport]:
        """All workers that have started, for the next supervisor, which must come before the next await."""
        while not all(worker.is_told for worker in self.all):  # noqa: ASYNC110 (sent by callbacks of the loop)
            await asyncio.sleep(_LOOK)
        for worker in self.all:
            if worker.state == "starting":
                worker.kill()
        return [worker.passport() for worker in self.all if worker.state in ("serving", "draining")]

    def status(self) -> list[WorkerStatus]:
        """The workers in the order of their places, then those that drain."""
        ordered = [place.worker for place in self._places] + self._fresh + self._old
        vacant = {id(place.worker) for place in self._places if place.vacant}
        return [
            WorkerStatus(
                pid=worker.pid,
                state="failed" if id(worker) in vacant else worker.state,
                connections=worker.connections,
                istag=worker.policy.istag if worker.policy else "",
                since=worker.since,
                restarts=worker.restarts,
            )
            for worker in ordered
        ]

    def problem(self) -> str | None:
        """Why no worker can serve; None when one can."""
        serving = self.serving
        if not serving:
            vacant = next((place.vacant for place in self._places if place.vacant), "")
            return f"no worker serves: {vacant or 'they are starting'}"
        problems = [worker.unwritable for worker in serving]
        return problems[0] if all(problems) else None

    # --- Owner

    def started(self, worker: WorkerProcess) -> None:
        log.info("worker-started", pid=worker.pid, istag=worker.policy.istag if worker.policy else "")
        self._note_change()

    def left(self, peer: Peer) -> None:
        self._on_leave(peer)

    def ended(self, worker: WorkerProcess) -> None:
        self._on_retired(worker)
        if worker in self._old:
            self._old.remove(worker)
            log.info("worker-ended", pid=worker.pid, how=worker.end)
        elif worker in self._fresh:
            self._fresh.remove(worker)
        else:
            self._vacate(next(place for place in self._places if place.worker is worker))
        self._note_change()

    def _vacate(self, place: _Place) -> None:
        worker = place.worker
        place.vacant = worker.refusal.problem if worker.refusal else f"worker {worker.pid} ended {worker.end}"
        if self._stopping:
            log.info("worker-ended", pid=worker.pid, how=worker.end)
            return
        self._on_death()
        place.deaths = backoff.deaths_in_a_row(place.deaths, time.time() - worker.since)
        seconds = backoff.delay(place.deaths)
        log.error("worker-died", pid=worker.pid, problem=place.vacant, restart_in=seconds)
        place.timer = asyncio.get_running_loop().call_later(seconds, self._refill, place)

    def _refill(self, place: _Place) -> None:
        try:
            place.worker = WorkerProcess.spawn(self, self._start, place.worker.restarts + 1)
        except OSError as error:
            # No descriptors, processes or memory left: others may give something back.
            place.deaths += 1
            seconds = backoff.delay(place.deaths)
            log.error("worker-not-started", problem=str(error), restart_in=seconds)
            place.timer = asyncio.get_running_loop().call_later(seconds, self._refill, place)
        else:
            place.vacant, place.timer = "", None

    def _note_change(self) -> None:
        self._change.set()
        self._change = asyncio.Event()
        self._on_change()


def _require_life(starting: list[WorkerProcess]) -> None:
    """Raises what the first of them has to say that ended before it could serve."""
    for worker in starting:
        if worker.refusal is not None:
            error = ConfigurationError(worker.refusal.problem)
            error.exit_code = worker.refusal.exit_code
            raise error
    for worker in starting:
        if worker.end:
            raise IcapdError(f"worker {worker.pid} ended {worker.end} before it could serve")
