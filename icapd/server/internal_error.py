"""Defects of ours in the log: their kind and their place, never their message, which may quote a body."""

import traceback
from pathlib import Path

import structlog

log = structlog.get_logger()


def log_internal_error(error: Exception, txn_id: str = "") -> None:
    """One line; `txn_id`: the transaction in which it happened, where one was under way."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error(
        "internal-error",
        txn_id=txn_id,
        error=type(error).__name__,
        place=f"{Path(place.filename).name}:{place.lineno}",
    )
