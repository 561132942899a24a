"""`icapd reload`, `restart` and `status` against real servers."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import wire
from support.icapd import ICAPD, PATIENCE, Server, ask, configure, serving
from support.policies import RULES, demo_policy

SETTINGS = (
    '[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\nworkers = 2\n'
    '[policy]\ndirectory = "rules"\nwatch = false\n'
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "rules").mkdir()
    demo_policy(tmp_path / "rules")
    with serving(tmp_path, SETTINGS) as server:
        yield server


def icapd(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ICAPD, "--config", directory / "icapd.toml", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * PATIENCE,
    )


def status(server: Server) -> dict[str, list[dict[str, object]]]:
    done = icapd(server.directory, "status", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
    return found


def test_status_shows_listeners_and_workers(server: Server) -> None:
    with server.connect() as connection:
        ask(connection, wire.options())
        found = status(server)
        shown = icapd(server.directory, "status").stdout
    assert found["pid"] == server.process.pid
    assert found["unready"] is None
    assert f"icap 127.0.0.1:{server.port}" in found["listeners"]
    workers = found["workers"]
    assert [worker["state"] for worker in workers] == ["serving", "serving"]
    assert sum(int(str(worker["connections"])) for worker in workers) == 1
    assert len({worker["istag"] for worker in workers}) == 1
    assert {worker["restarts"] for worker in workers} == {0}
    for worker in workers:
        line = next(line for line in shown.splitlines() if line.startswith(f"{worker['pid']} "))
        assert line.split()[1] == "serving"
    assert f"listens on  icap 127.0.0.1:{server.port}" in shown


def test_reload_says_what_became_of_it(server: Server) -> None:
    before = status(server)["workers"][0]["istag"]
    (server.directory / "rules" / "demo.toml").write_text(RULES.replace("NOTE-ME", "TAKE-NOTE"))
    taken = icapd(server.directory, "reload")
    assert (taken.returncode, taken.stderr) == (0, "")
    after = {worker["istag"] for worker in status(server)["workers"]}
    assert before not in after
    assert taken.stdout == f"taken  istag {after.copy().pop()}  mode enforce  packs demo\n"
    (server.directory / "rules" / "demo.toml").write_text(RULES.replace('"redact"', '"delete"'))
    refused = icapd(server.directory, "reload")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr.startswith("Error: refused: ")
    assert "demo.toml" in refused.stderr
    assert f"still in force: istag {after.copy().pop()}" in refused.stderr
    assert {worker["istag"] for worker in status(server)["workers"]} == after


def test_restart_replaces_the_workers_and_keeps_the_port(server: Server) -> None:
    old = {worker["pid"] for worker in status(server)["workers"]}
    done = icapd(server.directory, "restart")
    assert (done.returncode, done.stderr) == (0, "")
    found = status(server)
    serving_now = [worker for worker in found["workers"] if worker["state"] == "serving"]
    assert len(serving_now) == 2
    assert not old & {worker["pid"] for worker in serving_now}
    assert found["pid"] == server.process.pid
    with server.connect() as connection:
        assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")
    assert server.stop() == 0


def test_restart_that_can_not_be_leaves_the_server_as_it_was(server: Server) -> None:
    old = {worker["pid"] for worker in status(server)["workers"]}
    config = server.directory / "icapd.toml"
    text = config.read_text()
    (server.directory / "rules" / "demo.toml").write_text("[[rule]\n")
    done = icapd(server.directory, "restart")
    assert (done.returncode, done.stdout) == (3, "")
    assert "demo.toml" in done.stderr
    assert "the old processes serve on" in done.stderr
    assert config.read_text() == text
    assert {worker["pid"] for worker in status(server)["workers"]} == old


@pytest.mark.parametrize("command", ["reload", "restart", "status"])
def test_nobody_answers(tmp_path: Path, command: str) -> None:
    configure(tmp_path)
    done = icapd(tmp_path, command)
    assert (done.returncode, done.stdout) == (4, "")
    assert f"{tmp_path / 'icapd.sock'}: no server answers" in done.stderr


@pytest.mark.parametrize("command", ["reload", "restart", "status"])
def test_control_that_is_off_is_named(tmp_path: Path, command: str) -> None:
    configure(tmp_path, '[server]\ncontrol = ""\n')
    done = icapd(tmp_path, command)
    assert (done.returncode, done.stdout) == (4, "")
    assert "server.control: is off" in done.stderr
