"""What is told about the policy in force: refusals and since when, exceptions and their ends."""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from support.adapting import catalogue_of
from support.policies import RULES

from icapd.policy import load_policy
from icapd.policy.expiry import expiry_of
from icapd.server.control.supervision import ReloadResult
from icapd.server.equipment import Prepared
from icapd.server.supervision.messages import Started
from icapd.server.supervision.policy_ledger import PolicyLedger
from icapd.server.supervision.policy_state import PolicyState
from icapd.server.supervision.policy_summary import state_of
from icapd.server.telemetry.metrics import SupervisorMetrics

DAY = 86400.0


def started(digest: str = "d", **state: object) -> Started:
    return Started("istag", ("demo",), "enforce", PolicyState(digest, **state))  # type: ignore[arg-type]


TAKEN = ReloadResult(True, "istag", ("demo",), "enforce")
REFUSED = ReloadResult(False, "istag", ("demo",), "enforce", "rules/demo.toml: not\nTOML")


def metric(metrics: SupervisorMetrics, name: str) -> float:
    (line,) = (line for line in metrics.text([]).splitlines() if line.startswith(name))
    return float(line.rpartition(" ")[2])


def test_refusal_is_told_until_the_files_are_mended() -> None:
    metrics = SupervisorMetrics()
    ledger = PolicyLedger(metrics)
    ledger.in_force(started("one"))
    assert (ledger.remarks, metric(metrics, "icapd_policy_refused_since_seconds")) == ([], 0)
    note = ledger.reloaded(REFUSED, started("one"))
    assert (note.action, note.detail) == ("policy-refused", {"still": "one", "problem": REFUSED.problem})
    since = metric(metrics, "icapd_policy_refused_since_seconds")
    assert 0 <= time.time() - since < DAY
    (remark,) = ledger.remarks
    when = datetime.fromtimestamp(since, UTC)
    assert (
        remark
        == f"the rule files on disk are refused since {when:%Y-%m-%dT%H:%M:%SZ}: rules/demo.toml: not TOML"
    )
    ledger.reloaded(REFUSED, started("one"))
    assert metric(metrics, "icapd_policy_refused_since_seconds") == since, "since the first one"
    note = ledger.reloaded(TAKEN, started("two"))
    assert (note.action, note.detail) == ("policy-taken", {"before": "one", "after": "two"})
    assert (ledger.remarks, metric(metrics, "icapd_policy_refused_since_seconds")) == ([], 0)


def test_long_problem_is_shortened() -> None:
    ledger = PolicyLedger(SupervisorMetrics())
    note = ledger.reloaded(ReloadResult(False, "", (), "", "x" * 5000), None)
    assert len(note.detail["problem"]) <= 1000


def test_exceptions_are_counted_as_time_passes() -> None:
    now = time.time()
    state = PolicyState("d", (now - 1, now + DAY, now + 30 * DAY), expired=2, notice=14 * DAY)
    assert state.count(now) == {"active": 2, "ending": 1, "expired": 3}
    assert state.count(now + 31 * DAY) == {"active": 0, "ending": 0, "expired": 5}
    metrics = SupervisorMetrics()
    PolicyLedger(metrics).in_force(started(ends=state.ends, expired=2, notice=state.notice))
    for expiry, count in state.count(now).items():
        assert metric(metrics, f'icapd_policy_exceptions{{expiry="{expiry}"}}') == count


def test_policy_is_loaded_anew_once_for_each_end() -> None:
    now = time.time()
    ledger = PolicyLedger(SupervisorMetrics())
    ledger.in_force(started(ends=(now - 5, now + 10, now + 20)))
    assert [ledger.is_due(now + later) for later in (0, 9, 11, 12, 19, 21, 22)] == [
        False,
        False,
        True,
        False,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("days", "active", "line"),
    [
        pytest.param(-1, 0, "expired on"),
        pytest.param(0, 1, "in 0 days"),
        pytest.param(14, 1, "in 14 days"),
        pytest.param(15, 1, ""),
    ],
)
def test_what_ends_is_reported_beforehand(tmp_path: Path, days: int, active: int, line: str) -> None:
    today = datetime.now(UTC).date()
    expires = today + timedelta(days=days)
    (tmp_path / "demo.toml").write_text(RULES)
    (tmp_path / "policy.toml").write_text(
        'packs = ["demo"]\n[[exception]]\nrules = ["demo.key"]\nhosts = ["a"]\nreason = "a test"\n'
        'owner = "ann"\n'
        f"expires = {expires}\n"
    )
    policy = load_policy(tmp_path, today=today)
    expiry = expiry_of(policy, today)
    assert expiry.active == active
    assert bool(expiry.lines) == bool(line)
    if line:
        (told,) = expiry.lines
        assert line in told and "exception #1 for demo.key (ann: a test)" in told
    catalogue = catalogue_of(policy)
    assert state_of(Prepared(catalogue)).lines == expiry.lines
    assert expiry_of(policy, date(9999, 1, 1)).expired, "on another day it is another answer"
