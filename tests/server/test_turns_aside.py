"""Turns whose commits are made aside: what goes on meanwhile, what waits, and what becomes of failures."""

import json
import resource
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support import wire
from support.policies import SECRET, demo_policy
from support.sessions import Workbench
from support.turns import CLEAN, LONG, STREAM, STREAM_END, Line, Loop

from icapd.audit import Commit
from icapd.errors import AuditError
from icapd.policy import Policy
from icapd.server.turns import MAX_RECORDS, Turns

SECRET_BODY = wire.respmod(wire.OK, wire.chunked(b"KEY-" + SECRET, ieof=True), Preview="1024")
NOT_RECORDED = b"could not be recorded"


class Thread:
    """Makes the commits, each when it is told to."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Commit, Callable[[Exception | None], None], Callable[[], None]]] = deque()
        #: How often there was a commit to be made.
        self.commits = 0

    def __call__(
        self, commit: Commit, landed: Callable[[Exception | None], None], overdue: Callable[[], None]
    ) -> None:
        assert not self._waiting
        self._waiting.append((commit, landed, overdue))
        self.commits += 1

    def land(self) -> None:
        """Make the commit that is on its way."""
        commit, landed, _ = self._waiting.popleft()
        try:
            commit()
        except Exception as error:
            landed(error)
        else:
            landed(None)
        self._loop.run()

    def land_all(self) -> None:
        while self._waiting:
            self.land()

    def be_late(self) -> None:
        """Let it take longer than it may."""
        self._waiting[0][2]()
        self._loop.run()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return demo_policy(tmp_path_factory.mktemp("rules"))


@pytest.fixture
def bench(policy: Policy, tmp_path: Path) -> Iterator[Workbench]:
    bench = Workbench(policy, tmp_path)
    yield bench
    bench.close()


class Scene:
    """Turns, the loop they are on, and the thread beside it."""

    def __init__(self, bench: Workbench) -> None:
        self.loop = Loop()
        self.thread = Thread(self.loop)
        self.context = replace(bench.context, blocks_unrecorded=True)
        self.turns = Turns(self.context, 10, self.loop.calls.append, LONG, self.thread)

    def send(self, line: Line, data: bytes) -> None:
        self.turns.add(line, data)
        self.loop.run()

    def lines(self, number: int) -> list[Line]:
        return [Line(self.context) for _ in range(number)]


@pytest.fixture
def scene(bench: Workbench) -> Scene:
    return Scene(bench)


def stored(bench: Workbench) -> list[str]:
    """The dispositions of the events in the outbox, in their order."""
    with closing(sqlite3.connect(bench.audit.file)) as connection:
        rows = connection.execute("SELECT body FROM entry WHERE kind = 'event' ORDER BY seq")
        return [json.loads(body)["disposition"] for (body,) in rows]


def streams(bench: Workbench) -> int:
    """How many messages are under way, as the outbox has it."""
    with closing(sqlite3.connect(bench.audit.file)) as connection:
        return int(connection.execute("SELECT count(*) FROM stream").fetchone()[0])


@contextmanager
def full_disk(bench: Workbench) -> Iterator[None]:
    """Meanwhile the outbox can't grow."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{bench.audit.file}-wal").stat().st_size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_while_a_commit_is_on_its_way_others_are_looked_at_and_share_the_next(scene: Scene) -> None:
    first, *others = scene.lines(4)
    for line in (first, *others):
        scene.send(line, CLEAN)
    assert scene.thread.commits == 1
    assert not any(line.sent for line in (first, *others))
    scene.thread.land()
    assert first.statuses == [204] and not any(line.sent for line in others)
    scene.thread.land()
    assert [line.statuses for line in others] == [[204]] * 3
    assert scene.thread.commits == 2


def test_what_comes_behind_a_record_on_its_way_waits_and_keeps_its_order(
    scene: Scene, bench: Workbench
) -> None:
    (line,) = scene.lines(1)
    for piece in (CLEAN, SECRET_BODY + wire.options(), CLEAN[:40], CLEAN[40:]):
        scene.send(line, piece)
    assert line.sent == b""
    scene.thread.land_all()
    assert line.statuses == [204, 200, 200, 204]
    assert stored(bench) == ["unmodified", "redacted", "unmodified"]


def test_no_more_records_than_a_commit_takes_pile_up(scene: Scene) -> None:
    lines = scene.lines(2 * MAX_RECORDS + 1)
    for line in lines:
        scene.send(line, CLEAN)
    assert sum(line.pending is not None for line in lines) == MAX_RECORDS + 1
    scene.thread.land_all()
    assert [line.statuses for line in lines] == [[204]] * len(lines)
    assert scene.thread.commits == 3


@pytest.mark.parametrize("data", [CLEAN, STREAM], ids=["whole", "flows"])
def test_a_client_that_goes_while_its_record_is_on_its_way_is_recorded_once(
    scene: Scene, bench: Workbench, data: bytes
) -> None:
    line, other = scene.lines(2)
    scene.send(line, data)
    scene.send(other, CLEAN)
    # What ends a flow is written on the loop, behind the commit that is on its way.
    (commit, landed, _) = scene.thread._waiting.popleft()
    commit()
    line.session.abandon("client-gone")
    landed(None)
    scene.loop.run()
    scene.thread.land_all()
    assert line.sent == b"" and other.statuses == [204]
    assert stored(bench) == (["unmodified"] * 2 if data is CLEAN else ["cut", "unmodified"])


def test_clients_that_go_at_once_share_a_commit_that_is_made_aside(scene: Scene, bench: Workbench) -> None:
    bench.audit.mode = "durable"
    lines = scene.lines(5)
    for line in lines:
        scene.send(line, STREAM)
    scene.thread.land_all()
    commits = scene.thread.commits
    for line in lines:
        line.session.abandon("client-gone")
        scene.turns.stage(line)
    assert stored(bench) == []
    scene.loop.run()
    scene.thread.land_all()
    assert scene.thread.commits == commits + 1
    assert stored(bench) == ["cut"] * 5 and streams(bench) == 0
    assert not any(line.pending for line in lines)


@pytest.mark.parametrize("fails", [False, True], ids=["kept", "refused"])
def test_a_client_that_goes_behind_its_first_record_has_one_row(
    scene: Scene, bench: Workbench, fails: bool
) -> None:
    bench.audit.mode = "durable"
    (line,) = scene.lines(1)
    scene.send(line, STREAM)
    line.session.abandon("client-gone")
    scene.turns.stage(line)
    scene.loop.run()
    if fails:
        commit, landed, _ = scene.thread._waiting.popleft()
        with full_disk(bench), pytest.raises(AuditError) as refused:
            commit()
        landed(refused.value)
        scene.loop.run()
    scene.thread.land_all()
    assert stored(bench) == ["cut"] and streams(bench) == 0
    assert line.sent == b""


def test_a_flow_that_has_more_to_record_meanwhile_waits_for_that(scene: Scene, bench: Workbench) -> None:
    (line,) = scene.lines(1)
    scene.send(line, STREAM)
    assert line.pending is not None
    # As when work that was apart comes back.
    line.pending.record = replace(line.pending.record, risk_score=7)
    scene.thread.land()
    assert line.sent == b"" and scene.thread.commits == 2
    scene.thread.land()
    assert line.statuses == [200]
    scene.send(line, STREAM_END)
    scene.thread.land_all()
    assert line.sent.endswith(STREAM_END)
    assert stored(bench) == ["echoed"]


def test_a_commit_that_fails_is_tried_record_by_record(
    scene: Scene, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, clean, secret = scene.lines(3)
    scene.send(first, CLEAN)
    scene.send(clean, CLEAN)
    scene.send(secret, SECRET_BODY)
    put = bench.audit._put

    def failing(entries):  # type: ignore[no-untyped-def]
        if any(record.verdict == "redacted" for _, record in entries):
            raise ZeroDivisionError
        put(entries)

    monkeypatch.setattr(bench.audit, "_put", failing)
    scene.thread.land_all()
    assert clean.statuses == [204]
    assert NOT_RECORDED in secret.sent and b"KEY-" not in secret.sent
    scene.send(secret, CLEAN)
    scene.thread.land_all()
    assert secret.statuses == [200, 204]


def test_a_commit_that_takes_too_long_is_waited_for_no_more(scene: Scene, bench: Workbench) -> None:
    bench.audit._lane._patience = bench.audit.patience = 0.0
    late, staged, behind, after = scene.lines(4)
    scene.send(late, CLEAN)
    scene.send(staged, CLEAN)
    scene.send(late, CLEAN)
    scene.thread.be_late()
    for line in (late, staged):
        assert NOT_RECORDED in line.sent
    # What comes meanwhile meets the fail mode at once.
    scene.send(behind, SECRET_BODY)
    assert NOT_RECORDED in behind.sent
    scene.thread.land()
    bench.audit._lane._patience = bench.audit.patience = LONG
    scene.send(after, CLEAN)
    scene.thread.land_all()
    assert after.statuses == [204]
    assert stored(bench) == ["unmodified"] * 2


@pytest.mark.parametrize("blocks", [True, False], ids=["closed", "open"])
def test_a_flow_whose_first_record_is_late_has_its_row_before_the_worker_ends(
    scene: Scene, bench: Workbench, blocks: bool
) -> None:
    scene.context = replace(scene.context, blocks_unrecorded=blocks)
    scene.turns._context = scene.context
    (line,) = scene.lines(1)
    scene.send(line, STREAM)
    scene.thread.be_late()
    assert (NOT_RECORDED in line.sent) == blocks
    scene.thread.land()
    if not blocks:
        bench.audit.check_writable()
        assert streams(bench) == 1
        scene.send(line, STREAM_END)
        scene.thread.land_all()
    bench.audit.check_writable()
    assert stored(bench) == (["cut"] if blocks else ["echoed"]) and streams(bench) == 0


@pytest.mark.parametrize("is_late", [True, False], ids=["late", "refused"])
def test_a_flow_whose_last_record_is_not_kept_in_time_has_one_row(
    scene: Scene, bench: Workbench, is_late: bool
) -> None:
    (line,) = scene.lines(1)
    scene.send(line, STREAM)
    scene.thread.land()
    scene.send(line, STREAM_END)
    if is_late:
        scene.thread.be_late()
        scene.thread.land()
    else:
        commit, landed, _ = scene.thread._waiting.popleft()
        with full_disk(bench), pytest.raises(AuditError) as refused:
            commit()
        landed(refused.value)
    assert line.pending is None
    bench.audit.check_writable()
    assert stored(bench) == (["echoed"] if is_late else ["cut"]) and streams(bench) == 0


def test_a_commit_that_is_over_is_never_late(scene: Scene) -> None:
    (line,) = scene.lines(1)
    scene.send(line, CLEAN)
    commit, landed, overdue = scene.thread._waiting.popleft()
    commit()
    overdue()
    assert line.sent == b""
    landed(None)
    assert line.statuses == [204]


class Slow(Line):
    """A connection whose work that is apart is done when it is told to."""

    def _work_apart(self) -> None:
        pass

    def work_apart(self) -> None:
        if self.session.apart is not None:
            self.session.apart.run()

    def rejoin(self) -> None:
        self.sent += self.session.rejoin()


@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "refused"])
def test_a_flow_whose_last_work_is_done_before_its_first_record_is_kept(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool
) -> None:
    bench = Workbench(policy, tmp_path, patience=-1.0)
    scene = Scene(bench)
    line = Slow(scene.context)
    scene.send(line, STREAM + STREAM_END)
    adaptation = line.session._adaptation
    assert adaptation is not None
    while line.work_apart() or not adaptation.is_done:
        line.rejoin()
        if line.pending is not None and not scene.thread.commits:
            scene.turns.stage(line)
            scene.loop.run()
            assert adaptation._flowing is not None
            adaptation._flowing.is_slow = True
    # The adaptation is over, and neither its thread nor that of the commit has come back.
    assert line.pending is not None and line.pending.phase == "open"
    if not keeps:
        bench.audit._lane._patience = bench.audit.patience = 0.0
        scene.thread.be_late()
    scene.thread.land()
    line.rejoin()
    if line.pending is not None:
        scene.turns.stage(line)
        scene.loop.run()
    scene.thread.land_all()
    assert line.statuses == [200]
    assert line.sent.endswith(STREAM_END) if keeps else NOT_RECORDED in line.sent
    assert stored(bench) == (["echoed"] if keeps else [])
    bench.close()


def test_a_flow_that_ended_while_its_commit_failed_is_recorded_once(scene: Scene, bench: Workbench) -> None:
    first, flows, other = scene.lines(3)
    scene.send(first, CLEAN)
    scene.send(flows, STREAM)
    scene.send(other, CLEAN)
    scene.thread.land()
    commit, landed, _ = scene.thread._waiting.popleft()
    with full_disk(bench), pytest.raises(AuditError) as refused:
        commit()
    flows.session.abandon("client-gone")
    landed(refused.value)
    scene.loop.run()
    scene.thread.land_all()
    assert other.statuses == [204]
    assert stored(bench) == ["unmodified", "cut", "unmodified"]
    assert streams(bench) == 0


def test_a_flow_that_has_more_to_record_when_its_commit_failed_is_tried_with_that(
    scene: Scene, bench: Workbench
) -> None:
    (line,) = scene.lines(1)
    scene.send(line, STREAM)
    assert line.pending is not None
    line.pending.record = replace(line.pending.record, risk_score=7)
    commit, landed, _ = scene.thread._waiting.popleft()
    with full_disk(bench), pytest.raises(AuditError) as refused:
        commit()
    landed(refused.value)
    scene.loop.run()
    scene.thread.land_all()
    assert line.statuses == [200] and NOT_RECORDED not in line.sent
    assert streams(bench) == 1
