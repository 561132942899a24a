"""When a worker that died is started again."""

import pytest

from icapd.server.supervision.backoff import LONGEST_DELAY, STEADY, deaths_in_a_row, delay


def test_delay_doubles_up_to_the_longest() -> None:
    delays = [delay(deaths) for deaths in range(1, 12)]
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, LONGEST_DELAY, LONGEST_DELAY]
    assert delay(10_000) == LONGEST_DELAY


@pytest.mark.parametrize(("before", "lived", "after"), [(0, 1.0, 1), (4, STEADY - 1, 5), (4, STEADY, 1)])
def test_worker_that_held_out_begins_anew(before: int, lived: float, after: int) -> None:
    assert deaths_in_a_row(before, lived) == after
