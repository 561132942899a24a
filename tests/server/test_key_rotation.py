"""A new fingerprint key under a running server: taken by all workers at a reload, and on record."""

import asyncio
import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support import wire
from support.adapting import response
from support.icapd import ask, serving, until
from support.places import free_port
from support.policies import KEY, RULES, SECRET
from support.processes import workers_under

from icapd.cli import main
from icapd.inspection import Fingerprinter
from icapd.server.fingerprint_keys import load_keys
from icapd.server.supervision.messages import Prepared
from icapd.server.supervision.policy_reload import reload_all
from icapd.server.supervision.policy_state import PolicyState

JSON = b'{"key": "%b"}' % KEY


def icapd(directory: Path, *arguments: str, stdin: bytes = b"") -> Result:
    command = ["--config", str(directory / "icapd.toml"), *arguments]
    result = CliRunner().invoke(main, command, input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_workers_take_a_new_key_together_and_old_fingerprints_are_found(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "demo.toml").write_text(RULES)
    (rules / "policy.toml").write_text('packs = ["demo"]\n')
    settings = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "127.0.0.1:{free_port()}"\nworkers = 2\n'
    message = wire.respmod(response(JSON), wire.chunked(JSON), Allow="204")
    with serving(tmp_path, settings + '[policy]\ndirectory = "rules"\n') as server:

        def fingerprints() -> set[object]:
            """Of as many messages as meet both workers: two connections, for each goes to who has fewer."""
            before = {row["event_id"] for row in server.rows()}
            with server.connect() as one, server.connect() as other:
                for connection in (one, other, one, other):
                    assert b"KEY-[REDACTED]" in ask(connection, message)
            new = [row for row in server.rows() if row["event_id"] not in before]
            assert len(new) == 4
            return {finding["fingerprint"] for row in new for finding in row["findings"]}  # type: ignore[attr-defined]

        (first_key,) = load_keys(tmp_path / "fingerprint.key")
        first = Fingerprinter(first_key).fingerprint(SECRET)
        assert fingerprints() == {first}

        told = json.loads(icapd(tmp_path, "audit", "rotate-fingerprint-key", "--format", "json").stdout)
        second_key, *rest = load_keys(tmp_path / "fingerprint.key")
        assert rest == [first_key]
        second = Fingerprinter(second_key)
        assert told == {"key": second.key_id, "keys": [second.key_id, first.partition("-")[0]]}
        assert fingerprints() == {first}, "not before it is asked for"

        icapd(tmp_path, "reload")
        assert fingerprints() == {second.fingerprint(SECRET)}
        assert icapd(tmp_path, "audit", "fingerprint", stdin=SECRET).stdout.split() == [
            second.fingerprint(SECRET),
            first,
        ]
        found = icapd(tmp_path, "audit", "fingerprint", "--search", "--format", "jsonl", stdin=SECRET)
        assert len(found.stdout.splitlines()) == 12

        # A worker that starts anew reads the file, and then all do.
        icapd(tmp_path, "audit", "rotate-fingerprint-key")
        os.kill(workers_under(server.process.pid)[0], signal.SIGKILL)
        server.wait_for_log("event=reloaded")
        server.wait_for_log("event=reloaded")
        third = Fingerprinter(load_keys(tmp_path / "fingerprint.key")[0])
        assert fingerprints() == {third.fingerprint(SECRET)}

        # A half-written file changes nothing.
        whole = (tmp_path / "fingerprint.key").read_text()
        (tmp_path / "fingerprint.key").write_text(whole[:-20])
        refused = CliRunner().invoke(main, ["--config", str(tmp_path / "icapd.toml"), "reload"])
        assert refused.exit_code != 0 and "line 3 is not a key" in str(refused.output) + str(
            refused.exception
        )
        assert fingerprints() == {third.fingerprint(SECRET)}

        until(lambda: len(server.query(DEEDS)) >= 5)
        deeds = [(action, json.loads(detail)) for action, detail in server.query(DEEDS)]
        rotated, _ = [detail for action, detail in deeds if action == "fingerprint-key-added"]
        assert (rotated["key"], rotated["keys"]) == (told["key"], told["keys"]) and rotated["user"]
        taken = [detail["fingerprint_key"] for action, detail in deeds if action == "policy-taken"]
        assert taken == [second.key_id, third.key_id]
        for key in (first_key, second_key):
            assert key.hex() not in json.dumps(deeds) + server.log
        assert server.stop() == 0


DEEDS = (
    "SELECT action, detail FROM audit_admin"
    " WHERE action LIKE 'policy-%' OR action = 'fingerprint-key-added' ORDER BY occurred_at"
)


@dataclass
class Prepares:
    """As much of a worker as a reload asks for."""

    answer: Prepared
    took: list[Prepared] = field(default_factory=list)

    async def prepare(self) -> Prepared:
        return self.answer

    async def commit(self, prepared: Prepared) -> None:
        self.took.append(prepared)


@pytest.mark.parametrize(("one", "other", "taken"), [("a", "a", True), ("a", "b", False)])
def test_none_takes_what_not_all_have_read(one: str, other: str, taken: bool) -> None:
    workers = [Prepares(Prepared(1, "", "istag", state=PolicyState(key_id=key))) for key in (one, other)]
    result = asyncio.run(reload_all(workers))  # type: ignore[arg-type]
    assert bool(result.problem) is not taken
    assert taken or "the fingerprint keys, changed while they were loaded; try again" in result.problem
    assert [len(worker.took) for worker in workers] == [taken, taken]
