"""Block pages: readable for browsers, programs and people, and harmless whatever they are made of."""

import json

import pytest

from icapd.http.heads import RequestHead
from icapd.services import block_page
from icapd.services.block_page import Block

HOSTILE = "<script>alert('x')</script>&\"\r\nX-Injected: 1"
BLOCK = Block("01a20a6f-9eae-7d35-afc1-74247a834e90", HOSTILE, HOSTILE, ("house.rule",), contact=HOSTILE)


def request(*lines: bytes, method: bytes = b"GET") -> RequestHead:
    fields = b"".join(line + b"\r\n" for line in lines)
    return RequestHead.parse(b"%b https://h/ HTTP/1.1\r\nHost: h\r\n%b\r\n" % (method, fields))


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (None, b"text/plain"),
        (request(), b"text/plain"),
        (request(b"Accept: */*"), b"text/plain"),
        (request(b"Accept: text/html,*/*;q=0.8"), b"text/html"),
        (request(b"Accept: application/json, text/event-stream"), b"application/json"),
        (request(b"Accept: */*", b"Content-Type: application/json"), b"application/json"),
        (request(b"Accept: text/html", b"Content-Type: application/json"), b"text/html"),
    ],
)
def test_page_is_of_the_type_that_the_client_takes(head: RequestHead | None, media_type: bytes) -> None:
    response, body = block_page.render(BLOCK, head)
    assert response.headers.get(b"content-type") == media_type + b"; charset=utf-8"
    assert response.headers.get(b"content-length") == b"%d" % len(body)
    assert response.headers.get(b"cache-control") == b"no-store"
    assert response.headers.get(b"x-icapd-txn") == BLOCK.txn_id.encode()
    assert BLOCK.txn_id.encode() in body
    assert b"house.rule" in body
    assert response.status == 403


def test_html_is_escaped() -> None:
    _, body = block_page.render(BLOCK, request(b"Accept: text/html"))
    assert b"<script>" not in body
    assert b"&lt;script&gt;" in body


def test_json_says_everything() -> None:
    _, body = block_page.render(BLOCK, request(b"Accept: application/json"))
    error = json.loads(body)["error"]
    assert error["code"] == "blocked_by_icapd"
    assert error["rules"] == ["house.rule"]
    assert error["contact"] == HOSTILE


def test_nothing_of_a_block_gets_into_the_head() -> None:
    response, _ = block_page.render(BLOCK, None)
    assert b"X-Injected" not in response.encode()


def test_head_request_is_told_the_length_and_sent_nothing() -> None:
    response, body = block_page.render(BLOCK, request(method=b"HEAD"))
    assert body == b""
    assert int(response.headers.get(b"content-length") or 0) > 0


@pytest.mark.parametrize(
    ("block", "status", "words"),
    [
        (block_page.blocked_by_rules("t", ["a.b", "a.c"], [], "request", ""), 403, b"Rules: a.b, a.c"),
        (block_page.not_inspected("t", "unknown-coding", "response", ""), 403, b"(unknown-coding)"),
        (block_page.not_recorded("t", "request", "help@example"), 503, b"help@example"),
        (block_page.blocked_by_rules("t", ["a.b"], [""], "request", ""), 403, b"your administrator"),
    ],
)
def test_page_says_why(block: Block, status: int, words: bytes) -> None:
    response, body = block_page.render(block, None)
    assert response.status == status
    assert words in body


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (["", ""], "The request breaks a rule of your organisation, so the proxy did not let it through."),
        (["Use the vault."], "Use the vault."),
        (["", "Use the vault.", "Use the vault.", "Ask Ida."], "Use the vault. Ask Ida."),
        (["1", "2", "3", "4"], "1 2 3"),
    ],
)
def test_rules_say_it_in_their_own_words(messages: list[str], said: str) -> None:
    block = block_page.blocked_by_rules("t", ["a.b"], messages, "request", "")
    assert block.explanation == said
    _, body = block_page.render(block, request(b"Accept: application/json"))
    assert said in json.loads(body)["error"]["message"]


def test_a_hostile_message_stays_text() -> None:
    block = block_page.blocked_by_rules("t", ["a.b"], [HOSTILE + "$txn_id ${contact}"], "request", "")
    _, page = block_page.render(block, request(b"Accept: text/html"))
    assert b"&lt;script&gt;" in page
    assert b"<script>" not in page
    assert b"$txn_id ${contact}" in page
    _, document = block_page.render(block, request(b"Accept: application/json"))
    assert HOSTILE in json.loads(document)["error"]["message"]
