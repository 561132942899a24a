"""The main job with real Squid and real clients: inspect, redact, block, record."""

import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from recording_origin import EVENTS, SECRET_EVENT, download_blocks
from stack import Stack

pytestmark = pytest.mark.squid

MiB = 1024 * 1024
SQL_INJECTION = "id=1' UNION SELECT name, password FROM users --"


def get_with_curl(stack: Stack, path: str) -> str:
    answer = stack.curl("--compressed", "--fail", stack.url(path))
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def get_with_requests(stack: Stack, path: str) -> str:
    with stack.session() as session:
        return session.get(stack.url(path)).text


def get_with_httpx(stack: Stack, path: str) -> str:
    with stack.httpx_client() as client:
        return client.get(stack.url(path)).text


CLIENTS = [
    pytest.param(get_with_curl, id="curl"),
    pytest.param(get_with_requests, id="requests"),
    pytest.param(get_with_httpx, id="httpx"),
]


@pytest.mark.parametrize("get", CLIENTS)
def test_clean_response_arrives_as_it_was_sent(stack: Stack, get: Callable[[Stack, str], str]) -> None:
    assert json.loads(get(stack, "/clean")) == {"message": "nothing to see here"}


@pytest.mark.parametrize("get", CLIENTS)
@pytest.mark.parametrize("path", ["/secret", "/secret-gzip"])
def test_secret_in_json_is_redacted_and_the_json_keeps_its_shape(
    stack: Stack, get: Callable[[Stack, str], str], path: str
) -> None:
    document = json.loads(get(stack, path))
    assert document == {
        "keys": [
            {"name": "überschrift", "aws_access_key_id": "[REDACTED]"},
            {"name": "b", "port": 8443},
        ],
        "count": 2,
        "next": None,
    }


def test_redaction_is_recorded_with_its_finding(stack: Stack) -> None:
    get_with_curl(stack, "/secret")
    request, response = stack.rows_of(newest_txn_id(stack))
    assert (request["method_icap"], request["verdict"]) == ("REQMOD", "allowed")
    assert (response["method_icap"], response["verdict"], response["disposition"]) == (
        "RESPMOD",
        "redacted",
        "redacted",
    )
    assert (response["host"], response["client_ip"]) == ("demo.icapd.test", "127.0.0.1")
    assert "credentials.aws-access-key-id" in [finding["rule_id"] for finding in response["findings"]]


def test_redacted_response_may_not_be_cached_or_taken_for_the_original(stack: Stack) -> None:
    with stack.session() as session:
        headers = session.get(stack.url("/secret")).headers
    assert "no-store" in headers["Cache-Control"]
    assert "ETag" not in headers


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        pytest.param("text/html,application/xhtml+xml", "text/html", id="browser"),
        pytest.param("application/json", "application/json", id="API client"),
        pytest.param("*/*", "text/plain", id="curl"),
    ],
)
def test_sql_injection_gets_a_403_page_with_the_id_of_its_record(
    stack: Stack, accept: str, media_type: str
) -> None:
    with stack.session() as session:
        answer = session.post(
            stack.url("/echo"),
            data=SQL_INJECTION,
            headers={"Accept": accept, "Content-Type": "application/x-www-form-urlencoded"},
        )
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith(media_type)
    assert "password FROM users" not in answer.text
    txn_id = answer.headers["X-Icapd-Txn"]
    assert txn_id in answer.text
    [row] = stack.rows_of(txn_id)
    assert (row["verdict"], row["disposition"], row["http_method"]) == ("blocked", "blocked", "POST")
    assert row["findings"]


def test_harmless_post_comes_back_whole(stack: Stack) -> None:
    body = json.dumps({"text": "it's fine # really", "selected": True, "colour": "#ff0000"})
    with stack.session() as session:
        answer = session.post(stack.url("/echo"), data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.text) == (200, body)


def test_keep_alive_client_makes_200_requests_over_one_tunnel(stack: Stack) -> None:
    tunnels_before = count_tunnels(stack)
    with stack.session() as session:
        counts = [session.get(stack.url("/connection")).json()["requests"] for _ in range(200)]
    assert counts == list(range(1, 201))
    assert count_tunnels(stack) == tunnels_before + 1


@pytest.mark.alone
def test_each_server_sent_event_arrives_within_100_ms_of_being_sent(stack: Stack) -> None:
    delays, keys = [], []
    with stack.httpx_client() as client, client.stream("GET", stack.url("/events")) as answer:
        for line in answer.iter_lines():
            arrived = time.monotonic()
            if line:
                event = json.loads(line.removeprefix("data: "))
                delays.append(arrived - event["sent"])
                keys.append(event.get("aws_access_key_id"))
    assert len(delays) == EVENTS
    assert max(delays) < 0.1, delays
    assert keys == ["[REDACTED]" if number == SECRET_EVENT else None for number in range(EVENTS)]
    assert stack.icap_transactions()[-1].service == "icapd_stream"


@pytest.mark.parametrize("media_type", ["application/zip", "text/plain"])
def test_50_mb_download_passes_with_flat_memory(stack: Stack, media_type: str) -> None:
    size = 50 * MiB
    download(stack, media_type, 4 * MiB)
    before = peak_memory(stack)
    assert download(stack, media_type, size) == digest(media_type, size)
    assert peak_memory(stack) - before < 8 * MiB


def test_upload_larger_than_any_buffer_comes_back_whole(stack: Stack, tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(b"".join(download_blocks("text/plain", 5 * MiB)))
    answer = stack.curl(
        "--data-binary", f"@{upload}", "-H", "Content-Type: text/plain", "--output", "-", stack.url("/echo")
    )
    assert answer.stdout.encode() == upload.read_bytes()


def test_every_transaction_has_exactly_one_row(stack: Stack) -> None:
    get_with_curl(stack, "/clean")
    stack.curl("--data", SQL_INJECTION, stack.url("/echo"))
    seen = sorted((line.txn_id, line.method) for line in stack.icap_transactions())
    recorded = sorted((row["txn_id"], row["method_icap"]) for row in stack.audit())
    assert seen == recorded
    assert len(set(seen)) == len(seen)


def test_verdict_that_squid_logs_is_the_recorded_one(stack: Stack) -> None:
    get_with_curl(stack, "/secret")
    recorded = {(row["txn_id"], row["method_icap"]): row["verdict"] for row in stack.audit()}
    # The verdict on a body that flows comes after the ICAP head, and so is not in it.
    logged = [line for line in stack.icap_transactions() if line.verdict != "-"]
    assert [line.verdict for line in logged] == [recorded[line.txn_id, line.method] for line in logged]


def test_access_log_line_and_audit_row_join(stack: Stack) -> None:
    get_with_curl(stack, "/clean")
    last = stack.log_lines("access.log")[-1].split()
    rows = stack.rows_of(last[9])
    assert [row["method_icap"] for row in rows] == ["REQMOD", "RESPMOD"]
    assert {row["path"] for row in rows} == {"/clean"}
    assert last[10] == rows[1]["verdict"]


def test_no_secret_is_at_rest_anywhere(stack: Stack) -> None:
    for path in ("/secret", "/secret-gzip"):
        get_with_curl(stack, path)
    stack.curl(stack.url(f"/clean?key={stack.origin.secrets[0]}"))
    secrets = re.compile(b"|".join(secret.encode() for secret in stack.origin.secrets))
    files = [path for path in stack.options.state.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"icapd.db", "icapd.log", "access.log", "icap.log", "cache.log"}
    assert [path for path in files if secrets.search(path.read_bytes())] == []


def test_squid_counted_no_failure(stack: Stack) -> None:
    get_with_curl(stack, "/clean")
    assert stack.failures() == []


def newest_txn_id(stack: Stack) -> str:
    return str(stack.audit("--limit", "1")[0]["txn_id"])


def count_tunnels(stack: Stack) -> int:
    return sum(row["http_method"] == "CONNECT" for row in stack.audit())


def download(stack: Stack, media_type: str, size: int) -> str:
    """The digest of what arrives; the client keeps nothing of it either."""
    arrived = hashlib.sha256()
    with (
        stack.httpx_client() as client,
        client.stream("GET", stack.url(f"/download?{media_type}&{size}")) as answer,
    ):
        for block in answer.iter_raw():
            arrived.update(block)
    return arrived.hexdigest()


def digest(media_type: str, size: int) -> str:
    expected = hashlib.sha256()
    for block in download_blocks(media_type, size):
        expected.update(block)
    return expected.hexdigest()


def peak_memory(stack: Stack) -> int:
    """The most that icapd ever had resident, in bytes (proc(5), VmHWM)."""
    status = Path(f"/proc/{stack.icapd.pid}/status").read_text()
    [peak] = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(peak) * 1024
