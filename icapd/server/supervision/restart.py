"""Rolling restart: the supervisor becomes a new program in the same process, with its sockets and workers.

1. A **trial**: the same command line once more, as a child that loads everything as a start would, listens on
   what the settings ask for in addition, and ends. It runs the code and the settings that are there now; what
   it can't do, the new program could not do either, so the restart is refused and nothing has happened.
2. The supervisor writes down what it has (`Estate`) and calls execve(2): same process, same children, new
   program. Connections that come meanwhile wait in the backlogs.
3. The new program starts new workers. Once all of them serve, the old ones end what they have.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Collection
from typing import NoReturn

import msgspec

from icapd.errors import RestartError
from icapd.server.listening.listeners import Setting
from icapd.server.supervision.channel import SUPERVISOR_SIGNALS
from icapd.server.supervision.worker_process import Passport

#: Seconds for a trial; loading and proving all rules takes a second or two.
TRIAL_TIMEOUT = 120.0
#: The option of `icapd serve` with which a trial is begun; its value: what is listened on already.
TRIAL_OPTION = "--trial"
#: The option with which the new program is told where its estate is written.
INHERITED_OPTION = "--inherited"


class Estate(msgspec.Struct, frozen=True):
    """What one supervisor leaves to the next."""

    #: By setting and address: descriptors.
    listeners: list[tuple[Setting, str, list[int]]]
    #: The descriptor of the lock for serving.
    audit_lock: int
    workers: list[Passport]
    #: What ended workers and the supervisors before have counted, as Prometheus text.
    counted: str


async def attempt(held: Collection[tuple[Setting, str]]) -> None:
    """Try whether the new program could start, where `held` is listened on already.

    Raises RestartError, with the program's last words, if it could not.
    """
    try:
        trial = await asyncio.create_subprocess_exec(
            sys.executable,
            *_arguments(TRIAL_OPTION, msgspec.json.encode(list(held)).decode()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise _can_not_begin(error) from None
    try:
        _, output = await asyncio.wait_for(trial.communicate(), TRIAL_TIMEOUT)
    except TimeoutError:
        trial.kill()
        await trial.wait()
        raise RestartError(f"refused: the new program was not ready after {TRIAL_TIMEOUT:.0f} s") from None
    except asyncio.CancelledError:
        trial.kill()
        raise
    if trial.returncode != 0:
        lines = output.decode("utf-8", "replace").strip().splitlines()
        problem = lines[-1].removeprefix("Error: ") if lines else f"exit code {trial.returncode}"
        raise RestartError(f"refused: {problem}")


def replace_program(estate: Estate) -> NoReturn:
    """Become the new program. Raises RestartError when the system does not let us; nothing is lost then."""
    try:
        file = os.memfd_create("icapd-estate", 0)
    except OSError as error:
        raise _can_not_begin(error) from None
    os.write(file, msgspec.json.encode(estate))
    descriptors = [file, estate.audit_lock, *(worker.channel for worker in estate.workers)]
    descriptors += [descriptor for _, _, those in estate.listeners for descriptor in those]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    # As long as no program is there to take them, they would end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISOR_SIGNALS)
    try:
        command = [sys.executable, *_arguments(INHERITED_OPTION, str(file))]
        os.execv(sys.executable, command)  # noqa: S606 (this very command line)
    except OSError as error:
        raise _can_not_begin(error) from None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISOR_SIGNALS)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        os.close(file)


def read_estate(file: int) -> Estate:
    """What the program before has left, by the descriptor that it passed."""
    with os.fdopen(file, "rb") as stream:
        stream.seek(0)
        estate = msgspec.json.decode(stream.read(), type=Estate)
    os.set_inheritable(estate.audit_lock, False)
    return estate


def accept_signals() -> None:
    """Let those in that came while programs changed, now that there are handlers."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISOR_SIGNALS)


def _can_not_begin(error: OSError) -> RestartError:
    # No descriptors, processes or memory left.
    return RestartError(f"refused: the new program can't be started: {error.strerror}")


def _arguments(*options: str) -> list[str]:
    """The command line behind the interpreter, with these options instead of those of an earlier restart."""
    arguments = sys.orig_argv[1:]
    if INHERITED_OPTION in arguments:
        place = arguments.index(INHERITED_OPTION)
        del arguments[place : place + 2]
    return [*arguments, *options]
