"""Turns without sockets: one commit for many, fairness between connections, and what becomes of failures."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import wire
from support.policies import SECRET, demo_policy
from support.sessions import Workbench
from support.turns import CLEAN, EVENTS_HEAD, LONG, STREAM, STREAM_END, Line, Loop

from icapd.audit import AuditRecord, Phase
from icapd.errors import AuditBusyError, AuditError
from icapd.policy import Policy
from icapd.server.turns import Turns

SECRET_BODY = wire.respmod(wire.OK, wire.chunked(b"KEY-" + SECRET, ieof=True), Preview="1024")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return demo_policy(tmp_path_factory.mktemp("rules"))


@pytest.fixture
def bench(policy: Policy, tmp_path: Path) -> Iterator[Workbench]:
    bench = Workbench(policy, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def commits(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each commit had."""
    sizes: list[int] = []
    write_all = bench.context.audit.write_all

    def counting(entries: list[tuple[Phase, AuditRecord]]) -> None:
        sizes.append(len(entries))
        write_all(entries)

    monkeypatch.setattr(bench.context.audit, "write_all", counting)
    return sizes


def test_records_of_one_turn_are_one_commit(bench: Workbench, commits: list[int]) -> None:
    loop = Loop()
    turns = Turns(bench.context, 10, loop.calls.append, LONG)
    lines = [Line(bench.context) for _ in range(5)]
    for line in lines:
        turns.add(line, CLEAN)
    assert [line.sent for line in lines] == [b""] * 5
    loop.run()
    assert [line.statuses for line in lines] == [[204]] * 5
    assert commits == [5]


def test_messages_that_flow_share_commits_as_well(bench: Workbench, commits: list[int]) -> None:
    loop = Loop()
    turns = Turns(bench.context, 10, loop.calls.append, LONG)
    lines = [Line(bench.context) for _ in range(3)]
    for piece in (STREAM, STREAM_END):
        for line in lines:
            turns.add(line, piece)
        loop.run()
    assert all(line.statuses == [200] and line.sent.endswith(STREAM_END) for line in lines)
    assert commits == [3, 3]


def test_flow_whose_client_goes_before_its_first_commit_is_recorded_once(bench: Workbench) -> None:
    line = Line(bench.context)
    line.work(STREAM)
    assert line.pending is not None and line.pending.phase == "open"
    line.session.abandon("client-gone")
    turns = Turns(bench.context, 10, (loop := Loop()).calls.append, LONG)
    turns.stage(line)
    loop.run()
    assert line.sent == b"" and not bench.audit.opened
    (record,) = bench.take_records()
    assert (record.disposition, record.skip_reason) == ("cut", "client-gone")


def test_flow_that_was_decided_whole_is_recorded_when_its_client_goes_before_its_first_commit(
    bench: Workbench,
) -> None:
    line = Line(bench.context)
    line.work(
        wire.respmod(EVENTS_HEAD, wire.chunked(b"data: one\n\n", ieof=True), path="/stream", Preview="99")
    )
    assert line.pending is not None and line.pending.phase == "close"
    line.session.abandon("client-gone")
    turns = Turns(bench.context, 10, (loop := Loop()).calls.append, LONG)
    turns.stage(line)
    loop.run()
    assert line.sent == b"" and not bench.audit.opened
    assert [record.disposition for record in bench.take_records()] == ["echoed"]


def test_requests_in_one_piece_are_answered_in_order_each_behind_its_commit(
    bench: Workbench, commits: list[int]
) -> None:
    loop = Loop()
    turns = Turns(bench.context, 10, loop.calls.append, LONG)
    line = Line(bench.context)
    turns.add(line, CLEAN + SECRET_BODY + wire.options() + CLEAN)
    turns.add(line, CLEAN)
    loop.run()
    assert line.statuses == [204, 200, 200, 204, 204]
    assert sum(commits) == 4


def test_turn_ends_when_its_time_is_up(bench: Workbench) -> None:
    loop = Loop()
    turns = Turns(bench.context, 10, loop.calls.append, turn=0.0)
    lines = [Line(bench.context) for _ in range(3)]
    for line in lines:
        turns.add(line, CLEAN)
    loop.run_once()
    assert [bool(line.sent) for line in lines] == [True, False, False]
    loop.run()
    assert all(line.statuses == [204] for line in lines)


def test_what_has_waited_too_long_meets_the_fail_mode(bench: Workbench) -> None:
    loop = Loop()
    turns = Turns(bench.context, -1.0, loop.calls.append)
    line = Line(replace(bench.context, is_overloaded=turns.is_overloaded))
    turns.add(line, SECRET_BODY)
    loop.run()
    assert line.statuses == [204]
    (record,) = bench.take_records()
    assert (record.disposition, record.skip_reason) == ("bypassed", "overload")


@pytest.mark.parametrize("error", [AuditError("disk full"), ZeroDivisionError()], ids=["audit", "defect"])
@pytest.mark.parametrize("broken", [False, True])
def test_record_that_fails_keeps_no_other_from_being_written(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, broken: bool, error: Exception
) -> None:
    write_all = bench.context.audit.write_all

    def failing(entries: list[tuple[Phase, AuditRecord]]) -> None:
        if broken or any(record.verdict == "redacted" for _, record in entries):
            raise error
        write_all(entries)

    monkeypatch.setattr(bench.context.audit, "write_all", failing)
    loop = Loop()
    turns = Turns(bench.context, 10, loop.calls.append, LONG)
    context = replace(bench.context, blocks_unrecorded=True)
    clean, secret = Line(context), Line(context)
    turns.add(clean, CLEAN)
    turns.add(secret, SECRET_BODY)
    loop.run()
    assert clean.statuses == ([200] if broken else [204])
    assert secret.statuses == [200]
    assert b"could not be recorded" in secret.sent and b"KEY-" not in secret.sent
    # Both connections go on.
    turns.add(secret, wire.options())
    loop.run()
    assert secret.statuses == [200, 200]


def test_locked_database_is_waited_for_once_a_commit(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = 0

    def locked(entries: list[tuple[Phase, AuditRecord]]) -> None:
        nonlocal waits
        waits += 1
        raise AuditBusyError("locked")

    monkeypatch.setattr(bench.context.audit, "write_all", locked)
    loop = Loop()
    turns = Turns(bench.context, 10, loop.calls.append, LONG)
    lines = [Line(bench.context) for _ in range(5)]
    for line in lines:
        turns.add(line, CLEAN)
    loop.run()
    assert waits == 1
    assert [line.statuses for line in lines] == [[204]] * 5
    assert "icapd_audit_failures_total 5.0" in bench.context.metrics.text()


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([CLEAN * 5], id="at once"),
        pytest.param([CLEAN * 3, CLEAN * 2], id="in two pieces"),
        pytest.param([CLEAN * 2 + CLEAN[:50], CLEAN[50:] + CLEAN * 2], id="cut within one"),
    ],
)
def test_pipelined_requests_are_recorded_once_each(bench: Workbench, pieces: list[bytes]) -> None:
    loop = Loop()
    turns = Turns(bench.context, 10, loop.calls.append, LONG)
    lines = [Line(bench.context) for _ in range(3)]
    for piece in pieces:
        for line in lines:
            turns.add(line, piece)
    loop.run()
    assert [line.statuses for line in lines] == [[204] * 5] * 3
    records = bench.take_records()
    assert len({record.event_id for record in records}) == len(records) == 15


class Faulty(Line):
    """A connection in whose work there is a defect of ours."""

    aborted = ""

    def settle(self, durable: bool) -> None:
        super().settle(durable)
        raise ZeroDivisionError

    def abort(self, reason: str) -> None:
        self.aborted = reason


def test_defect_in_one_connection_leaves_the_others_their_answers(bench: Workbench) -> None:
    loop = Loop()
    turns = Turns(bench.context, 10, loop.calls.append, LONG)
    faulty, other = Faulty(bench.context), Line(bench.context)
    for line in (faulty, other):
        turns.add(line, CLEAN)
    loop.run()
    assert faulty.aborted == "internal-error"
    assert other.statuses == [204]


class Busy:
    """A connection whose work is apart until it says otherwise."""

    pending = None

    def __init__(self) -> None:
        self.waits = False
        self.worked: list[bytes] = []

    def work(self, data: bytes) -> None:
        self.worked.append(data)
        self.waits = True

    def settle(self, durable: bool) -> None:
        raise AssertionError("nothing was pending")

    def abort(self, reason: str) -> None:
        raise AssertionError(reason)


def test_what_comes_while_work_is_apart_keeps_its_order(bench: Workbench) -> None:
    loop = Loop()
    turns = Turns(bench.context, 10, loop.calls.append, LONG)
    busy, other = Busy(), Line(bench.context)
    for data in (b"1", b"2", b"3"):
        turns.add(busy, data)
    loop.run()
    for number in range(2, 5):
        # It has arrived, and its turn has not come yet, when the work before is done.
        turns.add(busy, b"%d" % (number + 2))
        turns.add(other, CLEAN)
        busy.waits = False
        turns.release(busy)
        loop.run()
        assert busy.worked == [b"%d" % one for one in range(1, number + 1)]
    assert other.statuses == [204] * 3
