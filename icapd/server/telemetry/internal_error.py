"""Defects of ours in the log: their kind and their place, never their message, which may quote a body."""

import asyncio
import traceback
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger()


def log_internal_error(error: Exception, txn_id: str = "") -> None:
    """One line; `txn_id`: the transaction in which it happened, where one was under way."""
    log.error("internal-error", txn_id=txn_id, error=type(error).__name__, place=place_of(error))


def log_of_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's handler for what nobody caught; its own one would print the whole traceback."""
    error = context.get("exception")
    if isinstance(error, Exception):
        log_internal_error(error)
    else:
        log.error("internal-error", error=context["message"])


def place_of(error: BaseException) -> str:
    """The file and the line in which it was raised."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(place.filename).name}:{place.lineno}"
