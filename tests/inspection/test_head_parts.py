"""Rules on the single parts of a request's head: which parts there are, and what is left alone."""

from pathlib import Path

import pytest
from support.policies import UNHURRIED

from icapd.http.headers import Headers
from icapd.inspection import Fingerprinter, Inspector
from icapd.policy import load_policy

PACK = """
[[rule]]
id = "house.whole"
description = "A part that is the word and nothing else"
direction = "request"
targets = ["head-part"]
keywords = ["evil"]
pattern = '''\\Aevil [a-z]+\\Z'''
max_value_length = 40
action = "{action}"
severity = "high"
match = ["evil word"]
"""


def inspector(directory: Path, action: str = "block") -> Inspector:
    (directory / "policy.toml").write_text('packs = ["house"]')
    (directory / "house.toml").write_text(PACK.format(action=action))
    return Inspector(load_policy(directory).request, Fingerprinter.ephemeral(), UNHURRIED)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        pytest.param(b"X-Name", b"evil word", b"evil word", id="value"),
        pytest.param(b"x-name", b"evil%20word", b"evil%20word", id="percent"),
        pytest.param(b"Cookie", b"a=1; b=evil%20word; c", b"evil%20word", id="cookie"),
        pytest.param(b"Cookie", b"evil word=1", b"evil word", id="cookie-name"),
        pytest.param(b"Cookie", b"b=evil word", b"evil word", id="last-cookie"),
        pytest.param(b"Referer", b"https://a.example/x?q=evil+word&r=1", b"evil+word", id="referer-query"),
        pytest.param(b"Referer", b"https://a.example/x/evil%20word?q", b"evil%20word", id="referer-path"),
        pytest.param(b"Referer", b"evil%20word", b"evil%20word", id="referer-that-is-no-address"),
        pytest.param(b"User-Agent", b"Mozilla/5.0 evil word", b"evil word", id="behind-a-product"),
        pytest.param(b"User-Agent", b"evil word", b"evil word", id="user-agent"),
    ],
)
def test_each_part_of_a_header_is_looked_at(tmp_path: Path, name: bytes, value: bytes, found: bytes) -> None:
    (finding,) = (
        inspector(tmp_path).inspect_headers(Headers(((b"Host", b"a.example"), (name, value)))).findings
    )
    assert value[finding.start : finding.end] == found
    assert finding.target == f"header:{name.decode()}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(b"Authorization", b"evil word", id="a-secret"),
        pytest.param(b"If-None-Match", b"evil word", id="own-grammar"),
        pytest.param(b"Sec-CH-UA", b"evil word", id="of-the-browser"),
        pytest.param(b"Cookie", b"a=an evil word", id="more-than-the-part"),
        pytest.param(b"Referer", b"https://evil word/", id="authority"),
        pytest.param(b"X-Name", b"evil " + b"w" * 40, id="longer-than-the-limit"),
    ],
)
def test_other_headers_and_longer_values_are_not(tmp_path: Path, name: bytes, value: bytes) -> None:
    assert not inspector(tmp_path).inspect_headers(Headers(((name, value),))).findings


@pytest.mark.parametrize(
    ("url", "found"),
    [
        pytest.param(b"https://a.example/x/evil%20word/y", b"evil%20word", id="segment"),
        pytest.param(b"/evil%20word", b"evil%20word", id="origin-form"),
        pytest.param(b"http://a.example/evil%2520word?q=1", b"evil%2520word", id="encoded-twice"),
    ],
)
def test_each_segment_of_a_path_is_looked_at(tmp_path: Path, url: bytes, found: bytes) -> None:
    (finding,) = inspector(tmp_path).inspect_url(url).findings
    assert url[finding.start : finding.end] == found
    assert finding.target == "url"


def test_the_query_is_no_part_of_the_head(tmp_path: Path) -> None:
    assert not inspector(tmp_path).inspect_url(b"https://a.example/?q=evil%20word").findings


def test_what_is_found_can_be_redacted(tmp_path: Path) -> None:
    house = inspector(tmp_path, "redact")
    for _ in range(2):  # the second time it is remembered
        headers = house.inspect_headers(Headers(((b"Cookie", b"a=1; b=evil%20word; c=2"),))).headers
        assert headers.get(b"cookie") == b"a=1; b=[REDACTED]; c=2"
