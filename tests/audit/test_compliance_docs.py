"""docs/compliance.md: every block of SQL runs on each database, and tells what is in the trail."""

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from audit_records import FINDING, NOON, make_record
from sqlalchemy import inspect, text
from support.trail import Trail

from icapd.audit.database import Database
from icapd.audit.reads import on_record
from icapd.audit.tables import VIEWS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "compliance.md").read_text("utf-8")
#: (the question, in bold above it; the SQL)
QUESTIONS = re.findall(
    r"^\*\*([^*]+)\*\*[^`]*?(?:`[^`\n]+`[^`]*?)*```sql\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL
)
MINUTE = 60_000_000

CARD = replace(FINDING, rule_id="pii.payment-card", severity="high", fingerprint="cc" * 16)
#: Was noted, and went on its way with the rest of a message in which another was redacted.
NOTED = replace(CARD, action="log", fingerprint="dd" * 16)
ATTACK = replace(FINDING, rule_id="attacks.command", severity="high", action="block", fingerprint="")
MCP = {"host": "mcp.example.net", "path": "/v1/mcp", "client_user": "bob", "client_ip": "192.0.2.8"}
RECORDS = (
    make_record(verdict="redacted", disposition="redacted", findings=(FINDING, FINDING)),
    # The same secret to another place; and let through, four times.
    make_record(**MCP, repeats=4, verdict="logged", findings=(FINDING,), occurred_at=NOON + MINUTE),
    make_record(
        method_icap="RESPMOD",
        http_status=200,
        response_bytes=500,
        verdict="redacted",
        disposition="redacted",
        findings=(CARD, NOTED),
        occurred_at=NOON + 2 * MINUTE,
    ),
    # What it was cut for did not get through.
    make_record(
        method_icap="RESPMOD",
        verdict="blocked",
        disposition="cut",
        findings=(replace(CARD, action="block", fingerprint="ee" * 16),),
        occurred_at=NOON + 2 * MINUTE + 1,
    ),
    make_record(findings=(CARD,), verdict="logged", scheme="http", occurred_at=NOON + 3 * MINUTE),
    make_record(
        **MCP, verdict="blocked", disposition="blocked", findings=(ATTACK,), occurred_at=NOON + 4 * MINUTE
    ),
    make_record(
        client_user=None,
        host="cdn.example.org",
        disposition="bypassed",
        inspection="error",
        skip_reason="internal-error",
        response_bytes=9000,
        occurred_at=NOON + 5 * MINUTE,
    ),
    # Before: what is older than it may be.
    make_record(occurred_at=NOON - 30 * 24 * 60 * MINUTE, policy_digest="1" * 64),
    # By a clock that is far ahead.
    make_record(occurred_at=4_102_444_800_000_000, host="future.example.org", client_user="carol"),
)

#: What the beginning of a question -> rows of its answer, or what some columns have to hold.
ANSWERS: dict[str, list[dict[str, Any]]] = {
    "3.5.1": [
        {"host": "api.example.com", "method_icap": "REQMOD", "found": 1, "rewritten_or_stopped": 0},
        {"host": "api.example.com", "method_icap": "RESPMOD", "found": 3, "rewritten_or_stopped": 2},
    ],
    "6.4.2": [{"rule_id": "attacks.command", "host": "mcp.example.net", "found": 1, "prevented": 1}],
    "10.2.1:": [
        *[{"rule_id": "credentials.demo-key", "disposition": "redacted"}] * 2,
        *[{"rule_id": "pii.payment-card", "disposition": "redacted"}] * 2,
        {"rule_id": "pii.payment-card", "disposition": "cut"},
        {"rule_id": "pii.payment-card", "disposition": "unmodified"},
    ],
    "10.2.1.3": [{"command": "search", "asked": '{"user":"alice"}', "row_count": 5}],
    "10.2.1.6": [{"action": action} for action in ("start", "gap", "purge-begin", "stop")],
    "10.6": [{"action": "clock-step"}, {"action": "ahead-of-the-database"}],
    "10.7.2 as": [{"action": "gap"}, {"action": "outbox-filling"}],
    "10.7.2:": [{"inspection": "error", "skip_reason": "internal-error", "transactions": 1}],
    "10.5.1": [{"days": 3, "transactions": 12}],
    "Article 5(1)(f)": [
        {"host": "api.example.com", "rule_id": "pii.payment-card", "disposition": "unmodified", "findings": 1}
    ],
    "Article 15:": [{"client_user": "alice"}] * 5,
    "Article 15 as": [{"host": "cdn.example.org", "client_ip": "192.0.2.7"}],
    "Article 17": [{"records": 7, "dead_letters": 0, "administrative_rows": 2}],
    "Article 33": [
        {"host": "mcp.example.net", "fingerprint": "ab" * 16, "times": 4, "users": 1},
        {"host": "api.example.com", "fingerprint": "dd" * 16, "times": 1},
        {"host": "api.example.com", "fingerprint": "cc" * 16, "times": 1},
    ],
    "Article 5(1)(e)": [{"transactions": 1}],
    "164.312(b)": [{"missing": 0, "ended": "stop", "shipped_seq": 16}, {"missing": 0, "shipped_seq": 4}],
    "164.308": [{"client_user": "alice", "findings": 6}, {"client_user": "bob", "findings": 5}],
    "164.312(a)": [{"host": "cdn.example.org", "client_ip": "192.0.2.7", "transactions": 1}],
    "164.312(e)": [{"host": "api.example.com", "transactions": 1, "bytes": 120}],
    "MCP01, token": [
        {"host": "mcp.example.net", "rule_id": "credentials.demo-key", "secrets": 1, "times": 4}
    ],
    "MCP01 as well": [{"fingerprint": "ab" * 16, "hosts": 2, "users": 2}],
    "MCP05": [{"client_user": "bob", "rule_id": "attacks.command", "disposition": "blocked"}],
    "MCP08": [{"host": "cdn.example.org", "transactions": 1, "bytes": 9120}],
    "MCP09": [{"host": "mcp.example.net", "users": 1, "transactions": 5}],
    "MCP10": [{"host": "mcp.example.net", "client_user": "bob", "requests": 5, "bytes_sent": 600}],
    "Who changed": [{"action": "policy-taken"}],
    "Which policy": [
        {"policy_digest": "1" * 64, "transactions": 1},
        {"policy_digest": "0" * 64, "transactions": 11},
    ],
}


@pytest.fixture(scope="module")
def filled(kept_url: str, tmp_path_factory: pytest.TempPathFactory) -> Trail:
    trail = Trail.make(tmp_path_factory.mktemp("trail"), kept_url)
    with trail.writer(role="worker") as writer:
        for record in RECORDS:
            writer.write(record)
        writer.note("policy-taken", {"before": "1" * 64, "after": "0" * 64})
        writer.note("clock-step", {"seconds": 3600.0})
        writer.note("gap", {"since": NOON, "until": NOON + MINUTE, "attempts": 3, "problem": "disk full"})
        writer.note("outbox-filling", {"bytes": 80, "limit": 100})
        writer.note("purge-begin", {"user": "root"})
    trail.ship()
    with on_record(trail.outbox, "relaxed", "search", {"user": "alice"}) as read:
        read.rows = 5
    trail.ship()
    return trail


def test_every_block_has_its_question_and_every_question_its_answer() -> None:
    assert len(QUESTIONS) == PAGE.count("```sql")
    for question, _ in QUESTIONS:
        assert len([begin for begin in ANSWERS if question.startswith(begin)]) == 1, question
    assert len(QUESTIONS) == len(ANSWERS)


def plain(value: object) -> object:
    """Sums are decimal numbers in some databases, and one writes JSON with blanks."""
    if isinstance(value, str) and value.startswith("{"):
        return value.replace('": ', '":')
    return int(value) if isinstance(value, Decimal) else value


def test_each_answer_tells_what_is_in_the_trail(filled: Trail) -> None:
    with Database.parse(filled.url).read() as connection:
        for question, sql in QUESTIONS:
            (expected,) = (rows for begin, rows in ANSWERS.items() if question.startswith(begin))
            found = [
                {name: plain(value) for name, value in row._mapping.items()}
                for row in connection.execute(text(sql))
            ]
            assert len(found) == len(expected), (question, found)
            for row, wanted in zip(found, expected, strict=True):
                assert row | wanted == row, (question, found)


def test_every_view_is_there_and_on_the_page(filled: Trail) -> None:
    with Database.parse(filled.url).read() as connection:
        assert set(inspect(connection).get_view_names()) == VIEWS
        for view in VIEWS:
            columns = {column["name"] for column in inspect(connection).get_columns(view)}
            assert f"| `{view}` |" in PAGE
            assert columns


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_a_view_of_an_empty_trail_is_empty(empty_url: str, tmp_path: Path, view: str) -> None:
    trail = Trail.make(tmp_path, empty_url)
    assert trail.rows(f"SELECT * FROM {view}") == []
