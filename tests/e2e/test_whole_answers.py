"""Codings, charsets and ranges with real Squid: clients get answers that were read."""

import json

import pytest
from stack import Stack

pytestmark = pytest.mark.squid


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_secret_in_a_coded_answer_is_redacted(stack: Stack, coding: str) -> None:
    with stack.session() as session:
        answer = session.get(stack.url(f"/secret-{coding}"), headers={"Accept-Encoding": coding})
    assert "Content-Encoding" not in answer.headers
    keys = answer.json()["keys"]
    assert keys[0] == {"name": "überschrift", "aws_access_key_id": "[REDACTED]"}
    (row,) = stack.audit("--verdict", "redacted", "--limit", "1")
    assert (row["path"], row["inspection"]) == (f"/secret-{coding}", "complete")


def test_secret_in_utf_16_is_redacted_in_utf_16(stack: Stack) -> None:
    with stack.session() as session:
        answer = session.get(stack.url("/secret-utf-16"))
    keys = json.loads(answer.content.decode("utf-16"))["keys"]
    assert keys[0] == {"name": "überschrift", "aws_access_key_id": "[REDACTED]"}
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_request_that_would_blind_gets_to_the_origin_without_that(stack: Stack) -> None:
    blinding = {
        "Range": "bytes=0-9",
        "If-Range": '"1"',
        "A-IM": "feed",
        "Available-Dictionary": ":AAAA:",
        "Accept-Encoding": "br, dcb;q=0.5, gzip",
    }
    with stack.session() as session:
        fields = session.get(stack.url("/request-fields"), headers=blinding).json()
    assert fields.keys().isdisjoint({"range", "if-range", "a-im", "available-dictionary"})
    assert fields["accept-encoding"] == "br, gzip"
    row = next(row for row in stack.audit("--limit", "4") if row["method_icap"] == "REQMOD" and row["path"])
    assert (row["verdict"], row["disposition"]) == ("allowed", "normalised")
    changed = {finding["target"].partition(":")[2] for finding in row["findings"]}
    assert changed == blinding.keys()


def test_range_of_a_film_and_codings_that_are_read_get_to_the_origin(stack: Stack) -> None:
    asked = {"Range": "bytes=0-9", "Accept-Encoding": "gzip, deflate, br, zstd", "Sec-Fetch-Dest": "video"}
    with stack.session() as session:
        fields = session.get(stack.url("/request-fields"), headers=asked).json()
    assert fields["range"] == "bytes=0-9"
    assert fields["accept-encoding"] == "gzip, deflate, br, zstd"
    assert not stack.failures()
