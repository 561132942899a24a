"""Squid ends each transaction whose body flows, wherever in its reads the end of our reply comes."""

import pytest
from stack import Stack
from support.icapd import until

pytestmark = pytest.mark.squid

#: Where a reply's end was seen to come around the end of a full read of Squid's, in small steps.
SIZES = range(294_600, 295_000, 4)


def test_every_flow_is_logged(stack: Stack) -> None:
    """One that is not logged has not ended, and has its connection still (`[services] verdict_trailer`)."""
    before = responses(stack)
    with stack.session() as session:
        for size in SIZES:
            assert len(session.get(stack.url(f"/download?text/plain&{size}")).content) == size
    until(lambda: responses(stack) == before + len(SIZES))


def responses(stack: Stack) -> int:
    return sum(each.method == "RESPMOD" for each in stack.icap_transactions())
