"""What the log of `icapd serve` looks like: lines for people, or JSON for programs, on standard error."""

import sys

import structlog


def configure_logging(log_format: str) -> None:
    """`text` or `json`. Values are ours or already masked; control characters of either kind are escaped."""
    renderer: structlog.typing.Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        # logfmt quotes what needs it, so that no value can forge a line.
        renderer = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
