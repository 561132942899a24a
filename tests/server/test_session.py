"""One session by itself: what it tells of its work."""

import time
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from support import wire
from support.policies import KEY, demo_policy
from support.sessions import Workbench


def test_body_that_is_held_back_is_timed_with_its_inspection(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    bench = Workbench(demo_policy(tmp_path / "rules"), tmp_path)
    body = b'{"text": "%b"}' % ((KEY + b" lorem ipsum dolor ") * 1500)
    request = wire.respmod(wire.OK, wire.chunked(body, ieof=True), Preview="65535")
    session = bench.session()
    began = time.perf_counter()
    for _ in range(5):
        session.receive(request)
    elapsed = time.perf_counter() - began
    bench.close()
    seconds = {
        (sample.name, sample.labels.get("stage")): sample.value
        for family in text_string_to_metric_families(bench.context.metrics.text())
        for sample in family.samples
    }
    assert seconds["icapd_stage_seconds_count", "body"] == 5
    # Nearly all of it is the inspection of so many secrets; taking the body in is a hundredth.
    assert seconds["icapd_stage_seconds_sum", "body"] > elapsed / 4
