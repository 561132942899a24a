"""Whether this process can have a descriptor more, and word of it in the log when it can't."""

import os

import structlog

from icapd.server.telemetry.log_limit import LogLimit

log = structlog.get_logger()

#: Seconds between two looks whether others have given something back.
PAUSE = 1.0


class Room:
    """For one who is about to be given a descriptor: what comes when there is no room is lost (unix(7))."""

    def __init__(self) -> None:
        self._log_limit = LogLimit()

    def is_there(self, descriptor: int) -> bool:
        """Whether one more can be had; `descriptor`: any that is open."""
        try:
            os.close(os.dup(descriptor))
        except OSError as error:
            if self._log_limit.admits(error.errno):
                log.error(
                    "connections-wait",
                    problem=error.strerror,
                    remedy="raise ulimit -n (systemd: LimitNOFILE), or lower [server] max_connections",
                )
            return False
        return True
