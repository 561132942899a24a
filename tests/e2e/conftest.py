"""One stack for all end-to-end tests; at the end it must have come through them in good health."""

import signal
from collections.abc import Iterator

import pytest
from stack import Stack, running_stack


def pytest_sessionstart() -> None:
    """A run that is told to end, as by a time limit of CI, tears down too: Squid and icapd end with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running
        assert running.failures() == []
