"""When the process that ships looks for records again: a few at a time cost as much as many."""

from pathlib import Path

import msgspec
import pytest
from audit_records import make_record
from support.trail import Trail

from icapd.audit.outbox.file import Mode
from icapd.audit.shipping.shipper import BATCH
from icapd.server.shipping import INTERVAL, STRICT_INTERVAL, Shipping
from icapd.server.supervision.messages import Drain


@pytest.mark.parametrize(
    ("mode", "written", "pauses"),
    [
        # The first looks find nothing but the writer's start, and then nothing.
        pytest.param("durable", [0, 3], [INTERVAL] * 3, id="few"),
        pytest.param("durable", [2 * BATCH + 5], [INTERVAL, 0, 0, INTERVAL], id="many"),
        pytest.param("strict", [0, 3, 0], [0, STRICT_INTERVAL, 0, STRICT_INTERVAL], id="strict"),
    ],
)
def test_the_next_look_comes_at_once_where_more_is_there_or_waited_for(
    tmp_path: Path, mode: Mode, written: list[int], pauses: list[float]
) -> None:
    trail = Trail.make(tmp_path)
    found: list[float] = []
    # It writes in the place of a worker, and waits for nobody.
    with trail.writer(mode="relaxed") as writer:

        def wait(seconds: float) -> Drain | None:
            found.append(seconds)
            if len(found) == len(pauses):
                return Drain(60, retire=False)
            if len(found) <= len(written):
                for _ in range(written[len(found) - 1]):
                    writer.write(make_record())
            return None

        Shipping(msgspec.structs.replace(trail.settings, mode=mode), lambda _: None).run(wait)
    assert found == pauses
    assert trail.rows("SELECT count(*) FROM audit_event") == [(sum(written),)]
