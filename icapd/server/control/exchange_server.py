"""Connections of one request and one answer each, bounded in number, size and time."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

#: Seconds in which a request must be there, and in which its answer must be taken.
TIMEOUT = 5.0
#: Connections at one time; as many beyond them are told to come back, others are closed without a word.
MAX_CONNECTIONS = 32
#: Bytes behind a request that are read and dropped: unread ones would reset the connection, and take the
#: answer from the peer (RFC 9112 section 9.6).
MAX_EXCESS = 64 * 1024


# From 3.13 on, a closing server removes the socket's file by the name it was bound by, which may be gone by
# then; whoever bound it removes it.
_KEEP_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}


class ExchangeServer:
    """Reads a request, has it answered, writes the answer, closes."""

    def __init__(
        self,
        answer: Callable[[bytes], Awaitable[bytes]],
        *,
        end: bytes,
        max_size: int,
        busy: bytes,
        too_large: bytes,
    ) -> None:
        """`end` closes a request of up to `max_size` bytes; `busy` and `too_large` are answers."""
        self._answer, self._end, self._max_size = answer, end, max_size
        self._busy, self._too_large = busy, too_large
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        """Serve what connects to this socket, which is bound already."""
        if listening.family == socket.AF_UNIX:
            self._server = await asyncio.start_unix_server(
                self._serve, sock=listening, limit=self._max_size, **_KEEP_FILE
            )
        else:
            self._server = await asyncio.start_server(self._serve, sock=listening, limit=self._max_size)

    async def stop(self) -> None:
        """Take no more connections, and end those that are open, save one that it may be called from."""
        if self._server is not None:
            self._server.close()
        ending = self._connections - {asyncio.current_task()}
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) <= 2 * MAX_CONNECTIONS:
                writer.write(await self._reply(reader))
                async with asyncio.timeout(TIMEOUT):
                    await _close(reader, writer)
        except (OSError, TimeoutError):
            # Gone, silent, or does not read.
            pass
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        if len(self._connections) > MAX_CONNECTIONS:
            return self._busy
        try:
            async with asyncio.timeout(TIMEOUT):
                request = await reader.readuntil(self._end)
        except asyncio.LimitOverrunError:
            return self._too_large
        except asyncio.IncompleteReadError:
            return b""
        return await self._answer(request)


async def _close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say that this is all, and wait until the peer has seen it."""
    await writer.drain()
    writer.write_eof()
    excess = 0
    while excess <= MAX_EXCESS and (data := await reader.read(MAX_EXCESS)):
        excess += len(data)
    writer.close()
    await writer.wait_closed()
