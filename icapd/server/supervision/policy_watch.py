"""Watches the rule directory: changed rules are taken without being asked for ([policy] watch)."""

import asyncio
import contextlib
from pathlib import Path

import structlog
from watchfiles import awatch

from icapd.server.control.supervision import Supervision

log = structlog.get_logger()

#: Milliseconds of silence after which a change counts as complete; a checkout writes its files together.
QUIET = 200
#: Milliseconds after which changes that do not end are looked at all the same.
LONGEST = 2000
#: Milliseconds between two looks when the system reports nothing. It reports on directories, not on names:
#: a directory that takes another one's place, or a link that leads elsewhere, is found by looking.
LOOK = 1000

#: Of each rule file, what changes when it is written or replaced.
_Files = dict[str, tuple[int, int, int, int]]


class PolicyWatch:
    """Has the policy reloaded when the rule files have become others than they were."""

    def __init__(self, directory: Path) -> None:
        """To be made before the policy is loaded for the first time, so that no change falls in between."""
        self._directory = directory
        self._files = _files(directory)

    async def run(self, supervision: Supervision) -> None:
        """Watch until cancelled. What a reload has to say is logged by the one who carries it out."""
        while True:
            watched = _identity(self._directory)
            try:
                changes = awatch(
                    self._directory,
                    watch_filter=None,
                    recursive=False,
                    debounce=LONGEST,
                    step=QUIET,
                    rust_timeout=LOOK,
                    yield_on_timeout=True,
                )
                async with contextlib.aclosing(changes):
                    async for _ in changes:
                        await self._look(supervision)
                        if _identity(self._directory) != watched:
                            break
            except (OSError, RuntimeError):
                # The directory is gone, or the system watches no more of them: looking is enough.
                await asyncio.sleep(LOOK / 1000)
                await self._look(supervision)

    async def _look(self, supervision: Supervision) -> None:
        files = _files(self._directory)
        if files != self._files:
            # Files that change again while they are loaded are looked at again.
            self._files = files
            log.info("rules-changed", directory=str(self._directory))
            await supervision.reload()


def _files(directory: Path) -> _Files:
    files = {}
    with contextlib.suppress(OSError):
        for path in directory.glob("*.toml"):
            # A file that goes away in this moment, or a link to nowhere, is none.
            with contextlib.suppress(OSError):
                status = path.stat()
                files[path.name] = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    return files


def _identity(directory: Path) -> tuple[int, int] | None:
    try:
        status = directory.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
