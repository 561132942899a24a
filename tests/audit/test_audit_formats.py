"""What an export looks like, with values that would be commands elsewhere."""

import csv
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from audit_records import FINDING, NOON, make_record
from hypothesis import given
from hypothesis import strategies as st

from icapd.audit import AuditRecord, instants
from icapd.audit.formats import cef, ecs, flat, ocsf
from icapd.audit.formats.text import cell, printable
from icapd.audit.stored import StoredEvent

#: Ends fields, values and lines of each format, and moves the cursor of a terminal.
HOSTILE = "a|b=c\\d\nCEF:0|x|y|1|forged|forged|10|act=allowed\r\x1b[2J\x00\u2028\u202e\"',;"

EVENT = "0196de3c-0000-7000-8000-000000000001"


def stored(**changes: Any) -> StoredEvent:
    return StoredEvent(
        writer_id=2**62 + 1,
        writer_seq=7,
        node="proxy-1",
        subject_salt=b"\x01" * 16,
        subject_commitment=b"\x02" * 32,
        chain=b"\x03" * 32,
        recorded_at=NOON + 1_500_000,
        record=make_record(**({"event_id": EVENT} | changes)),
    )


def parsed_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """The header's fields and the extension's values, as a reader of CEF takes them."""
    *header, extension = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    fields = [re.sub(r"\\(.)", r"\1", field) for field in header]
    pairs = re.findall(r"(\w+)=((?:\\.|[^\\=])*?)(?= \w+=|$)", extension)
    ends = {"n": "\n", "r": "\r"}
    values = {key: re.sub(r"\\(.)", lambda m: ends.get(m[1], m[1]), value) for key, value in pairs}
    return fields, values


def test_cef_of_a_finding() -> None:
    (line,) = cef.lines(stored(findings=(FINDING,), verdict="redacted", disposition="redacted"))
    header, values = parsed_cef(line)
    assert header[:3] + header[4:] == [
        *("CEF:0", "icapd", "icapd"),
        *("credentials.demo-key", "credentials.demo-key in body", "10"),
    ]
    expected = {
        "rt": str(NOON // 1000),
        "src": "192.0.2.7",
        "suser": "alice",
        "dhost": "api.example.com",
        "requestMethod": "POST",
        "request": "https://api.example.com:443/v1/items?page=2",
        "act": "redacted",
        "outcome": "modified",
        "cnt": "1",
        "cn1Label": "writer_seq",
        "cn1": "7",
        "cs1Label": "excerpt",
        "cs1": "de**********",
        "cs2": "ab" * 16,
        "cs3": "node-1",
        "cs4": str(2**62 + 1),
        "cs5": "03" * 32,
    }
    assert values | expected == values


def test_cef_of_a_record_without_findings_and_of_one_that_is_hardly_known() -> None:
    (line,) = cef.lines(stored(client_ip="2001:db8::7"))
    header, values = parsed_cef(line)
    assert header[4:] == ["allowed", "HTTP message allowed", "0"]
    assert (values["c6a2"], values["c6a2Label"]) == ("2001:db8::7", "Source IPv6 Address")
    (line,) = cef.lines(stored(host=None, path=None, client_ip=None, client_user=None, http_method=None))
    _, values = parsed_cef(line)
    assert not {"src", "shost", "suser", "dhost", "request", "requestMethod"} & set(values)


@pytest.mark.parametrize("field", ["client_user", "path", "host", "client_ip", "http_method", "skip_reason"])
def test_nothing_breaks_out_of_a_value_of_cef(field: str) -> None:
    plain, hostile = ([*cef.lines(stored(**{field: value}))] for value in ("plain", HOSTILE))
    assert len(hostile) == len(plain) == 1
    assert hostile[0].isprintable()
    (plain_header, plain_values), (header, values) = parsed_cef(plain[0]), parsed_cef(hostile[0])
    assert header == plain_header
    assert values.keys() == plain_values.keys()
    changed = {key for key in values if values[key] != plain_values[key]}
    assert 1 <= len(changed) <= 2
    # Read back, it is what it was, but for what is not printed.
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\x00", "\\x00").replace("\u2028", "\\u2028")
    assert all(shown.replace("\u202e", "\\u202e") in values[key] for key in changed)


def test_nothing_breaks_out_of_the_header_of_cef() -> None:
    finding = replace(FINDING, rule_id="a|b\\|c\n=", target="header:x|y", severity=HOSTILE)
    (line,) = cef.lines(stored(findings=(finding,)))
    assert line.isprintable()
    header, _ = parsed_cef(line)
    assert header[4:] == ["a|b\\|c\\n=", "a|b\\|c\\n= in header:x|y", "0"]


@given(st.text(), st.text())
def test_any_text_stays_within_its_value_of_cef(user: str, excerpt: str) -> None:
    (line,) = cef.lines(stored(client_user=user or "x", findings=(replace(FINDING, excerpt=excerpt or "x"),)))
    assert line.isprintable()
    _, values = parsed_cef(line)
    (usual_line,) = cef.lines(stored(findings=(FINDING,)))
    _, usual = parsed_cef(usual_line)
    assert values.keys() == usual.keys()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\t=1", "\\t=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a=1", "a=1"),
        ("", ""),
        ("a\r\nb\x1b", "a\\r\\nb\\x1b"),
    ],
)
def test_a_cell_is_no_formula(text: str, shown: str) -> None:
    assert cell(text) == shown


def test_csv_has_a_line_for_each_finding_and_one_for_a_record_without() -> None:
    two = stored(findings=(FINDING, replace(FINDING, rule_id="=cmd|'/c calc'!A1")), client_user='a"b,c')
    lines = [flat.csv_line(flat.COLUMNS), *flat.csv_lines(two), *flat.csv_lines(stored())]
    rows = list(csv.DictReader(lines))
    assert [row["item_no"] for row in rows] == ["1", "2", ""]
    assert [row["rule_id"] for row in rows] == ["credentials.demo-key", "'=cmd|'/c calc'!A1", ""]
    assert rows[0]["client_user"] == 'a"b,c'
    assert rows[0]["occurred_at"] == instants.iso(NOON)
    assert (rows[0]["writer_id"], rows[0]["node"]) == (str(2**62 + 1), "proxy-1")


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_cells_are_one_line_of_csv(values: list[str]) -> None:
    line = flat.csv_line(values)
    assert line.isprintable()
    (row,) = csv.reader([line])
    assert row == [cell(value) for value in values]
    assert not any(text.lstrip().startswith(("=", "+", "-", "@")) for text in row)


def test_a_json_line_has_every_column_and_only_ascii() -> None:
    line = flat.json_line(flat.plain_row(stored(path=HOSTILE, findings=(FINDING,))))
    assert line.isascii() and line.isprintable()
    row = json.loads(line)
    assert row["path"] == HOSTILE
    assert (row["table"], row["writer_id"], row["writer_seq"]) == ("audit_event", 2**62 + 1, 7)
    assert (row["subject_salt"], row["subject_commitment"], row["chain"]) == ("01" * 16, "02" * 32, "03" * 32)
    assert (row["occurred_at"], row["recorded_at"]) == (
        "2026-05-17T10:00:00.000000Z",
        "2026-05-17T10:00:01.500000Z",
    )
    assert row["repeats"] == 1
    assert row["findings"][0]["rule_id"] == "credentials.demo-key"


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        pytest.param({}, (1, 1), id="allowed"),
        pytest.param({"verdict": "blocked", "disposition": "blocked"}, (2, 2), id="blocked"),
        pytest.param({"verdict": "redacted", "disposition": "redacted"}, (4, 11), id="redacted"),
        pytest.param({"disposition": "normalised"}, (4, 11), id="normalised"),
        pytest.param({"verdict": "logged", "disposition": "unmodified"}, (3, 15), id="logged"),
        pytest.param({"verdict": "blocked", "disposition": "echoed"}, (3, 15), id="monitor"),
        pytest.param({"verdict": "blocked", "disposition": "cut"}, (2, 2), id="cut-by-verdict"),
        pytest.param({"disposition": "cut"}, (99, 27), id="cut"),
        pytest.param({"disposition": "bypassed"}, (99, 27), id="bypassed"),
        pytest.param({"disposition": "failed"}, (99, 27), id="failed"),
    ],
)
def test_ocsf_says_what_was_done(changes: dict[str, Any], ids: tuple[int, int]) -> None:
    event = ocsf.http_activity(stored(**changes))
    assert (event["action_id"], event["disposition_id"]) == ids


@pytest.mark.parametrize(
    ("method", "activity"),
    [("GET", 3), ("POST", 6), ("CONNECT", 1), ("PATCH", 9), ("get", 3), ("BREW", 99), (None, 0)],
)
def test_ocsf_knows_the_method(method: str | None, activity: int) -> None:
    event = ocsf.http_activity(stored(http_method=method))
    assert (event["activity_id"], event["type_uid"]) == (activity, 400200 + activity)


def test_ocsf_of_a_transaction_and_its_findings() -> None:
    card = replace(FINDING, rule_id="pii.payment-card", severity="high")
    attack = replace(FINDING, rule_id="attacks.sql", severity="low")
    lines = [*ocsf.lines(stored(findings=(FINDING, card, attack), client_user=HOSTILE))]
    assert all(line.isascii() and line.isprintable() for line in lines)
    transaction, *findings = map(json.loads, lines)
    assert (transaction["class_uid"], transaction["category_uid"], transaction["severity_id"]) == (4002, 4, 5)
    assert transaction["metadata"]["version"] == "1.7.0"
    assert transaction["metadata"]["sequence"] == 7
    assert transaction["time"] == NOON // 1000
    assert transaction["src_endpoint"] == {"ip": "192.0.2.7"}
    assert transaction["actor"] == {"user": {"name": HOSTILE}}
    assert transaction["unmapped"]["chain"] == "03" * 32
    assert [one["class_uid"] for one in findings] == [2006] * 3
    assert [one["type_uid"] for one in findings] == [200601] * 3
    assert [one["data_security"]["category_id"] for one in findings] == [6, 3, 99]
    assert [one["severity_id"] for one in findings] == [5, 4, 2]
    assert {one["data_security"]["detection_system_id"] for one in findings} == {5}
    assert findings[0]["finding_info"]["related_events"][0]["uid"] == transaction["metadata"]["uid"]
    assert len({one["metadata"]["uid"] for one in findings}) == 3


def test_ecs_of_a_record() -> None:
    line = ecs.line(
        stored(findings=(FINDING,), verdict="blocked", disposition="blocked", http_status=403, path=HOSTILE)
    )
    assert line.isascii() and line.isprintable()
    document = json.loads(line)
    assert document["@timestamp"] == "2026-05-17T10:00:00.000000Z"
    event = document["event"]
    assert (event["kind"], event["type"], event["action"], event["outcome"]) == (
        *("alert", ["access", "denied"]),
        *("blocked", "success"),
    )
    assert (event["sequence"], event["hash"], event["duration"]) == (7, "03" * 32, 150_000)
    assert document["rule"] == {"id": ["credentials.demo-key"], "ruleset": ["credentials"]}
    assert document["source"]["ip"] == "192.0.2.7"
    assert document["user"] == {"name": "alice"}
    assert document["url"]["path"] == HOSTILE
    assert document["http"]["response"]["status_code"] == 403
    assert document["observer"]["name"] == "proxy-1"
    assert document["icapd"]["findings"][0]["excerpt"] == "de**********"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/a?q=*&p=*", ("/a", "q=*&p=*")), ("/a", ("/a", None)), ("?q=*", (None, "q=*"))],
)
def test_path_and_names_of_the_query_have_fields_of_their_own(
    path: str, expected: tuple[str | None, str | None]
) -> None:
    event = stored(path=path)
    of_ecs = json.loads(ecs.line(event))["url"]
    of_ocsf = json.loads(next(iter(ocsf.lines(event))))["http_request"]["url"]
    assert (of_ecs.get("path"), of_ecs.get("query")) == expected
    assert (of_ocsf.get("path"), of_ocsf.get("query_string")) == expected
    assert of_ecs["full"] == of_ocsf["url_string"] and of_ecs["full"].endswith(path)


@pytest.mark.parametrize(
    "write", [ecs.line, lambda event: next(iter(ocsf.lines(event)))], ids=["ecs", "ocsf"]
)
def test_what_is_not_known_is_left_out(write: Any) -> None:
    bare: AuditRecord = stored(
        host=None, port=None, path=None, scheme=None, client_ip=None, client_user=None, http_method=None
    ).record
    document = json.loads(write(replace(stored(), record=bare, node=None, chain=None)))
    assert "null" not in json.dumps(document)
    assert not {"url", "user", "source", "src_endpoint", "actor", "dst_endpoint"} & set(document)


@given(st.text())
def test_printable_shows_all_and_hides_nothing(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text).encode().decode() == printable(text)
