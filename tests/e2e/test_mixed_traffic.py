"""Hours of mixed traffic in miniature: `scripts/soak`, short, with the same visits each time."""

import pytest
from soak.mix import WEIGHTS
from soak.soaking import soak

pytestmark = [pytest.mark.squid, pytest.mark.slow, pytest.mark.alone]

SECONDS = 25  # during which new visits begin; the last ones take some more


def test_no_wrong_byte_no_failure_and_a_row_for_every_transaction() -> None:
    result = soak(seed=1, seconds=SECONDS, workers=2)
    assert result.all_problems == []
    assert set(result.ledger.tallies) == {kind.__name__ for kind in WEIGHTS}
    assert result.rows > 600
