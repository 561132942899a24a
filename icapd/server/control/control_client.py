"""The other end of the control socket, for the command line."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from icapd.errors import IcapdError, RestartError, UnreachableError
from icapd.server.control.control_server import Answer, Command, Request, ServerStatus
from icapd.server.control.supervision import ReloadResult
from icapd.server.listening import unix_socket

#: Bytes of an answer: a thousand workers' states are 200 KiB.
MAX_ANSWER = 1024 * 1024
#: Seconds for a question that is answered at once.
QUICK = 10.0
#: Seconds between two looks at a server that restarts.
_PAUSE = 0.1


class NoAnswer(UnreachableError):
    """The server closed the connection without a word, as one does that replaces itself."""


def status(path: Path) -> ServerStatus:
    """The state of the server. Raises UnreachableError."""
    answer = _ask(path, "status", QUICK)
    if answer.status is None:
        raise IcapdError(f"{path}: {answer.problem or 'the answer has no status'}")
    return answer.status


def reload(path: Path, timeout: float) -> ReloadResult:
    """Have the policy read again; whether it was taken is in the result. Raises UnreachableError."""
    answer = _ask(path, "reload", timeout)
    if answer.reload is None:
        raise IcapdError(f"{path}: {answer.problem or 'the answer has no result'}")
    return answer.reload


def restart(path: Path, timeout: float) -> ServerStatus:
    """Have all processes replaced; returns once the new ones serve. Raises RestartError, UnreachableError."""
    deadline = time.monotonic() + timeout
    old = {worker.pid for worker in status(path).workers}
    try:
        answer = _ask(path, "restart", timeout)
        if answer.problem:
            raise RestartError(f"{path}: {answer.problem}; the old processes serve on")
    except NoAnswer:
        # The server that was asked is gone; its successor tells.
        pass
    return _wait(path, deadline, timeout, lambda now: _serves_anew(now, old))


def _wait(path: Path, deadline: float, timeout: float, done: Callable[[ServerStatus], bool]) -> ServerStatus:
    while True:
        try:
            if done(now := status(path)):
                return now
            problem: IcapdError = RestartError(
                f"{path}: the new processes do not serve after {timeout:g} s; "
                "the server's log says why, `icapd status` how far they are"
            )
        except UnreachableError as error:
            problem = error
        if time.monotonic() > deadline:
            raise problem
        time.sleep(_PAUSE)


def _serves_anew(now: ServerStatus, old: set[int]) -> bool:
    current = [worker for worker in now.workers if worker.state != "draining"]
    return bool(current) and all(worker.state == "serving" and worker.pid not in old for worker in current)


def _ask(path: Path, command: Command, timeout: float) -> Answer:
    try:
        with unix_socket.connect(path, timeout) as connection:
            connection.sendall(msgspec.json.encode(Request(command)) + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline(MAX_ANSWER)
    except FileNotFoundError:
        raise UnreachableError(
            f"{path}: no server answers: there is no such socket; is `icapd serve` running with the same "
            "configuration (--config, [server] control)?"
        ) from None
    except ConnectionRefusedError:
        raise UnreachableError(
            f"{path}: no server answers: the one that made this socket has ended; start `icapd serve`"
        ) from None
    except PermissionError:
        raise UnreachableError(
            f"{path}: not allowed: only the user that the server runs as, and root, may command it"
        ) from None
    except TimeoutError:
        raise UnreachableError(
            f"{path}: no answer within {timeout:g} s; the server's log may say why"
        ) from None
    except ConnectionError as error:
        raise NoAnswer(f"{path}: the server ended the connection: {error.strerror}") from None
    except OSError as error:
        raise UnreachableError(f"{path}: can't be asked: {error.strerror}") from None
    if not line:
        raise NoAnswer(f"{path}: the server ended without an answer; its log may say why")
    try:
        return msgspec.json.decode(line, type=Answer)
    except msgspec.MsgspecError as error:
        raise UnreachableError(f"{path}: what answers is no icapd of this version: {error}") from None
