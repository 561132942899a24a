"""Where a conversation stands.

Two small machines run side by side. The **reading** one:

    IDLE --head--> HTTP_HEADS --heads--> BODY --last chunk--> READ
                        \\                 \\--preview's last chunk--> PAUSED --Continue--> BODY
                         \\--no body--> READ

and the **writing** one: SILENT --AdaptedHead--> ADAPTING --AdaptedEnd--> WRITTEN, or SILENT --any other final
reply--> WRITTEN. When both have ended, the next request begins. A final reply may come before the request has
ended (RFC 3507 errata e7): what still arrives of its body is then read and dropped, up to a limit.
"""

from enum import Enum, auto


class Reading(Enum):
    """How far the request has been read."""

    IDLE = auto()
    HTTP_HEADS = auto()
    BODY = auto()
    PAUSED = auto()
    READ = auto()
    CLOSED = auto()


class Writing(Enum):
    """How far the reply has been written."""

    SILENT = auto()
    ADAPTING = auto()
    WRITTEN = auto()
