"""The control socket: one JSON line asks, one JSON line answers (`icapd reload`, `restart`, `status`)."""

import os
import socket
from typing import Literal

import msgspec
import structlog

from icapd import __version__
from icapd.errors import RestartError
from icapd.server.control.exchange_server import ExchangeServer
from icapd.server.control.supervision import ReloadResult, Supervision, WorkerStatus

log = structlog.get_logger()

Command = Literal["reload", "restart", "status"]

#: Bytes of a request; the longest command takes 22.
MAX_REQUEST = 4096


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a line to the server says."""

    command: Command


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `icapd status` shows."""

    #: Of the supervisor.
    pid: int
    version: str
    #: Why no traffic should come now; None when it may.
    unready: str | None
    listeners: list[str]
    workers: list[WorkerStatus]
    #: What a person should see to though traffic is served.
    remarks: list[str] = []


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a line from the server says."""

    #: Why it was not done; "" when it was.
    problem: str = ""
    reload: ReloadResult | None = None
    status: ServerStatus | None = None


class ControlServer:
    """Lets those who may open the socket's file, the server's own user and root, command the server."""

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision
        self._exchanges = ExchangeServer(
            self._answer,
            end=b"\n",
            max_size=MAX_REQUEST,
            busy=_line(Answer(problem="too many commands at one time; try again")),
            too_large=_line(Answer(problem=f"a command has at most {MAX_REQUEST} bytes")),
        )

    async def start(self, listening: socket.socket) -> None:
        """Serve what connects to this socket, which is bound already; its file is the caller's."""
        await self._exchanges.start(listening)

    async def stop(self) -> None:
        """Answer no more."""
        await self._exchanges.stop()

    async def _answer(self, line: bytes) -> bytes:
        try:
            request = msgspec.json.decode(line, type=Request)
        except msgspec.MsgspecError as error:
            return _line(Answer(problem=f"not a command: {error}"))
        if request.command != "status":
            log.info("command", command=request.command)
        try:
            return _line(await self._carry_out(request.command))
        except RestartError as error:
            return _line(Answer(problem=str(error)))

    async def _carry_out(self, command: Command) -> Answer:
        match command:
            case "reload":
                result = await self._supervision.reload()
                return Answer(problem=result.problem, reload=result)
            case "restart":
                await self._supervision.restart()
                return Answer(status=self._status())
            case "status":
                return Answer(status=self._status())

    def _status(self) -> ServerStatus:
        return ServerStatus(
            pid=os.getpid(),
            version=__version__,
            unready=self._supervision.unready(),
            listeners=self._supervision.listeners(),
            workers=self._supervision.status(),
            remarks=self._supervision.remarks(),
        )


def _line(answer: Answer) -> bytes:
    return msgspec.json.encode(answer) + b"\n"
