"""206 with real Squid: what the client gets is whole, and what Squid still held did not travel again."""

import random

import pytest
from recording_origin import DOWNLOADS
from stack import Stack

from icapd.fleet.demo_origin import access_key_id

pytestmark = pytest.mark.squid


def statuses(stack: Stack, method: str, count: int) -> list[int]:
    """The ICAP statuses of the newest transactions of a method."""
    return [each.status for each in stack.icap_transactions() if each.method == method][-count:]


@pytest.mark.parametrize("size", [600, 3000, 20_000])
def test_redaction_at_the_beginning_of_a_page(stack: Stack, size: int) -> None:
    with stack.session() as session:
        answer = session.get(stack.url(f"/secret-page?{size}"))
    assert answer.content == b"key: [REDACTED]\n" + DOWNLOADS["text/plain"][:size]
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert statuses(stack, "RESPMOD", 1) == [206]
    (row,) = stack.audit("--verdict", "redacted", "--limit", "1")
    assert (row["disposition"], row["inspection"]) == ("redacted", "complete")


@pytest.mark.parametrize("size", [10, 4096, 300_000])
def test_redaction_in_the_url_of_an_upload(stack: Stack, size: int) -> None:
    body = b"\x89PNG\r\n" + random.Random(size).randbytes(size)
    with stack.session() as session:
        answer = session.post(
            stack.url(f"/echo?key={access_key_id()}"), body, headers={"Content-Type": "image/png"}
        )
    assert answer.content == body
    assert statuses(stack, "REQMOD", 1) == [206]
