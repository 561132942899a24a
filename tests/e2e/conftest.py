"""One stack for all end-to-end tests; at the end it must have come through them in good health."""

from collections.abc import Iterator

import pytest
from stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with running_stack() as running:
        yield running
        assert running.failures() == []
