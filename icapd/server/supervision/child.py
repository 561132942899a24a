"""What every process that the supervisor starts does first."""

import signal
import socket

from icapd.server.supervision.channel import SUPERVISOR_SIGNALS, WORKER_END, receive
from icapd.server.supervision.messages import Start
from icapd.server.telemetry.logging import configure_logging


def begin() -> tuple[socket.socket, Start] | None:
    """Its end of the channel, and what it is to do; None when the supervisor is gone already.

    From here on it leaves the supervisor's signals to the supervisor, and logs as it was told to.
    """
    for number in SUPERVISOR_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SUPERVISOR_SIGNALS)
    end = socket.socket(fileno=WORKER_END)
    end.set_inheritable(False)
    try:
        start, _ = receive(end)
    except (EOFError, OSError):
        return None
    assert isinstance(start, Start)
    configure_logging(start.log_format, is_worker=True)
    return end, start
