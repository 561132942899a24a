"""The asyncio engine: all connections of a worker on one event loop."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from socket import socket
from ssl import SSLContext

import structlog

from icapd.audit import Commit
from icapd.server.asyncio_protocol import IcapProtocol
from icapd.server.engine import Peer
from icapd.server.session_context import Apart, SessionContext
from icapd.server.turns import Turns, abort_defective
from icapd.settings import Server as ServerSettings

log = structlog.get_logger()

#: Seconds between two looks at the clocks of all connections.
SWEEP_INTERVAL = 1.0


class AsyncioEngine:
    """Takes connections, keeps their clocks, and stops in good order."""

    def __init__(
        self,
        context: SessionContext,
        settings: ServerSettings,
        left: Callable[[Peer], None],
        handshake_failed: Callable[[str, BaseException], None],
    ) -> None:
        """`left`, `handshake_failed`: told what connections end and which never began."""
        self.turns = Turns(
            context,
            settings.max_queue_delay,
            lambda turn: asyncio.get_running_loop().call_soon(turn),
            # What does not wait for a disk is done sooner than a thread has begun.
            aside=self._commit_aside if context.audit.waits else None,
        )
        self.context = replace(context, is_overloaded=self.turns.is_overloaded)
        self._settings = settings
        self._left = left
        self.handshake_failed = handshake_failed
        self._connections: set[IcapProtocol] = set()
        #: Connections that are not yet made, above all those in a TLS handshake.
        self._beginnings: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None
        self._retiring = False
        self._emptied = asyncio.Event()
        # One thread: with more of them, each would wait for the interpreter longer, and so would the loop.
        self._threads = ThreadPoolExecutor(1, "apart")
        self._apart: set[asyncio.Future[None]] = set()
        self._committing = ThreadPoolExecutor(1, "commits")

    @property
    def connections(self) -> int:
        return len(self._connections) + len(self._beginnings)

    async def start(self) -> None:
        # Its thread is there from the beginning: without one no record could ever be committed.
        await asyncio.get_running_loop().run_in_executor(self._committing, lambda: None)
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    def take(self, connection: socket, peer: Peer, tls: SSLContext | None) -> None:
        task = asyncio.get_running_loop().create_task(self._take(connection, peer, tls))
        self._beginnings.add(task)

    def retire(self) -> None:
        self._retiring = True
        for connection in self._connections:
            connection.retire()

    async def stop(self, grace: float) -> None:
        assert self._sweeper is not None
        self._sweeper.cancel()
        for task in tuple(self._beginnings):
            task.cancel()
        for connection in tuple(self._connections):
            connection.drain()
        self._emptied.clear()
        if self.connections:
            try:
                await asyncio.wait_for(self._emptied.wait(), grace)
            except TimeoutError:
                log.warning("stop-cut", connections=len(self._connections))
                for connection in tuple(self._connections):
                    connection.abort("server-stopped")

        # A turn that was called for comes first.
        await asyncio.sleep(0)
        while self._apart:
            # What is recorded of a connection that was cut waits for them; and so do records on their way.
            await asyncio.wait(self._apart)
            await asyncio.sleep(0)
        self._threads.shutdown()
        self._committing.shutdown()

    def run_apart(self, connection: IcapProtocol, apart: Apart) -> None:
        """Run it in a thread; then the connection has it back."""

        def rejoin(future: asyncio.Future[None]) -> None:
            self._apart.discard(future)
            try:
                connection.rejoin()
            except Exception as error:
                abort_defective(connection, error)
            self.turns.release(connection)

        future = asyncio.get_running_loop().run_in_executor(self._threads, apart.run)
        self._apart.add(future)
        future.add_done_callback(rejoin)

    def _commit_aside(
        self, commit: Commit, landed: Callable[[Exception | None], None], overdue: Callable[[], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self.context.audit.patience, overdue)

        def over(future: asyncio.Future[None]) -> None:
            timer.cancel()
            self._apart.discard(future)
            error = future.exception()
            assert error is None or isinstance(error, Exception)
            landed(error)

        future = loop.run_in_executor(self._committing, commit)
        self._apart.add(future)
        future.add_done_callback(over)

    def begin(self, connection: IcapProtocol) -> None:
        """A connection is made."""
        self._connections.add(connection)
        self._count()
        if self._retiring:
            connection.retire()

    def end(self, connection: IcapProtocol) -> None:
        """A connection has ended."""
        # uvloop tells that of one, too, whose handshake failed: `_take` does its part.
        if connection in self._connections:
            self._connections.remove(connection)
            self._ended(connection.peer)

    async def _take(self, connection: socket, peer: Peer, tls: SSLContext | None) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            connection.setblocking(False)
            timeout = self._settings.first_byte_timeout if tls is not None else None
            # With a handshake, the protocol's connection is made only once that has succeeded.
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: IcapProtocol(self, peer), connection, ssl=tls, ssl_handshake_timeout=timeout
            )
        except (OSError, asyncio.CancelledError) as error:
            connection.close()
            if tls is not None and isinstance(error, OSError):
                self.handshake_failed(peer.address, error)
            self._beginnings.discard(task)
            self._ended(peer)
        else:
            self._beginnings.discard(task)
            self._tell_when_empty()

    def _ended(self, peer: Peer) -> None:
        self._left(peer)
        self._count()
        self._tell_when_empty()

    def _tell_when_empty(self) -> None:
        if not self.connections:
            self._emptied.set()

    def _count(self) -> None:
        self.context.metrics.connections.set(len(self._connections))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            now = time.monotonic()
            for connection in tuple(self._connections):
                try:
                    connection.sweep(now, self._settings)
                except Exception as error:
                    abort_defective(connection, error)
