"""One stack for all end-to-end tests; at the end it must have come through them in good health."""

from collections.abc import Iterator

import pytest
from stack import Stack, running_stack

#: What Squid writes into cache.log when it gives up on an ICAP service.
SUSPENDED = ("suspending ICAP service", "essential ICAP service is down", "optional ICAP service is down")


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running
        assert_healthy(running)


def assert_healthy(stack: Stack) -> None:
    """No ICAP transaction failed, so Squid's failure counter is at 0."""
    failed = [transaction for transaction in stack.icap_transactions() if "ERR" in transaction.outcome]
    assert failed == []
    cache_log = "\n".join(stack.log_lines("cache.log"))
    assert not [words for words in SUSPENDED if words in cache_log], cache_log
