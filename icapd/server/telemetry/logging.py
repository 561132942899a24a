"""What the server's log looks like: lines for people, or JSON for programs, on standard error."""

import os
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


class _Lossy:
    """A stream that loses what can't be written: a full disk of the log is no reason to cut a connection."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure_logging(log_format: str, *, is_worker: bool = False) -> None:
    """`text` or `json`. Values are ours or already masked; control characters of either kind are escaped.

    A worker's lines say which one it is: all processes of a server share its standard error.
    """
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        # logfmt quotes what needs it, so that no value can forge a line.
        renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        renderer,
    ]
    if is_worker:
        processors.insert(0, _add_worker)
    structlog.configure(
        processors=processors,
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )


def _add_worker(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    event["worker"] = os.getpid()
    return event
