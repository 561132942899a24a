"""What is sent to get rid of its record: it is stored all the same, in every database."""

import base64
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from audit_records import FINDING, NOON, make_record
from support import policies, wire
from support.adapting import response
from support.policies import demo_policy
from support.sessions import Workbench
from support.trail import Trail

MiB = 1024 * 1024
#: Findings of one body.
MANY = 100_000
#: All but the last rule, which is on the size of bodies.
RULES = policies.RULES.rpartition("[[rule]]")[0]


@pytest.fixture
def trail(empty_url: str, tmp_path: Path) -> Trail:
    return Trail.make(tmp_path, empty_url)


@pytest.fixture
def bench(trail: Trail, tmp_path: Path) -> Iterator[Workbench]:
    """Sessions whose records go to the trail."""
    (tmp_path / "rules").mkdir()
    with closing(Workbench(demo_policy(tmp_path / "rules", rules=RULES), trail.outbox)) as bench:
        yield bench


def get(target: bytes, *lines: bytes, **icap: str) -> bytes:
    head = b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: h", *lines]) + b"\r\n\r\n"
    return wire.reqmod(head, Allow="204", **icap)


def named(user: bytes) -> bytes:
    return get(b"https://h/", **{"X-Client-Username": base64.b64encode(user).decode()})


#: What is sent, and a pattern for what is stored of it, by the column. A name that is no printable text stays
#: in base64, as it came.
SENT = {
    "long-host": (get(b"https://" + b"h" * 300 + b"/"), {"host": r"h{254}…"}),
    "host-of-no-text": (get(b"https://h\xff\xfe/"), {"host": "hÿþ"}),
    "nul-in-the-path": (get(b"https://h/a%00b"), {"path": "/a%00b"}),
    "surrogate-in-the-path": (get(b"https://h/\xed\xa0\x80x"), {"path": "/\ufffd+x"}),
    "long-path": (get(b"https://h/" + b"a" * 60_000), {"path": r"/a{2046}…"}),
    "nul-in-a-name": (named(b"ann\0; DROP"), {"client_user": "[A-Za-z0-9+/=]+"}),
    "surrogate-in-a-name": (named(b"ann\xed\xb0\x80"), {"client_user": ".+"}),
    "controls-in-a-name": (named(b"ann\x1b[2J\r\n"), {"client_user": "[A-Za-z0-9+/=]+"}),
    "media-type-of-no-text": (
        wire.respmod(response(b"{}", b"\xff\xfe" * 400), wire.chunked(b"{}"), Allow="204"),
        {"verdict": "allowed"},
    ),
}


def test_what_is_sent_is_stored(trail: Trail, bench: Workbench) -> None:
    """All on one trail: a database for each takes longer than what is tested."""
    for sent, _ in SENT.values():
        assert bench.session().receive(sent).startswith(b"ICAP/1.0 204")
    records = trail.records()[::-1]
    for (name, (_, stored)), record in zip(SENT.items(), records, strict=True):
        for column, pattern in stored.items():
            text = getattr(record, column)
            assert re.fullmatch(pattern, text, re.DOTALL), (name, text)
    assert_clean(trail)


def test_what_is_no_message_is_refused_and_the_next_one_is_stored(trail: Trail, bench: Workbench) -> None:
    for line in (b"X: " + b"y" * MiB, b"X: a\0b", b"X" * MiB + b": y"):
        assert re.match(rb"ICAP/1.0 4\d\d ", bench.session().receive(get(b"https://h/", line)))
    assert bench.session().receive(get(b"https://h/next")).startswith(b"ICAP/1.0 204")
    assert [record.path for record in trail.records()] == ["/next"]
    assert_clean(trail)


def test_body_of_findings_is_stored_with_as_many_as_are_kept(trail: Trail, bench: Workbench) -> None:
    body = b"NOTE-ME " * MANY
    head = response(body, b"text/plain")
    reply = bench.session().receive(wire.respmod(head, wire.chunked(body)))
    assert reply.startswith(b"ICAP/1.0 200")
    (record,) = trail.records()
    assert 0 < len(record.findings) < MANY
    assert {finding.rule_id for finding in record.findings} >= {"demo.note"}
    assert_clean(trail)


def test_all_at_once_hold_nothing_up(trail: Trail) -> None:
    """Records as a defect of ours might make them, with no care taken before the writer."""
    poison = [
        {"host": "h" * 300, "path": "/" + "p" * MiB},
        {"path": "\0", "client_user": "\ud800\udc00\udfff", "content_type": "\0" * MiB},
        {"client_ip": "\udcff", "http_method": "\0\ud800", "skip_reason": "\0"},
        {"port": 2**70, "request_bytes": -1, "latency_us": 2**63, "http_status": 2**40},
        {"findings": (replace(FINDING, target="\ud800" * MiB, excerpt="\0" * 99, fingerprint="\0" * 99),)},
        {"findings": (FINDING,) * 9_999},
    ]
    records = [make_record(occurred_at=NOON + number, **values) for number, values in enumerate(poison)]
    trail.write(*records, last := make_record(occurred_at=NOON + len(poison)))
    stored = trail.records()
    assert len(stored) == len(records) + 1 and stored[0] == last
    assert sorted(len(record.findings) for record in stored)[-2:] == [1, 9_999]
    assert_clean(trail)


def assert_clean(trail: Trail) -> None:
    """Nothing waits, nothing was refused, and the chain holds over what is stored."""
    assert trail.ship() == 0
    assert trail.rows("SELECT count(*) FROM audit_dead_letter") == [(0,)]
    assert trail.verify().faults == []
