"""What stands around a supervisor: control socket, status pages, watch over the rules, signs of life."""

import asyncio
import socket
from collections.abc import Coroutine, Iterable
from pathlib import Path

import structlog

from icapd.configuration import rules_directory
from icapd.server.control.control_server import ControlServer
from icapd.server.control.status_pages import StatusPages
from icapd.server.control.supervision import Supervision
from icapd.server.supervision.notify import Notifier
from icapd.server.supervision.policy_watch import PolicyWatch
from icapd.settings import Settings

log = structlog.get_logger()


class ControlPlane:
    """Starts and ends all that lets people and programs watch and command a server."""

    def __init__(self, settings: Settings) -> None:
        """To be made before the policy is loaded: what changes from here on is noticed."""
        directories = [rules_directory(settings)]
        if settings.policy.shadow:
            directories.append(Path(settings.policy.shadow))
        self._watches = [PolicyWatch(directory) for directory in directories if settings.policy.watch]
        self._servers: list[ControlServer | StatusPages] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(
        self,
        supervision: Supervision,
        notifier: Notifier,
        *,
        control: Iterable[socket.socket],
        http: Iterable[socket.socket],
    ) -> None:
        """`control`, `http`: listening sockets, which are the plane's from here on; their files are not."""
        for listening in control:
            await self._serve(ControlServer(supervision), listening)
        for listening in http:
            await self._serve(StatusPages(supervision), listening)
        for watch in self._watches:
            self._run(watch.run(supervision))
        self._run(notifier.keep_alive(supervision.answers))

    async def stop(self) -> None:
        """End all of it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self._servers:
            await server.stop()

    async def _serve(self, server: ControlServer | StatusPages, listening: socket.socket) -> None:
        await server.start(listening)
        self._servers.append(server)

    def _run(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Traffic goes on without it.
            log.error("internal-error", error=type(error).__name__, problem=str(error))
