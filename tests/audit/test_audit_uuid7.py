"""Event ids: version 7 UUIDs whose order is that of time."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from icapd.audit.uuid7 import layout, uuid7

ANY_RANDOM = st.integers(0, 2**64 - 1)


def test_layout_is_that_of_the_rfc_s_example() -> None:
    # RFC 9562 appendix A.6; 0xCC3 of rand_a are 797,608 ns of the millisecond.
    unix_ns = 0x017F22E279B0 * 1_000_000 + 797_608
    assert layout(unix_ns, 0x18C4DC0C0C07398F) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.integers(0, 2**63), ANY_RANDOM)
def test_version_and_variant_are_always_right(unix_ns: int, random: int) -> None:
    made = uuid.UUID(layout(unix_ns, random))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


@given(st.integers(0, 2**62), st.integers(245, 2**60), ANY_RANDOM, ANY_RANDOM)
def test_a_later_time_sorts_later_whatever_the_random_bits(start: int, gap: int, one: int, two: int) -> None:
    assert layout(start, one) < layout(start + gap, two)


def test_ids_differ() -> None:
    assert len({uuid7() for _ in range(10_000)}) == 10_000
