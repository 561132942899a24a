"""Counting by SQL: the same figures on SQLite and on real PostgreSQL."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from audit_records import FINDING, NOON, make_record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.trail import Trail

from icapd.audit.search import Filters
from icapd.audit.stats import By, Count, stats

HOUR = 3_600_000_000
OTHER = replace(FINDING, rule_id="attacks.demo", severity="low", fingerprint="cd" * 16)
RECORDS = (
    make_record(findings=(FINDING, FINDING, OTHER), response_bytes=30, verdict="redacted"),
    # Three equal ones.
    make_record(occurred_at=NOON + HOUR, host="www.example.net", repeats=3, findings=(OTHER,)),
    make_record(occurred_at=NOON + 24 * HOUR, host=None, client_user=None, client_ip=None),
)


@pytest.fixture(scope="module")
def url(kept_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    trail = Trail.make(tmp_path_factory.mktemp("trail"), kept_url)
    trail.write(*RECORDS)
    trail.ship()
    return kept_url


@pytest.mark.parametrize(
    ("by", "filters", "expected"),
    [
        pytest.param(None, Filters(), [Count(None, 5, 6, 630)], id="all"),
        pytest.param(None, Filters(host="nobody"), [Count(None, 0, 0, 0)], id="nothing"),
        pytest.param(
            "host",
            Filters(),
            [
                Count("www.example.net", 3, 3, 360),
                Count("api.example.com", 1, 3, 150),
                Count(None, 1, 0, 120),
            ],
            id="host",
        ),
        pytest.param("user", Filters(), [Count("alice", 4, 6, 510), Count(None, 1, 0, 120)], id="user"),
        pytest.param("client", Filters(user="alice"), [Count("192.0.2.7", 4, 6, 510)], id="client"),
        pytest.param(
            "rule",
            Filters(),
            [Count("attacks.demo", 4, 4, 510), Count("credentials.demo-key", 1, 2, 150)],
            id="rule",
        ),
        pytest.param(
            "rule", Filters(severity="high"), [Count("credentials.demo-key", 1, 2, 150)], id="rule-severity"
        ),
        pytest.param(
            "verdict", Filters(), [Count("allowed", 4, 3, 480), Count("redacted", 1, 3, 150)], id="verdict"
        ),
        pytest.param(
            "verdict", Filters(fingerprint=("ab" * 16,)), [Count("redacted", 1, 2, 150)], id="fingerprint"
        ),
        pytest.param(
            "hour",
            Filters(until=NOON + 2 * HOUR),
            [Count("2026-05-17T10:00Z", 1, 3, 150), Count("2026-05-17T11:00Z", 3, 3, 360)],
            id="hour",
        ),
        pytest.param(
            "day", Filters(), [Count("2026-05-17", 4, 6, 510), Count("2026-05-18", 1, 0, 120)], id="day"
        ),
        pytest.param("day", Filters(since=NOON + 2 * HOUR), [Count("2026-05-18", 1, 0, 120)], id="since"),
        pytest.param("host", Filters(limit=1), [Count("www.example.net", 3, 3, 360)], id="limit"),
    ],
)
def test_counts(url: str, by: By | None, filters: Filters, expected: list[Count]) -> None:
    found = stats(url, by, filters)
    # Where a database puts NULL among equals is its own affair.
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    if by in ("hour", "day"):
        assert found == expected
    assert [count.transactions for count in found] == sorted(
        (count.transactions for count in found), reverse=by not in ("hour", "day")
    ) or by in ("hour", "day")


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.make(tmp_path)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a.example", "b.example", None]), st.integers(1, 1000), st.integers(0, 3)),
        max_size=12,
    )
)
def test_the_sum_over_hosts_is_the_sum_of_all(trail: Trail, rows: list[tuple[str | None, int, int]]) -> None:
    before = _by_host(trail.url)
    trail.write(
        *(
            make_record(host=host, repeats=repeats, findings=(FINDING,) * findings)
            for host, repeats, findings in rows
        )
    )
    trail.ship()
    added: Counter[str | None] = Counter()
    for host, repeats, _ in rows:
        added[host] += repeats
    assert _by_host(trail.url) == before + added
    (total,) = stats(trail.url, None, Filters())
    assert total.transactions == sum(_by_host(trail.url).values())


def _by_host(url: str) -> "Counter[str | None]":
    return Counter({count.of: count.transactions for count in stats(url, "host", Filters())})
