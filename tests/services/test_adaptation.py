"""Verdicts on messages that are held back: left alone, redacted, blocked; and what their records say."""

import gzip
import json
import zlib
from pathlib import Path

import pytest
from support import wire
from support.adapting import JSON, REDACTED_JSON, Previewed, adapt, catalogue_of, respmod_of, response
from support.policies import KEY, SECRET, demo_policy

from icapd.policy import Policy


def test_clean_message_is_left_alone(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(b'{"a": 1}'))
    assert outcome.status == 204
    assert b"X-Icapd-Verdict: allowed\r\n" in outcome.sent
    record = outcome.record
    assert (record.verdict, record.disposition, record.inspection) == ("allowed", "unmodified", "complete")
    assert (record.response_bytes, record.http_status, record.content_type) == (8, 200, "application/json")


def test_message_without_a_body_is_left_alone(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), wire.reqmod(Preview="0", Allow="204"))
    assert outcome.status == 204
    record = outcome.record
    assert (record.method_icap, record.http_method, record.scheme) == ("REQMOD", "GET", "https")
    assert (record.host, record.port, record.path) == ("api.example", 443, "/items?page=*")


def test_clean_message_is_echoed_where_204_is_not_allowed(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), wire.respmod(response(b"{}"), wire.chunked(b"{}")))
    assert outcome.status == 200
    assert outcome.http_head == response(b"{}")
    assert outcome.body == b"{}"
    assert outcome.record.disposition == "echoed"


def test_204_is_not_given_after_100_unless_allowed(policy: Policy) -> None:
    body = b"x" * 3000
    assert adapt(catalogue_of(policy), respmod_of(body, b"text/plain")).body == body
    assert adapt(catalogue_of(policy), respmod_of(body, b"text/plain", Allow="204")).status == 204


def test_secret_is_redacted_and_the_head_says_so(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(JSON, b"application/json", b'ETag: "x"'))
    assert outcome.status == 200
    assert outcome.body == REDACTED_JSON
    assert b"Content-Length: %d\r\n" % len(REDACTED_JSON) in outcome.http_head
    assert b"ETag" not in outcome.http_head
    assert b"Cache-Control: no-store\r\n" in outcome.http_head
    record = outcome.record
    assert (record.verdict, record.disposition, record.risk_score) == ("redacted", "redacted", 40)
    assert [finding.rule_id for finding in record.findings] == ["demo.key"]
    assert SECRET.decode() not in repr(record)


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        (b"gzip", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", lambda data: zlib.compress(data)[2:-4]),
    ],
    ids=["gzip", "deflate with zlib", "deflate raw"],
)
def test_secret_in_a_coded_body_is_redacted(policy: Policy, coding: bytes, encode: object) -> None:
    assert callable(encode)
    body = encode(JSON)
    outcome = adapt(
        catalogue_of(policy), respmod_of(body, b"application/json", b"Content-Encoding: " + coding)
    )
    assert outcome.body == REDACTED_JSON
    assert b"Content-Encoding" not in outcome.http_head
    assert outcome.record.response_bytes == len(body)


def test_codings_on_two_lines_are_two_codings(policy: Policy) -> None:
    body = gzip.compress(zlib.compress(JSON))
    headers = (b"Content-Encoding: deflate", b"Content-Encoding: gzip")
    assert adapt(catalogue_of(policy), respmod_of(body, b"application/json", *headers)).body == REDACTED_JSON


def test_clean_coded_body_stays_coded(policy: Policy) -> None:
    body = gzip.compress(b'{"a": 1}')
    header = b"Content-Encoding: gzip"
    assert adapt(catalogue_of(policy), respmod_of(body, b"application/json", header)).status == 204


def test_attack_in_a_request_is_answered_by_a_page(policy: Policy) -> None:
    chunks = wire.chunked(b'{"q": "ATTACK!"}', ieof=True)
    outcome = adapt(catalogue_of(policy), wire.reqmod(wire.POST, chunks, Preview="1024"))
    assert outcome.status == 200
    assert outcome.http_head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"Cache-Control: no-store" in outcome.http_head
    document = json.loads(outcome.body)
    assert document["error"]["rules"] == ["demo.attack"]
    assert document["error"]["transaction"] == outcome.record.txn_id
    assert b"Content-Length: %d\r\n" % len(outcome.body) in outcome.http_head
    assert (outcome.record.verdict, outcome.record.disposition) == ("blocked", "blocked")
    assert outcome.record.http_status == 403


def test_attack_in_a_url_is_blocked_before_the_body_comes(policy: Policy) -> None:
    http = b"GET https://h/?q=ATTACK%21 HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.reqmod(http))
    assert b"Content-Type: text/html" in outcome.http_head
    assert b"ATTACK" not in outcome.body


def test_page_for_head_has_no_body_but_its_length(policy: Policy) -> None:
    outcome = adapt(
        catalogue_of(policy), wire.reqmod(b"HEAD https://h/?q=ATTACK! HTTP/1.1\r\nHost: h\r\n\r\n")
    )
    assert outcome.body == b""
    assert b"Content-Length: 0\r\n" not in outcome.http_head


def test_blocked_type_is_blocked_by_its_head(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(b"MZ\x00\x00", b"application/x-program"))
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")
    assert outcome.record.http_status == 200


def test_announced_size_is_blocked_by_its_head(policy: Policy) -> None:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 100001\r\n\r\n"
    outcome = adapt(catalogue_of(policy), wire.respmod(http, wire.chunked(b"\x89PNG"), Preview="4"))
    assert outcome.http_head.startswith(b"HTTP/1.1 403 ")


def test_secret_in_a_header_and_in_the_url_is_taken_out_and_the_body_stays(policy: Policy) -> None:
    http = b"POST https://h/p?k=%b HTTP/1.1\r\nHost: h\r\nX-Key: %b\r\nContent-Type: image/png\r\n\r\n" % (
        KEY,
        KEY,
    )
    body = b"\x89PNG" * 500
    upfront = wire.reqmod(http, wire.chunked(body[:1024]), Preview="1024", Allow="204")
    outcome = adapt(catalogue_of(policy), Previewed(upfront, wire.chunked(body[1024:])))
    assert outcome.http_head.startswith(b"POST https://h/p?k=KEY-%5BREDACTED%5D HTTP/1.1\r\n")
    assert b"X-Key: KEY-[REDACTED]\r\n" in outcome.http_head
    assert outcome.body == body
    assert outcome.record.disposition == "redacted"
    assert outcome.record.path == "/p?k=*"


def test_response_with_a_changed_header_is_not_stored(policy: Policy) -> None:
    outcome = adapt(
        catalogue_of(policy), respmod_of(b"{}", b"text/plain", b"X-Key: " + KEY, b"Cache-Control: max-age=9")
    )
    assert b"X-Key: KEY-[REDACTED]\r\n" in outcome.http_head
    assert b"Cache-Control: no-store\r\n" in outcome.http_head
    assert outcome.body == b"{}"


def test_host_and_method_in_the_record_hold_no_secret(policy: Policy) -> None:
    http = b"%b https://%b.example/ HTTP/1.1\r\nHost: h\r\n\r\n" % (KEY, KEY)
    record = adapt(catalogue_of(policy), wire.reqmod(http)).record
    assert SECRET.decode().lower() not in repr(record).lower()


def test_path_in_the_record_holds_no_secret(policy: Policy) -> None:
    http = b"GET https://h/files/%b/x HTTP/1.1\r\nHost: h\r\n\r\n" % KEY
    assert adapt(catalogue_of(policy), wire.reqmod(http)).record.path == "/files/KEY-[REDACTED]/x"


def test_media_type_in_the_record_holds_no_secret(policy: Policy) -> None:
    record = adapt(catalogue_of(policy), respmod_of(b"{}", b"application/%b; a=%b" % (KEY, KEY))).record
    assert record.content_type == "application/key-[redacted]"


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (b"/search?q=illness&page=2", "/search?q=*&page=*"),
        (b"/cart;id=5E0F/x?y", "/cart;id=*/x?*"),
        (b"/x?%b=1&a=%b" % (KEY, KEY), "/x?KEY-[REDACTED]=*&a=*"),
        (b"/%b;%b?b=1#%b" % (KEY, KEY, KEY), "/KEY-[REDACTED];*?b=*"),
        # Cut to its column only after that.
        (b"/" + b"x" * 2040 + b"?q=illness", "/" + "x" * 2040 + "?q=*"),
    ],
)
def test_query_is_in_the_record_without_its_values(policy: Policy, target: bytes, kept: str) -> None:
    http = b"GET https://h%b HTTP/1.1\r\nHost: h\r\n\r\n" % target
    assert adapt(catalogue_of(policy), wire.reqmod(http)).record.path == kept


def test_monitor_mode_finds_and_changes_nothing(tmp_path: Path) -> None:
    outcome = adapt(catalogue_of(demo_policy(tmp_path, "monitor")), respmod_of(JSON))
    assert outcome.status == 204
    assert (outcome.record.verdict, outcome.record.disposition) == ("redacted", "unmodified")
    assert len(outcome.record.findings) == 1


def test_body_that_is_no_text_is_skipped_at_the_end_of_its_preview(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(b"\x89PNG" * 1000, b"image/png"))
    assert outcome.status == 204
    assert (outcome.record.inspection, outcome.record.skip_reason) == ("skipped", "media-type")


def test_request_and_response_share_the_transaction_id(policy: Policy) -> None:
    request = adapt(catalogue_of(policy), wire.reqmod(Preview="0"))
    txn_id = request.record.txn_id
    answer = adapt(catalogue_of(policy), respmod_of(b"{}", **{"X-Icapd-Txn": txn_id}))
    assert answer.record.txn_id == txn_id
    assert answer.record.event_id != request.record.event_id
    assert b"X-Icapd-Txn: %b\r\n" % txn_id.encode() in answer.sent


def test_transaction_id_that_is_not_ours_is_not_taken_over(policy: Policy) -> None:
    outcome = adapt(catalogue_of(policy), respmod_of(b"{}", **{"X-Icapd-Txn": "<script>"}))
    assert outcome.record.txn_id == outcome.record.event_id
