"""The supervisor: one small process that listens, hands connections to its workers, and keeps them alive.

    listeners --accept--> admission --fewest connections--> worker 1 .. N (worker.py, a program each)
         \\__ kept open through restarts                      \\__ policy, engine, audit trail

It reads no bytes of any connection. What the control plane asks for (`Supervision`) it has the workers do.
"""

import asyncio
import os
import signal
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
import uvloop

from icapd import audit
from icapd.errors import IcapdError, RestartError
from icapd.server.control.supervision import ReloadResult, WorkerStatus
from icapd.server.engine import Peer
from icapd.server.fingerprint_keys import load_or_create_keys
from icapd.server.listening.acceptor import Acceptor, capacity
from icapd.server.listening.admission import Admission
from icapd.server.listening.listeners import Listeners
from icapd.server.shipping import LAST
from icapd.server.supervision import restart
from icapd.server.supervision.control_plane import ControlPlane
from icapd.server.supervision.messages import Start
from icapd.server.supervision.notify import Notifier
from icapd.server.supervision.policy_ledger import PolicyLedger
from icapd.server.supervision.policy_reload import reload_all
from icapd.server.supervision.pool import Pool
from icapd.server.supervision.restart import Estate
from icapd.server.supervision.shipping_process import ShippingProcess
from icapd.server.supervision.until import done_before
from icapd.server.supervision.worker_process import WorkerGone, WorkerProcess
from icapd.server.telemetry.merged_metrics import MergedMetrics
from icapd.server.telemetry.metrics import SupervisorMetrics
from icapd.settings import Settings

log = structlog.get_logger()

#: Seconds between two looks whether the workers can write their records.
LOOK = 1.0
#: What the log calls listeners.
_LOG_NAMES = {"listen": "icap", "listen_tls": "icaps", "listen_unix": "unix"}
#: Seconds in which workers tell how they are; of one that is too busy, what it last told is taken.
TELL_TIMEOUT = 0.5
#: Seconds after which a worker counts as stuck: some waits for a database that another program has locked.
LIFE_TIMEOUT = 5.0


class Supervisor:
    """One server, from its settings to its end."""

    def __init__(self, settings: Settings, log_format: str, inherited: int | None = None) -> None:
        """`inherited`: the descriptor of what the program before has left, in a restart.

        Raises ConfigurationError and AuditError, for all that can be wrong without a look at the rules.
        """
        estate = restart.read_estate(inherited) if inherited is not None else None
        self._settings = settings
        # Here, so that workers that start together find one and the same.
        load_or_create_keys(Path(settings.audit.fingerprint_key))
        audit.notary_for(settings.audit)
        if estate is None:
            if away := audit.require_destination(settings.audit.database_url):
                log.error("audit-database-away", problem=away, until_then="the outboxes keep the records")
            self._audit_lock = audit.reserve(Path(settings.audit.outbox))
        else:
            self._audit_lock = os.fdopen(estate.audit_lock, "rb")
        estate_listeners = estate.listeners if estate is not None else []
        held = {(setting, address): descriptors for setting, address, descriptors in estate_listeners}
        self._listeners = Listeners(settings.server, held)
        self._passports = estate.workers if estate is not None else []
        self._merged = MergedMetrics(estate.counted if estate is not None else "")
        self._metrics = SupervisorMetrics()
        self._ledger = PolicyLedger(self._metrics)
        self._plane = ControlPlane(settings)
        self._notifier = Notifier.from_environment()
        size = settings.server.workers or len(os.sched_getaffinity(0))
        self._capacity = capacity(settings.server, size)
        #: With the capacity instead of what was asked for: OPTIONS tells it.
        own = msgspec.structs.replace(settings.server, max_connections=self._capacity)
        start = Start(msgspec.structs.replace(settings, server=own), log_format)
        self._shipping = ShippingProcess(start, self._metrics.observe_shipping)
        self._pool = Pool(
            start,
            size,
            on_leave=self._leave,
            on_change=self._note_change,
            on_death=self._metrics.worker_restarts.inc,
            on_retired=self._retire_metrics,
        )
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises what ConfigurationError or AuditError a worker had to say."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        #: Held by what must not happen at one time: start, reload, restart.
        self._changing = asyncio.Lock()
        server = self._settings.server
        admission = Admission(server, self._capacity)
        self._metrics.overloaded.set_function(lambda: admission.overloaded)
        self._acceptor = Acceptor(self._listeners.icap, admission, self._pool, self._metrics)
        self._pool.adopt(self._passports, server.shutdown_timeout)
        for worker in self._pool.all:
            self._acceptor.count(worker.peers.elements())
        self._handle_signals()
        self._shipping.start()
        try:
            async with self._changing:
                await self._plane.start(
                    self,
                    self._notifier,
                    control=self._listeners.sockets("control"),
                    http=self._listeners.sockets("http_listen"),
                )
                if not await done_before(self._stop, self._fill()):
                    return
            self._begin(self._look())
            await self._stop.wait()
        finally:
            await self._end()

    async def _fill(self) -> None:
        """Start the workers. After a restart the old ones serve on until the new ones do, or for good."""
        try:
            await self._pool.fill()
        except IcapdError as error:
            if not self._passports:
                raise
            log.error("restart-failed", problem=str(error), still="the workers that were there before")
            self._pool.keep_old()
        self._pool.retire_old(self._settings.server.shutdown_timeout)
        self._tell_ready()

    async def _end(self) -> None:
        self._stopping = True
        self._acceptor.stop()
        for listener in self._listeners.icap:
            listener.close()
        if self._stop.is_set():
            log.info("stopping")
            self._notifier.stopping()
        for task in tuple(self._tasks):
            task.cancel()
        await self._pool.stop(self._settings.server.shutdown_timeout)
        await self._shipping.stop(LAST)
        await self._plane.stop()
        for listener in self._listeners.all:
            listener.close()
        self._audit_lock.close()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._begin(self.reload()))
        loop.add_signal_handler(signal.SIGUSR2, lambda: self._begin(self.restart()))
        restart.accept_signals()

    # --- Supervision

    async def reload(self) -> ReloadResult:
        """Read policy and certificates again; all workers take them, or none does."""
        async with self._changing:
            self._notifier.reloading()
            prepared = await reload_all(self._pool.serving)
            policy = self._pool.policy
            result = ReloadResult(
                taken=not prepared.problem,
                istag=policy.istag if policy else "",
                packs=policy.packs if policy else (),
                mode=policy.mode if policy else "",
                problem=prepared.problem,
            )
            self._tell_ready_to_system()
        note = self._ledger.reloaded(result, policy)
        next((worker for worker in self._pool.serving if worker.note(note)), None)
        return result

    async def restart(self) -> None:
        """Become the program that is installed now; does not return. RestartError: all is as it was."""
        async with self._changing:
            log.info("restarting")
            held = self._listeners.held
            try:
                await restart.attempt(held)
                await self._shipping.stop(0)
                workers = await self._pool.hand_on()
                # What living workers count they tell the next one.
                counted = MergedMetrics(self._merged.ended)
                counted.update(self, self._metrics.text([]))
                counted.retire(self)
                listeners = [(*key, descriptors) for key, descriptors in held.items()]
                restart.replace_program(Estate(listeners, self._audit_lock.fileno(), workers, counted.ended))
            except RestartError as error:
                log.error("restart-refused", problem=str(error))
                self._shipping.start()
                raise

    async def metrics(self) -> str:
        """What all workers count together, and the supervisor, as Prometheus text."""
        await self._tell(metrics=True)
        return self._merged.text(self._metrics.text(self._pool.status()))

    async def answers(self) -> bool:
        """Whether a worker answers, or none is there to answer: then the supervisor starts them anew."""
        serving = self._pool.serving
        return not serving or await self._tell(metrics=False, within=LIFE_TIMEOUT) > 0

    def status(self) -> list[WorkerStatus]:
        return self._pool.status()

    def listeners(self) -> list[str]:
        return [str(listener) for listener in self._listeners.all]

    def remarks(self) -> list[str]:
        shipping = self._shipping.problem
        return [*self._ledger.remarks, *([f"audit: {shipping}"] if shipping else [])]

    def unready(self) -> str | None:
        return "stopping" if self._stopping else self._pool.problem()

    # --- workers

    async def _tell(self, *, metrics: bool, within: float = TELL_TIMEOUT) -> int:
        """Have the workers say how they are; returns how many did in time."""
        able = [worker for worker in self._pool.all if worker.policy is not None]
        return sum(await asyncio.gather(*(self._tell_one(worker, metrics, within) for worker in able)))

    async def _tell_one(self, worker: WorkerProcess, metrics: bool, within: float) -> bool:
        try:
            async with asyncio.timeout(within):
                await worker.tell(metrics=metrics)
        except (TimeoutError, WorkerGone):
            return False
        if metrics:
            self._merged.update(worker, worker.metrics)
        return True

    async def _look(self) -> None:
        """Keep in mind what `unready` is asked for, which can't wait."""
        while True:
            await self._tell(metrics=False)
            if self._ledger.is_due(time.time()):
                self._begin(self.reload())
            await asyncio.sleep(LOOK)

    def _leave(self, peer: Peer) -> None:
        self._acceptor.leave(peer)

    def _retire_metrics(self, worker: WorkerProcess) -> None:
        if worker.metrics:
            self._merged.update(worker, worker.metrics)
        self._merged.retire(worker)

    def _note_change(self) -> None:
        """Workers have come or gone."""
        self._acceptor.update()
        # A worker that was started anew has read the files as they are now.
        if not self._pool.is_of_one_mind and not self._changing.locked():
            self._begin(self.reload())

    def _tell_ready(self) -> None:
        policy = self._pool.policy
        assert policy is not None
        places: dict[str, str] = {}
        for listener in self._listeners.icap:
            places.setdefault(_LOG_NAMES[listener.setting], listener.bound)
        log.info("ready", **places, packs=list(policy.packs), mode=policy.mode, istag=policy.istag)
        self._ledger.in_force(policy)
        self._tell_ready_to_system()

    def _tell_ready_to_system(self) -> None:
        policy = self._pool.policy
        self._notifier.ready(f"{len(self._pool.serving)} workers, policy {policy.istag if policy else ''}")

    # --- tasks

    def _begin(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(self._carry_out(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, work: Coroutine[object, object, object]) -> None:
        # What was refused is logged where that was found.
        with suppress(RestartError):
            await work
