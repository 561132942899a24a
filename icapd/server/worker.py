"""One worker: policy, audit trail, services and engine put together; connections come from the supervisor.

`python -m icapd.server.worker`, started by the supervisor, with the channel to it as descriptor 3. It says
`Started` once it can take connections, or what is wrong, and ends when it is told to, or when the supervisor
is gone: with the requests under way answered, or recorded as `server-stopped`.
"""

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import structlog
import uvloop

from icapd.audit import AuditWriter
from icapd.errors import AuditError, IcapdError
from icapd.server.asyncio_engine import AsyncioEngine
from icapd.server.engine import Engine, Peer
from icapd.server.equipment import Equipment
from icapd.server.equipment import Prepared as Equipped
from icapd.server.listening.descriptors import Room
from icapd.server.listening.handshakes import HandshakeFailures
from icapd.server.pyicap_engine.engine import PyicapEngine
from icapd.server.session_context import SessionContext
from icapd.server.shadow import Shadow
from icapd.server.supervision.channel import Channel, send_now
from icapd.server.supervision.child import begin
from icapd.server.supervision.messages import (
    Commit,
    Committed,
    Drain,
    Ended,
    Message,
    Note,
    NotStarted,
    Prepare,
    Prepared,
    Report,
    Started,
    Take,
    Tell,
    told,
)
from icapd.server.supervision.policy_summary import state_of
from icapd.server.telemetry.internal_error import log_internal_error, log_of_loop, place_of
from icapd.server.telemetry.metrics import Metrics
from icapd.services.body_memory import BodyMemory
from icapd.services.configured import codec_limits
from icapd.settings import Settings

log = structlog.get_logger()

#: Seconds for connections to close once they were told to.
_LAST = 1.0
# Seconds: in a worker whose loop shares the interpreter with a thread, the loop waits no longer for its turn.
# With 5 ms, Python's own, the 99th percentile of its waits was 4 ms while 500 rules were loaded, with 0.5 it
# was 0.7; with a shadow policy at work, 0.1 made no difference to none, and 0.5 one of a millisecond.
_SWITCH_INTERVAL = 0.0002


class Worker:
    """Serves what the supervisor hands over."""

    def __init__(self, settings: Settings) -> None:
        """Loads all that can be wrong. Raises ConfigurationError and AuditError."""
        self._settings = settings
        self._equipment = Equipment(settings)
        self._metrics = Metrics()
        self._handshake_failures = HandshakeFailures(self._metrics.tls_failures.inc)
        self._prepared: Equipped | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = 0
        self._emptied = asyncio.Event()
        workers = settings.server.workers or len(os.sched_getaffinity(0))
        # Of the room for outboxes a part is for what dead workers left.
        self._audit = AuditWriter.open(
            Path(settings.audit.outbox),
            max_size=settings.audit.outbox_limit // (workers + 1),
            mode=settings.audit.mode,
            role="worker",
            patience=settings.audit.patience,
            coalesce_after=settings.audit.coalesce_after,
        )
        self._shadow = Shadow(self._metrics, self._audit, settings.policy.shadow_share)

    def run(self, end: socket.socket) -> None:
        """Serve until told to end; `end`: of the channel."""
        # Rules and modules stay for good: the collector need not look at them again and again.
        gc.collect()
        gc.freeze()
        # How long a thread with long work keeps the interpreter from the loop.
        sys.setswitchinterval(_SWITCH_INTERVAL)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(end))
        finally:
            self._close_audit()

    async def _serve(self, end: socket.socket) -> None:
        asyncio.get_running_loop().set_exception_handler(log_of_loop)
        self._told_to_end: asyncio.Future[Drain] = asyncio.get_running_loop().create_future()
        #: By another message, while it retires.
        self._told_to_stop: asyncio.Future[Drain] = asyncio.get_running_loop().create_future()
        self._engine = self._make_engine()
        await self._engine.start()
        self._channel = Channel(end, self._receive, self._end_without_supervisor, Room())
        policy = self._equipment.catalogue().policy
        self._shadow.judge_by(self._equipment.in_force.candidate)
        self._channel.send(
            Started(policy.istag, policy.packs, policy.mode, state_of(self._equipment.in_force))
        )
        drain = await self._told_to_end
        timeout = drain.timeout
        if drain.retire:
            timeout = await self._retire(timeout)
        await self._engine.stop(timeout)
        self._shadow.close()
        # Counted by the supervisor when this process is no more.
        await self._report(Tell(0, metrics=True))

    def _make_engine(self) -> Engine:
        memory = BodyMemory(self._settings.limits.max_body_memory)
        self._metrics.body_memory.set_function(lambda: memory.held)
        context = SessionContext(
            catalogue=self._equipment.catalogue,
            audit=self._audit,
            blocks_unrecorded=self._settings.audit.fail_mode == "closed",
            codec_limits=codec_limits(self._settings),
            metrics=self._metrics,
            memory=memory,
            over=self._shadow.offer,
        )
        callbacks = self._left, self._handshake_failures.note
        if self._settings.server.engine == "pyicap":
            return PyicapEngine(context, self._settings.server, *callbacks)
        return AsyncioEngine(context, self._settings.server, *callbacks)

    async def _retire(self, timeout: float) -> float:  # noqa: ASYNC109 (for the connections, not for this call)
        """Let connections end by themselves, unless told to stop; returns the seconds for the rest."""
        self._engine.retire()
        if self._open:
            self._emptied.clear()
            emptied = asyncio.create_task(self._emptied.wait())
            ends = (emptied, self._told_to_stop)
            await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            emptied.cancel()
        return self._told_to_stop.result().timeout if self._told_to_stop.done() else _LAST

    def _receive(self, message: Message, descriptor: int | None) -> None:
        match message:
            case Take(peer, tls):
                assert descriptor is not None
                connection = socket.socket(fileno=descriptor)
                context = self._equipment.tls.current() if tls and self._equipment.tls else None
                self._open += 1
                self._engine.take(connection, peer, context)
            case Tell():
                self._begin(self._report(message))
            case Prepare(number):
                self._begin(self._prepare(number))
            case Commit(number):
                if self._prepared is not None:
                    self._equipment.put_in_force(self._prepared)
                    self._shadow.judge_by(self._prepared.candidate)
                    self._prepared = None
                self._channel.send(Committed(number))
            case Note(action, detail):
                try:
                    self._audit.note(action, detail)
                except AuditError as error:
                    log.error("audit-failed", error=str(error))
            case Drain():
                self._end(message)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _left(self, peer: Peer) -> None:
        self._open -= 1
        if not self._open:
            self._emptied.set()
        self._channel.send(Ended(peer))

    def _end(self, drain: Drain) -> None:
        if not self._told_to_end.done():
            self._told_to_end.set_result(drain)
        elif not drain.retire and not self._told_to_stop.done():
            self._told_to_stop.set_result(drain)

    def _end_without_supervisor(self) -> None:
        if not self._told_to_end.done():
            log.error("supervisor-gone", connections=self._engine.connections)
        self._end(Drain(self._settings.server.shutdown_timeout, retire=False))

    async def _prepare(self, number: int) -> None:
        try:
            self._prepared = await asyncio.to_thread(self._equipment.prepare)
        except Exception as error:
            self._prepared = None
            if isinstance(error, IcapdError):
                problem = told(error)
            else:
                log_internal_error(error)
                problem = f"internal error: {type(error).__name__} at {place_of(error)}"
            self._channel.send(Prepared(number, problem))
        else:
            policy = self._prepared.policy
            state = state_of(self._prepared)
            self._channel.send(Prepared(number, "", policy.istag, policy.packs, policy.mode, state))

    async def _report(self, tell: Tell) -> None:
        unwritable = ""
        try:
            # What is due is noted by the way, and synced: that the disk may take its time for is no wait of
            # the loop's.
            async with asyncio.timeout(self._audit.patience):
                await asyncio.to_thread(self._audit.check_writable)
        except AuditError as error:
            unwritable = told(error)
        except TimeoutError:
            unwritable = f"{self._audit.file}: its disk does not answer; look at the disk"
        file = self._metrics_file() if tell.metrics else None
        if not self._channel.send(Report(tell.number, unwritable), file) and file is not None:
            file.close()

    def _metrics_file(self) -> IO[bytes] | None:
        """None when the system has no room for it: then what was last told stands."""
        with suppress(OSError), ExitStack() as undo:
            file = os.fdopen(os.memfd_create("icapd-metrics"), "w+b", buffering=0)
            undo.callback(file.close)
            file.write(self._metrics.text().encode())
            undo.pop_all()
            return file
        return None

    def _close_audit(self) -> None:
        try:
            self._audit.close()
        except AuditError as error:
            log.error("audit-failed", error=str(error))


def main() -> None:
    """What the process does."""
    begun = begin()
    if begun is None:
        return
    end, start = begun
    try:
        worker = Worker(start.settings)
    except IcapdError as error:
        send_now(end, NotStarted(told(error), error.exit_code))
        sys.exit(error.exit_code)
    worker.run(end)


if __name__ == "__main__":
    main()
