"""What scripts/run does once all is installed: says what to try, and it works; stops what it started."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest
from stack import CLIENT_TIMEOUT
from support.places import free_ports, state_directory

from icapd.fleet import probes

pytestmark = pytest.mark.squid


class Run:
    """The program, and what it printed so far."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self.state = state
        self.proxy_port, self.icap_port, self.http_port = free_ports(3)
        ports = [
            f"--proxy-port={self.proxy_port}",
            f"--icap-port={self.icap_port}",
            f"--http-port={self.http_port}",
        ]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "icapd.cli.demo", f"--state={state}", *ports, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.terminate()

    def wait_for_line(self, beginning: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if line.startswith(beginning):
                return line
        raise AssertionError(f"ended without a line {beginning!r}:\n{self.output}")

    def end(self) -> int:
        """Read to the end; the exit code."""
        rest, _ = self.process.communicate(timeout=CLIENT_TIMEOUT)
        self.output += rest
        return self.process.returncode

    def pid_of(self, name: str) -> int:
        return int(
            re.findall(rf"^==> starting {name}: port \d+, process (\d+)$", self.output, re.MULTILINE)[0]
        )

    def serves(self) -> bool:
        ports = (self.proxy_port, self.icap_port, self.http_port)
        return any(probes.accepts_connections(("127.0.0.1", port)) for port in ports)


@pytest.fixture
def run() -> Iterator[Callable[..., Run]]:
    """Starts the program, each time on the same state directory; none outlives the test."""
    with state_directory() as state, ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(Run(state, *arguments))


def shown_command(run: Run, path: str) -> str:
    """The line to try that ends in this path, as a person would copy it."""
    [line] = [line.strip() for line in run.output.splitlines() if line.endswith(path)]
    return line


def shell(command: str) -> str:
    """What a shown line prints; in an environment that would send localhost past the proxy."""
    environment = {"PATH": os.environ["PATH"], "no_proxy": "localhost,127.0.0.1"}
    answer = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        timeout=CLIENT_TIMEOUT,
        env=environment,
        check=True,
    )
    return answer.stdout


def test_shown_lines_do_what_they_say_and_a_stop_signal_stops_everything(run: Callable[..., Run]) -> None:
    running = run()
    assert str(running.proxy_port) in running.wait_for_line("ready")
    assert json.loads(shell(shown_command(running, "/clean")))["status"] == "ok"
    assert json.loads(shell(shown_command(running, "/secret")))["aws_access_key_id"] == "[REDACTED]"
    assert "blocked" in shell(shown_command(running, "/echo"))
    events = shell(shown_command(running, "/events"))
    assert events.count("data: ") == 5
    assert events.count("[REDACTED]") == 1
    shown = shell(shown_command(running, "audit search"))
    assert "redacted" in shown
    assert "blocked" in shown
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 0, running.output
    assert not running.serves()


@pytest.mark.parametrize(
    ("name", "number", "end"),
    [
        pytest.param("icapd", signal.SIGKILL, "by signal SIGKILL", id="icapd killed"),
        # Not killed, for it would leave its segments of /dev/shm behind.
        pytest.param("Squid", signal.SIGTERM, "with exit code 0", id="Squid stopped by another"),
    ],
)
def test_end_of_one_is_told_and_stops_the_other(
    run: Callable[..., Run], name: str, number: signal.Signals, end: str
) -> None:
    running = run()
    running.wait_for_line("ready")
    os.kill(running.pid_of(name), number)
    assert running.end() == 1
    assert f"scripts/run: {name} ended {end}" in running.output
    assert not running.serves()


def test_second_run_keeps_ca_records_and_edited_rules(run: Callable[..., Run]) -> None:
    first = run("--setup-only")
    assert first.end() == 0
    rules = first.state / "rules" / "content.toml"
    rules.write_text(rules.read_text() + "\n# mine\n")
    kept = {name: (first.state / name).read_bytes() for name in ("ca.pem", "ca.key", "rules/content.toml")}
    database = (first.state / "icapd.db").stat().st_ino
    second = run("--setup-only")
    assert second.end() == 0
    assert f"==> keeping {rules}: it was edited" in second.output
    assert {name: (first.state / name).read_bytes() for name in kept} == kept
    assert (first.state / "icapd.db").stat().st_ino == database


def test_port_in_use_is_told_with_the_flag_to_choose_another(run: Callable[..., Run]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = run(f"--icap-port={port}")
        assert running.end() == 3
    assert f"port {port} of 127.0.0.1 is taken; choose another with --icap-port" in running.output


def test_broken_rule_file_is_told_from_the_log_of_icapd(run: Callable[..., Run]) -> None:
    first = run("--setup-only")
    assert first.end() == 0
    (first.state / "rules" / "policy.toml").write_text("mode = 'enforcing'\n")
    running = run()
    assert running.end() == 1
    assert "icapd ended with exit code 3" in running.output
    assert "policy.toml" in running.output
    assert not running.serves()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(
            ["--allow-destination", "localhost"], "write HOST:PORT", id="destination without a port"
        ),
        pytest.param(["--origin-ca", "/no/such.pem"], "does not exist", id="no such CA"),
        pytest.param(["--proxy-port", "0"], "0 is not in the range", id="no port"),
        pytest.param(["--no-such-flag"], "No such option", id="unknown flag"),
    ],
)
def test_bad_flag_is_a_usage_error(run: Callable[..., Run], arguments: list[str], problem: str) -> None:
    running = run(*arguments)
    assert running.end() == 2
    assert problem in running.output
