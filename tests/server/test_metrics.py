"""What is counted, how workers' counts become one, and that nothing a user sent is among it."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from support import wire
from support.icapd import ICAPD, PATIENCE, ask, serving
from support.places import free_port
from support.policies import RULES, demo_policy

from icapd.audit import AuditRecord
from icapd.audit.record import FindingRecord
from icapd.server.control.supervision import WorkerStatus
from icapd.server.telemetry.labels import CLOSED, FROM_PACKS, OTHER, SKIP_REASONS
from icapd.server.telemetry.merged_metrics import MergedMetrics
from icapd.server.telemetry.metrics import Metrics, SupervisorMetrics

ROOT = Path(__file__).parents[2]


def record(**changes: object) -> AuditRecord:
    values: dict[str, object] = {
        "event_id": "e",
        "txn_id": "t",
        "occurred_at": 1,
        "method_icap": "RESPMOD",
        "verdict": "allowed",
        "disposition": "unmodified",
        "inspection": "complete",
        "policy_digest": "d",
        "latency_us": 400,
    }
    return AuditRecord(**{**values, **changes})  # type: ignore[arg-type]


def samples(text: str) -> dict[str, float]:
    """Every sample, by its name and labels as they are written."""
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def families(text: str) -> Iterator[Metric]:
    # When a counter was made is no metric of ours: merged text does not have it.
    return (family for family in text_string_to_metric_families(text) if not family.name.endswith("_created"))


def test_transaction_is_counted_by_its_record() -> None:
    metrics = Metrics()
    finding = FindingRecord("demo.key", "high", "redact", "body", "KEY-****", "f")
    metrics.observe(record(response_bytes=1000, findings=(finding, finding)))
    metrics.observe(
        record(request_bytes=10, response_bytes=5, skip_reason="media-type", latency_us=2_000_000)
    )
    metrics.observe(record(method_icap="REQMOD", verdict="blocked", disposition="blocked"))
    counted = samples(metrics.text())
    assert counted["icapd_transactions_total{disposition=unmodified,method=RESPMOD,verdict=allowed}"] == 2
    assert counted["icapd_transactions_total{disposition=blocked,method=REQMOD,verdict=blocked}"] == 1
    assert counted["icapd_findings_total{rule=demo.key}"] == 2
    assert counted["icapd_body_bytes_total{method=RESPMOD}"] == 1015
    assert counted["icapd_uninspected_total{method=RESPMOD,reason=media-type}"] == 1
    assert counted["icapd_transaction_seconds_bucket{le=0.0005,method=RESPMOD}"] == 1
    assert counted["icapd_transaction_seconds_bucket{le=1.0,method=RESPMOD}"] == 1
    assert counted["icapd_transaction_seconds_bucket{le=5.0,method=RESPMOD}"] == 2
    assert counted["icapd_transaction_seconds_count{method=RESPMOD}"] == 2
    assert counted["icapd_transaction_seconds_sum{method=RESPMOD}"] == pytest.approx(2.0004)


def test_bucket_holds_what_is_at_most_its_bound() -> None:
    metrics = Metrics()
    for seconds in (0.00005, 0.0001, 0.00010001, 2.0):
        metrics.stage("head").observe(seconds)
    counted = samples(metrics.text())
    assert counted["icapd_stage_seconds_bucket{le=5e-05,stage=head}"] == 1
    assert counted["icapd_stage_seconds_bucket{le=0.0001,stage=head}"] == 2
    assert counted["icapd_stage_seconds_bucket{le=1.0,stage=head}"] == 3
    assert counted["icapd_stage_seconds_bucket{le=+Inf,stage=head}"] == 4


def test_value_of_no_label_is_counted_as_other() -> None:
    metrics = Metrics()
    for number in range(1000):
        metrics.observe(record(skip_reason=f"user-{number}", verdict=f"v{number}"))
    counted = samples(metrics.text())
    assert counted[f"icapd_uninspected_total{{method=RESPMOD,reason={OTHER}}}"] == 1000
    assert (
        counted[f"icapd_transactions_total{{disposition=unmodified,method=RESPMOD,verdict={OTHER}}}"] == 1000
    )
    assert "user-" not in metrics.text()


def test_every_reason_of_the_audit_rows_is_a_label() -> None:
    table = (
        (ROOT / "docs" / "audit.md").read_text("utf-8").partition("| skip_reason |")[2].partition("\n\n")[0]
    )
    documented = {
        word
        for line in table.splitlines()
        for word in re.findall(r"`([a-z-]+)`", line.split("|")[1] if "|" in line else "")
    }
    assert documented - SKIP_REASONS == set()


def test_workers_are_one_server() -> None:
    one, two = Metrics(), Metrics()
    one.options.inc(3)
    two.options.inc(4)
    one.observe(record())
    two.observe(record())
    two.observe(record(method_icap="REQMOD"))
    one.body_memory.set(100)
    two.body_memory.set(50)
    one.queue_oldest.set(0.5)
    two.queue_oldest.set(0.25)
    merged = MergedMetrics()
    merged.update(1, one.text())
    merged.update(2, two.text())
    counted = samples(merged.text())
    assert counted["icapd_options_total{}"] == 7
    assert counted["icapd_transactions_total{disposition=unmodified,method=RESPMOD,verdict=allowed}"] == 2
    assert counted["icapd_transactions_total{disposition=unmodified,method=REQMOD,verdict=allowed}"] == 1
    assert counted["icapd_transaction_seconds_bucket{le=0.0005,method=RESPMOD}"] == 2
    assert counted["icapd_body_memory_bytes{}"] == 150
    assert counted["icapd_queue_oldest_wait_seconds{}"] == 0.5


def test_totals_never_go_backwards_when_workers_end() -> None:
    merged = MergedMetrics()
    seen = 0.0
    for worker in range(5):
        metrics = Metrics()
        for _ in range(3):
            metrics.observe(record())
            metrics.body_memory.set(70)
            merged.update(worker, metrics.text())
            counted = samples(merged.text())
            total = counted["icapd_transaction_seconds_count{method=RESPMOD}"]
            assert total == seen + 1
            seen = total
        merged.retire(worker)
        counted = samples(merged.text())
        assert counted["icapd_transaction_seconds_count{method=RESPMOD}"] == seen
        assert counted["icapd_transaction_seconds_bucket{le=+Inf,method=RESPMOD}"] == seen
        assert "icapd_body_memory_bytes{}" not in counted, "a worker that has ended holds nothing"
    successor = MergedMetrics(merged.ended)
    assert samples(successor.text())["icapd_transaction_seconds_count{method=RESPMOD}"] == seen
    merged.retire("never heard of")


def test_supervisor_counts_workers_by_state() -> None:
    own = SupervisorMetrics()
    workers = [
        WorkerStatus(1, "serving", 4, "t", 0, 0),
        WorkerStatus(2, "serving", 1, "t", 0, 2),
        WorkerStatus(3, "draining", 2, "t", 0, 0),
    ]
    counted = samples(own.text(workers))
    assert [counted[f"icapd_workers{{state={state}}}"] for state in ("serving", "draining", "failed")] == [
        2,
        1,
        0,
    ]
    assert counted["icapd_policy_reloads_total{result=refused}"] == 0


@pytest.mark.parametrize(
    "metrics", [Metrics().text(), SupervisorMetrics().text([])], ids=["worker", "supervisor"]
)
def test_names_follow_the_conventions_and_labels_are_declared(metrics: str) -> None:
    for family in families(metrics):
        assert re.fullmatch(r"icapd_[a-z]+(_[a-z]+)*", family.name)
        assert not family.name.endswith("_total")
        assert family.documentation.endswith(".")
        for sample in family.samples:
            assert set(sample.labels) <= {*CLOSED, *FROM_PACKS, "le"}


@pytest.mark.parametrize(
    "name",
    sorted(
        {
            family.name
            for text in (Metrics().text(), SupervisorMetrics().text([]))
            for family in families(text)
        }
    ),
)
def test_metric_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert f"| `{name}`" in page or f"| `{name}_total`" in page


@pytest.mark.parametrize("label", sorted(CLOSED))
def test_values_of_a_label_are_documented(label: str) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    line = next(line for line in page.splitlines() if line.startswith(f"| `{label}` |"))
    if label != "reason":  # docs/audit.md has those
        for value in CLOSED[label]:
            assert f"`{value}`" in line


# What a hostile client can put anywhere: if any of it were a label's value, this word would be in the text.
SECRET = "S3CRETuserDATA"
_URL = b"https://%b.example/%b?%b=%b" % ((SECRET.encode(),) * 4)
_HTTP = (
    b"%b %b HTTP/1.1\r\nHost: %b.example\r\nX-%b: %b\r\nContent-Type: text/%b\r\nUser-Agent: %b\r\n\r\n"
    % (SECRET.encode(), _URL, *((SECRET.encode(),) * 5))
)
_ANSWER = (
    b"HTTP/1.1 299 %b\r\nContent-Type: application/x-%b; charset=%b\r\nContent-Encoding: %b\r\n%b: %b\r\n\r\n"
    % ((SECRET.encode(),) * 6)
)
_USER = {
    "X-Client-Username": SECRET,
    "X-Client-IP": SECRET,
    "X-Authenticated-Groups": SECRET,
    f"X-{SECRET}": SECRET,
}
_BODY = wire.chunked(b'{"key": "KEY-ABCDEF123456 %b"}' % SECRET.encode(), ieof=True)
HOSTILE = [
    pytest.param(wire.reqmod(_HTTP, _BODY, Preview="1024", Allow="204", **_USER), id="request"),
    pytest.param(wire.reqmod(_HTTP, None, **_USER), id="request without body"),
    pytest.param(wire.respmod(_ANSWER, _BODY, request=_HTTP, Preview="1024", **_USER), id="response"),
    pytest.param(wire.respmod(wire.OK, _BODY, request=_HTTP, path="/stream", **_USER), id="stream"),
    pytest.param(wire.options(f"/{SECRET}"), id="unknown service"),
    pytest.param(wire.reqmod(_HTTP, None).replace(b"REQMOD", SECRET.encode()), id="unknown method"),
    pytest.param(b"%b %b\r\n\r\n" % ((SECRET.encode(),) * 2), id="no ICAP"),
    pytest.param(wire.options().replace(b"ICAP/1.0", b"ICAP/" + SECRET.encode()), id="unknown version"),
    pytest.param(wire.reqmod(_HTTP.replace(b"HTTP/1.1", SECRET.encode())), id="no HTTP"),
    pytest.param(wire.reqmod(_HTTP, b"%b\r\n" % SECRET.encode()), id="no chunk"),
]


def test_no_label_carries_user_data(tmp_path: Path) -> None:
    """Each label of each sample of a real server is of its closed set, or the id of one of its rules."""
    rules = tmp_path / "rules"
    rules.mkdir()
    policy = demo_policy(rules, rules=RULES)
    port = free_port()
    settings = (
        f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "127.0.0.1:{port}"\n[policy]\ndirectory = "rules"\n'
    )
    with serving(tmp_path, settings) as server:
        for case in HOSTILE:
            with server.connect() as connection:
                connection.sendall(case.values[0])
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as page:
            text = page.read().decode()
    assert SECRET.lower() not in text.lower()
    allowed = {**CLOSED, "rule": {rule.id for rule in policy.rules}}
    labels = [
        (name, value)
        for family in families(text)
        for sample in family.samples
        for name, value in sample.labels.items()
        if name != "le"
    ]
    assert [(name, value) for name, value in labels if value not in allowed[name]] == []
    counted = samples(text)
    # The traffic has come through: it was counted, and what is no ICAP too.
    assert counted["icapd_findings_total{rule=demo.key}"] >= 1
    assert (
        sum(count for name, count in counted.items() if name.startswith("icapd_protocol_errors_total")) >= 2
    )


def test_totals_of_a_server_never_go_backwards(tmp_path: Path) -> None:
    """Workers that are replaced or killed take nothing with them that was told before."""
    port = free_port()
    settings = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "127.0.0.1:{port}"\nworkers = 2\n'

    def options() -> float:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as page:
            return samples(page.read().decode())["icapd_options_total{}"]

    def ask_some() -> None:
        for _ in range(6):
            with server.connect() as connection:
                assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")

    with serving(tmp_path, settings) as server:
        ask_some()
        assert options() == 6
        ask_some()
        subprocess.run(
            [ICAPD, "--config", tmp_path / "icapd.toml", "restart"], check=True, capture_output=True
        )
        assert options() == 12, "what the old workers counted at last came with their end, or by asking"
        ask_some()
        assert options() == 18
        status = subprocess.run(
            [ICAPD, "--config", tmp_path / "icapd.toml", "status", "--format", "json"],
            check=True,
            capture_output=True,
        )
        os.kill(json.loads(status.stdout)["workers"][0]["pid"], signal.SIGKILL)
        server.wait_for_log("event=worker-died")
        assert options() == 18
        ask_some()
        assert options() == 24
