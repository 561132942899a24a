"""`icapd audit`: formats, filters and ids at the command line."""

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.trail import Trail

from icapd.audit import AuditRecord, FindingRecord, uuid7
from icapd.cli.audit import audit
from icapd.errors import AuditError
from icapd.settings import Audit, Settings

MINUTE = 60_000_000
HIDES_THE_SCREEN = "/\x1b[2J\x9b31m[red]\u202efdp.exe\r\n"


def make_record(minutes_ago: int, **changes: Any) -> AuditRecord:
    values: dict[str, Any] = {
        "event_id": uuid7(),
        "txn_id": "node-1",
        "occurred_at": time.time_ns() // 1000 - minutes_ago * MINUTE,
        "method_icap": "REQMOD",
        "http_method": "GET",
        "scheme": "https",
        "host": "api.example.com",
        "port": 443,
        "path": "/items",
        "client_ip": "192.0.2.7",
        "client_user": "alice",
        "verdict": "allowed",
        "disposition": "unmodified",
        "inspection": "complete",
        "policy_digest": "0" * 64,
        "latency_us": 150,
    }
    return AuditRecord(**(values | changes))


FINDING = FindingRecord("credentials.demo", "high", "redact", "body", "de********", "ab" * 16)
OLD = make_record(180, txn_id="node-2", host="old.example.org", client_ip="192.0.2.8", client_user="bob")
REQUEST = make_record(5)
RESPONSE = make_record(
    4,
    method_icap="RESPMOD",
    verdict="redacted",
    disposition="redacted",
    http_status=200,
    findings=(FINDING, FINDING),
)
HOSTILE = make_record(1, txn_id="node-3", path=HIDES_THE_SCREEN, client_user="[bold]mallory")


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    trail = Trail.make(tmp_path)
    trail.write(OLD, REQUEST, RESPONSE, HOSTILE)
    trail.ship()
    return trail.url


def icapd_audit(database_url: str, *arguments: str) -> Result:
    outbox = Path(database_url.removeprefix("sqlite:///")).parent / "outbox"
    settings = Settings(audit=Trail(outbox, database_url).settings)
    return CliRunner(env={"COLUMNS": "300"}).invoke(audit, arguments, obj=settings)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param([], [HOSTILE, RESPONSE, REQUEST, OLD], id="everything-newest-first"),
        pytest.param(["--since", "2h"], [HOSTILE, RESPONSE, REQUEST], id="since"),
        pytest.param(["--until", "2h"], [OLD], id="until"),
        pytest.param(["--host", "OLD.example.org"], [OLD], id="host-in-any-case"),
        pytest.param(["--fingerprint", "3B1F09AA-" + "AB" * 16], [RESPONSE], id="fingerprint-in-any-case"),
        pytest.param(["--user", "bob"], [OLD], id="user"),
        pytest.param(["--client", "192.0.2.8"], [OLD], id="client"),
        pytest.param(["--rule", "credentials.demo"], [RESPONSE], id="rule"),
        pytest.param(["--verdict", "redacted"], [RESPONSE], id="verdict"),
        pytest.param(["--limit", "2"], [HOSTILE, RESPONSE], id="limit"),
        pytest.param(["--since", "10m", "--host", "old.example.org"], [], id="nothing"),
    ],
)
@pytest.mark.parametrize("format_", ["json", "jsonl"])
def test_search_prints_the_matching_records_as_json(
    database_url: str, options: list[str], expected: list[AuditRecord], format_: str
) -> None:
    result = icapd_audit(database_url, "search", "--format", format_, *options)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    found = json.loads(result.output) if format_ == "json" else [json.loads(line) for line in lines]
    assert [record["event_id"] for record in found] == [record.event_id for record in expected]


@pytest.mark.parametrize("command", [["search"], ["show", "node-1"]], ids=["search", "show"])
def test_csv_has_a_line_for_each_finding(database_url: str, command: list[str]) -> None:
    result = icapd_audit(database_url, *command, "--format", "csv")
    head, *rows = csv.reader(result.output.splitlines())
    found = [dict(zip(head, row, strict=True)) for row in rows]
    of_response = [row for row in found if row["event_id"] == RESPONSE.event_id]
    assert [(row["item_no"], row["rule_id"]) for row in of_response] == [
        ("1", "credentials.demo"),
        ("2", "credentials.demo"),
    ]
    assert {row["event_id"] for row in found} >= {REQUEST.event_id, RESPONSE.event_id}
    assert "\x1b" not in result.output


def test_jsonl_is_ascii_with_times_in_utc_and_findings_inside(database_url: str) -> None:
    result = icapd_audit(database_url, "search", "--format", "jsonl")
    assert result.output.isascii()
    assert "\x1b" not in result.output
    hostile, response, *_ = (json.loads(line) for line in result.output.splitlines())
    assert hostile["path"] == HIDES_THE_SCREEN
    assert response["occurred_at"].endswith("Z")
    assert response["findings"][0] == {
        "rule_id": "credentials.demo",
        "severity": "high",
        "action": "redact",
        "target": "body",
        "excerpt": "de********",
        "fingerprint": "ab" * 16,
    }


@pytest.mark.parametrize("arguments", [["search"], ["show", "node-3"]], ids=["search", "show"])
def test_tables_show_what_a_terminal_would_obey_as_escapes(database_url: str, arguments: list[str]) -> None:
    result = icapd_audit(database_url, *arguments)
    assert result.exit_code == 0
    assert r"/\x1b[2J\x9b31m[red]\u202efdp.exe\r\n" in result.output
    assert "[bold]mallory" in result.output
    assert all(character.isprintable() for character in result.output.replace("\n", ""))


def test_a_table_has_a_row_per_record(database_url: str) -> None:
    lines = icapd_audit(database_url, "search").stdout.splitlines()
    assert len(lines) == 5
    assert lines[2].split()[2:] == [
        *("RESPMOD", "redacted", "200", "192.0.2.7", "alice"),
        *("GET", "https://api.example.com/items", "credentials.demo", "x2"),
    ]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"verdict": "redacted", "findings": (FINDING,)}, "redacted (not done) 192.0.2.7"),
        ({"verdict": "blocked", "disposition": "echoed"}, "blocked (not done)"),
        ({"verdict": "redacted", "disposition": "redacted"}, "redacted 192.0.2.7"),
        (
            {
                "verdict": "blocked",
                "disposition": "blocked",
                "inspection": "skipped",
                "skip_reason": "unknown-coding",
            },
            "(unknown-coding)",
        ),
        ({"verdict": "logged", "findings": (FINDING,), "repeats": 1200}, "demo, (1,200 transactions)"),
    ],
)
def test_a_table_tells_what_was_not_done_and_not_inspected(
    tmp_path: Path, changes: dict[str, Any], shown: str
) -> None:
    trail = Trail.make(tmp_path)
    trail.write(make_record(0, **changes))
    trail.ship()
    assert shown in " ".join(icapd_audit(trail.url, "search", "--limit", "1").stdout.split())


def test_a_full_table_says_that_there_may_be_more(database_url: str) -> None:
    result = icapd_audit(database_url, "search", "--limit", "2")
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr == "the newest 2; --limit N shows more\n"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        pytest.param(
            ["--since", "yesterday"], "--since': 'yesterday' is no time; write a duration", id="since"
        ),
        pytest.param(["--until", "10"], "--until': '10' is no time; write a duration", id="until"),
        pytest.param(["--until", "2h", "--since", "1h"], "is not before --until, ", id="no-time"),
        pytest.param(["--since", "2h", "--until", "2h"], "is not before --until, ", id="no-time-at-all"),
        pytest.param(["--host", "https://me:hush@api.example.com/"], "is no host's name alone", id="url"),
        pytest.param(["--host", "api.example.com:443"], "is no host's name alone", id="port"),
        pytest.param(["--host", "[2001:db8::7]:443"], "leave out scheme, path and port", id="port-of-ipv6"),
        pytest.param(["--fingerprint", "hush-hush"], "is no fingerprint; ", id="fingerprint"),
        pytest.param(["--fingerprint", "ab" * 15], "is no fingerprint", id="short"),
        pytest.param(["--user", ""], "is empty; leave it out to ask for all", id="empty"),
        pytest.param(["--client", ""], "is empty; leave it out to ask for all", id="no-client"),
        pytest.param(["--host", ""], "is empty; leave it out to ask for all", id="no-host"),
        pytest.param(["--verdict", "denied"], "'denied' is not one of 'allowed', 'logged'", id="verdict"),
        pytest.param(["--limit", "0"], "--limit': 0 is not in the range", id="limit"),
        pytest.param(["--format", "xml"], "'xml' is not one of 'table', 'json', 'jsonl'", id="format"),
    ],
)
def test_a_wrong_option_is_a_usage_error(database_url: str, options: list[str], problem: str) -> None:
    result = icapd_audit(database_url, "search", *options)
    assert result.exit_code == 2
    assert problem in result.stderr
    # Somebody may have given the secret itself, or a URL with a password.
    assert "hush" not in result.stderr


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        pytest.param("node-1", [REQUEST, RESPONSE], id="transaction-in-the-order-of-time"),
        pytest.param(OLD.event_id, [OLD], id="event"),
    ],
)
def test_show_prints_all_records_of_an_id(
    database_url: str, identity: str, expected: list[AuditRecord]
) -> None:
    result = icapd_audit(database_url, "show", identity, "--format", "jsonl")
    found = [json.loads(line)["event_id"] for line in result.output.splitlines()]
    assert found == [record.event_id for record in expected]


def test_show_prints_every_field_and_finding(database_url: str) -> None:
    words = icapd_audit(database_url, "show", RESPONSE.event_id).output.split()
    for word in (
        RESPONSE.event_id,
        "node-1",
        "latency_us",
        "150",
        "credentials.demo",
        "de********",
        "ab" * 16,
    ):
        assert word in words


def test_show_of_an_unknown_id_is_a_usage_error(database_url: str) -> None:
    result = icapd_audit(database_url, "show", "node-9")
    assert result.exit_code == 2
    assert "no record has 'node-9' as its txn_id or event_id" in result.stderr


def test_a_missing_database_is_a_configuration_error(tmp_path: Path) -> None:
    result = icapd_audit(f"sqlite:///{tmp_path}/none.db", "search", "--format", "json")
    assert isinstance(result.exception, AuditError)
    assert result.exception.exit_code == 3
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--host", "a\udcff"], id="host that is no UTF-8"),
        pytest.param(["--user", "a\x00"], id="user with a NUL"),
        pytest.param(["--limit", "9223372036854775808"], id="limit beyond every database"),
        pytest.param(["--limit", "0"], id="no limit at all"),
    ],
)
def test_filter_that_no_record_can_meet_is_wrong_usage(arguments: list[str]) -> None:
    settings = Settings(audit=Audit(database_url="sqlite:///nowhere.db"))
    result = CliRunner().invoke(audit, ["search", *arguments], obj=settings)
    assert result.exit_code == 2
    assert arguments[0] in result.output


@pytest.mark.parametrize(
    ("host", "asked"), [("a*b.example.com", "A*b.example.com"), ("2001:db8::7", "[2001:DB8::7]")]
)
def test_whatever_host_is_on_record_can_be_asked_for(tmp_path: Path, host: str, asked: str) -> None:
    trail = Trail.make(tmp_path)
    trail.write(make_record(0, host=host), make_record(0, host="axb.example.com"))
    trail.ship()
    result = icapd_audit(trail.url, "search", "--format", "jsonl", "--host", asked)
    assert [json.loads(line)["host"] for line in result.stdout.splitlines()] == [host]
    assert ("is no pattern" in result.stderr) == ("*" in host)
