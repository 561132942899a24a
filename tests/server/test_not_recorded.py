"""`audit = "none"`: each message has its row or is counted, one of the two, and the count is in the trail."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import wire
from support.adapting import response
from support.icapd import ask, serving
from support.policies import KEY, RULES
from support.sessions import Workbench
from support.trail import Trail

from icapd.audit import AuditRecord
from icapd.policy import load_policy

JSON = b'{"key": "%b"}' % KEY
POLICY = (
    'audit = "none"\npacks = ["demo"]\n[[scope]]\nname = "kept"\nhosts = ["kept.example"]\naudit = "full"\n'
)
#: More than is held back, so it flows; and so much that its head leaves before its end is there.
LONG = b"x" * 60_000
BODIES = {
    "plain": b"{}",
    "key": JSON,
    "note": b"NOTE-ME",
    "malware": b"MALWARE!",
    "long": LONG,
    "long-key": LONG + JSON,
    "long-malware": LONG + b"MALWARE!",
}


def rule_files(directory: Path, policy: str = POLICY) -> Path:
    rules = directory / "rules"
    rules.mkdir()
    (rules / "demo.toml").write_text(RULES)
    (rules / "policy.toml").write_text(policy)
    return rules


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workbench, Workbench]]:
    """One that records everything, one that does not."""
    full, none = tmp_path_factory.mktemp("full"), tmp_path_factory.mktemp("none")
    policies = load_policy(rule_files(full, 'packs = ["demo"]\n')), load_policy(rule_files(none))
    with (
        closing(Workbench(policies[0], full)) as of_full,
        closing(Workbench(policies[1], none)) as of_none,
    ):
        yield of_full, of_none


def run(bench: Workbench, data: bytes, defers: bool, leaves: bool) -> tuple[list[AuditRecord], int]:
    """One message; its records, and how many messages were counted in their place."""
    before = counted(bench)
    session = bench.session(defers=defers)
    session.receive(data[:-1] if leaves else data)
    bench.settle(session)
    if leaves:
        session.abandon("client-gone")
    return bench.take_records(), counted(bench) - before


def counted(bench: Workbench) -> int:
    return sum(count.messages for count in bench.audit._omitted.due(last=True))


def is_quiet(record: AuditRecord) -> bool:
    return (record.verdict, record.inspection, record.findings) == (
        "allowed",
        "complete",
        (),
    ) and record.disposition in ("unmodified", "echoed")


@given(
    name=st.sampled_from(list(BODIES)),
    content_type=st.sampled_from([b"application/json", b"text/plain", b"image/png"]),
    header=st.sampled_from([(), (b"Content-Encoding: gzip",), (b"Content-Encoding: x-own",)]),
    allow=st.sampled_from([{}, {"Allow": "204"}]),
    defers=st.booleans(),
    leaves=st.booleans(),
)
def test_each_message_has_its_row_or_is_counted(
    benches: tuple[Workbench, Workbench],
    name: str,
    content_type: bytes,
    header: tuple[bytes, ...],
    allow: dict[str, str],
    defers: bool,
    leaves: bool,
) -> None:
    body = BODIES[name]
    data = wire.respmod(response(body, content_type, *header), wire.chunked(body), **allow)
    full, none = benches
    (record,), _ = run(full, data, defers, leaves)
    rows, count = run(none, data, defers, leaves)
    assert (len(rows), count) == ((0, 1) if is_quiet(record) else (1, 0))
    # None is left that would become one when the writer is gone.
    assert list(none.audit._outbox.unnumbered("stream")) == []


def test_scope_that_keeps_all_is_not_counted(benches: tuple[Workbench, Workbench]) -> None:
    bench = benches[1]
    request = b"GET https://kept.example/ HTTP/1.1\r\nHost: kept.example\r\n\r\n"
    rows, count = run(bench, wire.reqmod(request, Allow="204"), defers=True, leaves=False)
    assert ([row.host for row in rows], count) == (["kept.example"], 0)


def test_body_that_flows_has_its_row_if_the_server_dies_within_it(tmp_path: Path) -> None:
    """Though it would have none at its end."""
    trail = Trail.make(tmp_path)
    bench = Workbench(load_policy(rule_files(tmp_path)), trail.outbox)
    session = bench.session(defers=True)
    session.receive(wire.respmod(response(LONG, b"text/plain"), wire.chunked(LONG))[:-1])
    bench.settle(session)
    assert trail.records() == []
    bench.audit._outbox.close()
    bench.audit._mark.close()
    (record,) = trail.records()
    assert (record.disposition, record.skip_reason) == ("cut", "server-stopped")


def test_served_messages_are_rows_or_counted_and_the_trail_verifies(tmp_path: Path) -> None:
    rule_files(tmp_path)
    head = b"GET https://%b/ HTTP/1.1\r\nHost: h\r\n\r\n"
    messages = [
        *[wire.reqmod(head % b"quiet.example", Allow="204")] * 7,
        *[wire.reqmod(head % b"kept.example", Allow="204")] * 2,
        wire.respmod(response(LONG, b"text/plain"), wire.chunked(LONG)),
        wire.respmod(response(JSON), wire.chunked(JSON)),
        wire.respmod(response(b"x", b"image/png"), wire.chunked(b"x"), Allow="204"),
    ]
    with serving(tmp_path, '[policy]\ndirectory = "rules"\n') as server:
        with server.connect() as connection:
            for message in messages:
                assert ask(connection, message).startswith((b"ICAP/1.0 200", b"ICAP/1.0 204"))
        rows = server.rows()
        assert sorted((row["host"], row["disposition"]) for row in rows) == [
            ("api.example", "redacted"),
            ("api.example", "unmodified"),
            ("kept.example", "unmodified"),
            ("kept.example", "unmodified"),
        ]
        assert server.stop() == 0
        noted = notes(server.query("SELECT detail FROM audit_admin WHERE action = 'not-recorded'"))
        assert [(note["scope"], note["messages"]) for note in noted] == [("", 8)]
        assert all(note["since"] <= note["until"] for note in noted)
        assert server.verify() == 0


def notes(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [json.loads(detail) for (detail,) in rows]
