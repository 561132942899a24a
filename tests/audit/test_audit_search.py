"""Reading records back: filters, order and limits, on SQLite and on real PostgreSQL."""

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audit_records import FINDING, NOON, make_record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.trail import Trail

from icapd.audit import AuditRecord
from icapd.audit.search import Filters, search

SECOND = 1_000_000
OTHER_RULE = replace(FINDING, rule_id="attacks.demo", severity="medium", fingerprint="cd" * 16)

PLAIN = make_record(occurred_at=NOON)
#: The answer to PLAIN: same transaction, a moment later.
ANSWER = make_record(
    occurred_at=NOON + 1,
    method_icap="RESPMOD",
    http_status=200,
    verdict="redacted",
    disposition="redacted",
    findings=(FINDING, OTHER_RULE, FINDING),
)
BLOCKED = make_record(
    txn_id="node-2",
    occurred_at=NOON + 60 * SECOND,
    host="www.example.net",
    client_ip="2001:db8::7",
    client_user="bob",
    verdict="blocked",
    disposition="blocked",
    findings=(OTHER_RULE,),
)
#: A head that could not be read has little to tell; and a user who is trouble.
STRANGE = make_record(
    txn_id="node-3",
    occurred_at=NOON + 120 * SECOND,
    http_method=None,
    scheme=None,
    host=None,
    port=None,
    path="\0" + "%" * 5000,
    client_user="o'hara\ud800\\\"%_",
    inspection="error",
    skip_reason="bad-head",
)


@pytest.fixture(scope="module")
def filled_url(kept_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    # Not in the order of time.
    trail = Trail.make(tmp_path_factory.mktemp("trail"), kept_url)
    trail.write(BLOCKED, PLAIN, STRANGE, ANSWER)
    trail.ship()
    return kept_url


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param({}, [STRANGE, BLOCKED, ANSWER, PLAIN], id="everything-newest-first"),
        pytest.param({"limit": 2}, [STRANGE, BLOCKED], id="limit-counts-records-not-findings"),
        pytest.param({"limit": 3}, [STRANGE, BLOCKED, ANSWER], id="limit-keeps-all-findings-of-the-last"),
        pytest.param({"since": NOON + 1}, [STRANGE, BLOCKED, ANSWER], id="since-is-inclusive"),
        pytest.param({"until": NOON + 1}, [PLAIN], id="until-is-exclusive"),
        pytest.param({"since": NOON + 1, "until": NOON + 2}, [ANSWER], id="since-and-until"),
        pytest.param({"host": "www.example.net"}, [BLOCKED], id="host"),
        pytest.param({"host": "%"}, [], id="host-is-no-pattern"),
        pytest.param({"user": "alice"}, [ANSWER, PLAIN], id="user"),
        pytest.param({"user": "o'hara\ufffd\\\"%_"}, [STRANGE], id="user-with-quotes"),
        pytest.param({"client": "2001:db8::7"}, [BLOCKED], id="client"),
        pytest.param({"verdict": "redacted"}, [ANSWER], id="verdict"),
        pytest.param({"rule": "attacks.demo"}, [BLOCKED, ANSWER], id="rule-keeps-the-other-findings"),
        pytest.param({"rule": "credentials.demo-key", "user": "bob"}, [], id="all-filters-must-match"),
        pytest.param({"severity": "critical"}, [ANSWER], id="severity"),
        pytest.param({"severity": "low"}, [BLOCKED, ANSWER], id="severity-at-least"),
        pytest.param({"fingerprint": ("cd" * 16,)}, [BLOCKED, ANSWER], id="fingerprint"),
        pytest.param({"fingerprint": ("x", "cd" * 16)}, [BLOCKED, ANSWER], id="any-of-several-fingerprints"),
        pytest.param({"fingerprint": ("5a17ed00-" + "cd" * 16,)}, [BLOCKED, ANSWER], id="without-its-key"),
        pytest.param({"fingerprint": ("cd" * 16,), "severity": "high"}, [], id="of-one-and-the-same-finding"),
        pytest.param({"rule": "attacks.demo", "since": NOON + 2}, [BLOCKED], id="rule-since"),
        pytest.param({"rule": "attacks.demo", "until": NOON + 2}, [ANSWER], id="rule-until"),
        pytest.param({"rule": "attacks.demo", "limit": 1}, [BLOCKED], id="newest-of-a-rule"),
        pytest.param({"rule": "attacks.demo", "until": NOON + 2, "limit": 1}, [ANSWER], id="and-of-a-time"),
        pytest.param({"rule": "credentials.demo-key", "limit": 2}, [ANSWER], id="found-twice-counts-once"),
        pytest.param({"rule": "attacks.demo", "user": "alice", "limit": 1}, [ANSWER], id="rule-and-user"),
        pytest.param({"fingerprint": "cd" * 16, "severity": "high", "limit": 9}, [], id="one-finding-limit"),
        pytest.param({"txn": "node-2"}, [BLOCKED], id="txn"),
        pytest.param({"txn": BLOCKED.event_id}, [], id="txn-is-no-event"),
        pytest.param({"identity": "node-1"}, [ANSWER, PLAIN], id="both-halves-of-a-transaction"),
        pytest.param({"identity": BLOCKED.event_id}, [BLOCKED], id="event"),
        pytest.param({"identity": BLOCKED.event_id.upper()}, [BLOCKED], id="event-in-capitals"),
        pytest.param({"identity": "nobody"}, [], id="no-such-transaction"),
    ],
)
def test_filters(filled_url: str, filters: dict[str, Any], expected: list[AuditRecord]) -> None:
    found = list(search(filled_url, Filters(**filters)))
    assert [record.event_id for record in found] == [record.event_id for record in expected]
    assert [record.findings for record in found] == [record.findings for record in expected]


def test_every_field_comes_back_as_it_was_stored(filled_url: str) -> None:
    strange, *others = search(filled_url, Filters())
    assert others == [BLOCKED, ANSWER, PLAIN]
    path = "\ufffd" + "%" * 2046 + "…"
    assert strange == replace(STRANGE, path=path, client_user="o'hara\ufffd\\\"%_")


def test_a_search_shows_one_state_while_records_come(tmp_path: Path) -> None:
    trail = Trail.make(tmp_path)
    trail.write(*(make_record() for _ in range(3)))
    trail.ship()
    found = search(trail.url, Filters())
    next(found)
    trail.write(make_record())
    trail.ship()
    assert len(list(found)) == 2
    assert len(trail.records()) == 4


def test_records_stream_in_constant_memory(tmp_path: Path) -> None:
    trail = Trail.make(tmp_path)
    path = "/" + "x" * 2000
    trail.write(*(make_record(path=path, occurred_at=NOON + number) for number in range(3000)))
    trail.ship()
    tracemalloc.start()
    try:
        assert sum(1 for _ in search(trail.url, Filters())) == 3000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The paths alone are 6 MB; a batch of 500 rows is a sixth of that.
    assert peak < 3_000_000


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.make(tmp_path)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(host=st.text(max_size=300), user=st.text(st.characters(exclude_categories=()), max_size=300))
def test_whatever_was_stored_is_found_by_its_stored_value(trail: Trail, host: str, user: str) -> None:
    record = make_record(host=host, client_user=user)
    trail.write(record)
    trail.ship()
    (stored,) = search(trail.url, Filters(identity=record.event_id))
    by_values = search(trail.url, Filters(host=stored.host, user=stored.client_user))
    assert record.event_id in {found.event_id for found in by_values}
