"""The shadow policy: it judges what is over, stores what it would do otherwise, and is in nobody's way."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support import wire
from support.adapting import adapt, catalogue_of, respmod_of
from support.icapd import ask, serving, until
from support.policies import KEY, RULES, demo_policy
from support.sessions import Workbench
from support.trail import Trail

from icapd.audit import migrations
from icapd.audit.shadow import ShadowRecord, counts, examples
from icapd.cli import main
from icapd.icap import Connection, ModRequest
from icapd.policy import Policy, load_policy
from icapd.server import shadow as shadow_module
from icapd.server.shadow import Shadow
from icapd.services.catalogue import Catalogue
from icapd.services.identity import Identity
from icapd.services.replay import Seen, replay

STRICTER = RULES.replace('action = "log"', 'action = "block"')


def policies(directory: Path) -> tuple[Policy, Policy]:
    """The one in force, and a candidate that blocks what is only logged."""
    for name, rules in (("live", RULES), ("candidate", STRICTER)):
        (directory / name).mkdir()
        demo_policy(directory / name, rules=rules)
    return load_policy(directory / "live"), load_policy(directory / "candidate")


class Shadowed:
    """Sessions whose transactions a shadow policy judges as well."""

    def __init__(self, directory: Path) -> None:
        live, candidate = policies(directory)
        self.bench = Workbench(live, directory)
        self.trail = Trail(directory, f"sqlite:///{directory}/icapd.db")
        migrations.upgrade(self.trail.url)
        self.metrics = self.bench.context.metrics
        self.shadow = Shadow(self.metrics, self.bench.audit, share=1.0)
        self.bench.context = replace(self.bench.context, over=self.shadow.offer)
        self.candidate = catalogue_of(candidate)

    def run(self, *messages: bytes) -> None:
        session = self.bench.session()
        for message in messages:
            session.receive(message)

    def counted(self) -> dict[str, float]:
        return {
            line.partition(" ")[0].removeprefix("icapd_shadow_"): float(line.rpartition(" ")[2])
            for line in self.metrics.text().splitlines()
            if line.startswith(("icapd_shadow_verdicts_total", "icapd_shadow_dropped_total"))
        }

    def rows(self) -> list[ShadowRecord]:
        self.shadow.close()
        self.trail.ship()
        return list(examples(self.trail.url, None, 100))


@pytest.fixture
def shadowed(tmp_path: Path) -> Any:
    made = Shadowed(tmp_path)
    yield made
    made.shadow.close()
    made.bench.close()


def response(body: bytes) -> bytes:
    return wire.respmod(wire.OK, wire.chunked(body, ieof=True), Preview="65535", Allow="204")


CLEAN, NOTED, SECRET = response(b'"clean"'), response(b'"NOTE-ME"'), response(b'"%b"' % KEY)
ALIKE = 'verdicts_total{live="allowed",shadow="allowed"}'
OTHERWISE = 'verdicts_total{live="logged",shadow="blocked"}'


def test_what_it_would_do_is_counted_and_what_is_otherwise_stored(shadowed: Shadowed) -> None:
    shadowed.shadow.judge_by(shadowed.candidate)
    shadowed.run(CLEAN, NOTED, SECRET)
    redacted = 'verdicts_total{live="redacted",shadow="redacted"}'
    until(lambda: shadowed.counted() == {ALIKE: 1, OTHERWISE: 1, redacted: 1})
    live = [record for record in shadowed.bench.audit.records if record.verdict == "logged"]
    assert shadowed.rows() == [
        ShadowRecord(
            occurred_at=live[0].occurred_at,
            txn_id=live[0].txn_id,
            method_icap="RESPMOD",
            live_effect="logged",
            shadow_effect="blocked",
            live_rules="demo.note",
            shadow_rules="demo.note",
            live_digest=live[0].policy_digest,
            shadow_digest=shadowed.candidate.policy.digest,
        )
    ]
    (kind,) = counts(shadowed.trail.url, None)
    assert (kind.live_effect, kind.shadow_effect, kind.shadow_rules, kind.count) == (
        "logged",
        "blocked",
        "demo.note",
        1,
    )


def test_without_a_candidate_nothing_is_judged(shadowed: Shadowed) -> None:
    shadowed.run(NOTED)
    shadowed.shadow.judge_by(shadowed.candidate)
    shadowed.run(CLEAN)
    until(lambda: shadowed.counted() == {ALIKE: 1})
    shadowed.shadow.judge_by(None)
    shadowed.run(NOTED)
    assert shadowed.rows() == []


def test_body_that_was_not_held_back_whole_is_not_judged(shadowed: Shadowed) -> None:
    shadowed.shadow.judge_by(shadowed.candidate)
    large = wire.respmod(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9000\r\n\r\n",
        wire.chunked(b"x" * 9000),
    )
    shadowed.run(large)
    assert shadowed.counted() == {'dropped_total{cause="not-held"}': 1}


def test_more_than_it_can_do_is_dropped(shadowed: Shadowed, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is at one message, others wait, and beyond a number are dropped."""
    at_it, go_on = threading.Event(), threading.Event()

    def judge(catalogue: Catalogue, seen: Seen) -> object:
        at_it.set()
        go_on.wait()
        return replay(catalogue, seen)

    monkeypatch.setattr(shadow_module, "replay", judge)
    monkeypatch.setattr(shadow_module, "MAX_WAITING", 2)
    shadowed.shadow.judge_by(shadowed.candidate)
    shadowed.run(CLEAN)
    assert at_it.wait(10)
    shadowed.run(CLEAN, CLEAN, CLEAN, CLEAN)
    assert shadowed.counted() == {'dropped_total{cause="busy"}': 2}
    go_on.set()
    until(lambda: shadowed.counted().get(ALIKE) == 3)
    assert [record.verdict for record in shadowed.bench.audit.records] == ["allowed"] * 5


def test_defect_in_it_is_nobodys_trouble(shadowed: Shadowed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_module, "replay", lambda *_: 1 / 0)
    shadowed.shadow.judge_by(shadowed.candidate)
    shadowed.run(CLEAN, CLEAN)
    until(lambda: shadowed.counted() == {'dropped_total{cause="failed"}': 2})


BODIES = [
    pytest.param(b'{"key": "%b"}' % KEY, b"application/json", id="redacted"),
    pytest.param(b"MALWARE!", b"text/plain", id="blocked"),
    pytest.param(b"NOTE-ME", b"text/plain", id="logged"),
    pytest.param(b"clean", b"text/plain", id="allowed"),
    pytest.param(b"\x89PNG\x00", b"image/png", id="not read"),
    pytest.param(b"a", b"application/x-program", id="blocked by its head"),
]


@pytest.mark.parametrize(("body", "content_type"), BODIES)
def test_same_policy_judges_the_same(tmp_path: Path, body: bytes, content_type: bytes) -> None:
    catalogue = catalogue_of(demo_policy(tmp_path))
    message = respmod_of(body, content_type, Allow="204")
    record = adapt(catalogue, message).record
    found = replay(catalogue, Seen(request_of(message.upfront), body, Identity(), 0))
    assert found.verdict == record.verdict
    assert list(found.rules) == list(dict.fromkeys(finding.rule_id for finding in record.findings))


def request_of(data: bytes) -> ModRequest:
    connection = Connection()
    connection.receive_data(data)
    request = connection.next_event()
    assert isinstance(request, ModRequest)
    return request


def test_what_only_watches_has_no_effect(tmp_path: Path) -> None:
    catalogue = catalogue_of(demo_policy(tmp_path, mode="monitor"))
    message = respmod_of(b"MALWARE!", b"text/plain", Allow="204")
    found = replay(catalogue, Seen(request_of(message.upfront), b"MALWARE!", Identity(), 0))
    assert (found.verdict, found.effect) == ("blocked", "allowed")


def test_candidate_beside_a_running_server(tmp_path: Path) -> None:
    policies(tmp_path)
    candidate = tmp_path / "candidate" / "demo.toml"
    settings = (
        '[server]\nworkers = 1\nlisten = "127.0.0.1:0"\n[policy]\ndirectory = "live"\nshadow = "candidate"\n'
    )
    with serving(tmp_path, settings) as server:
        with server.connect() as connection:
            assert b"X-Icapd-Verdict: logged" in ask(connection, NOTED)
        assert server.stop() == 0
        command = ["--config", str(tmp_path / "icapd.toml"), "rules", "shadow"]
        shown = json.loads(CliRunner().invoke(main, [*command, "--format", "json"]).stdout)
        table = CliRunner().invoke(main, command, env={"COLUMNS": "200"}).stdout
        (row,) = server.rows()
    assert shown["counts"] == [
        {"live_effect": "logged", "shadow_effect": "blocked", "shadow_rules": "demo.note", "count": 1}
    ]
    (example,) = shown["examples"]
    assert example["txn_id"] == row["txn_id"] and str(row["txn_id"]) in table
    candidate.write_text("[[rule")
    with serving(tmp_path, settings) as server:
        server.wait_for_log("event=shadow-refused")
        with server.connect() as connection:
            assert b"X-Icapd-Verdict: logged" in ask(connection, NOTED)
        candidate.write_text(STRICTER)
        server.wait_for_log("event=shadow ")
