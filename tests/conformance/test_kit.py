"""The kit against a real `icapd serve`, with each engine: one test a line, so that a failure names it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from support.icapd import ICAPD, serving
from support.places import free_port

from icapd.conformance import CHECKS, Lab, Options, Status, Target, find_services
from icapd.conformance.kit import run_one

ENGINES = ["asyncio", "pyicap"]
#: Where the limit of icapd itself is waited for, it is shorter than what a check waits.
SERVER = '[server]\nlisten = "127.0.0.1:0"\nhttp_listen = ""\nhead_timeout = 1.0\nengine = "{}"\n'
#: How soon OPTIONS are answered is for users of the kit to see; here line 67 asserts that they wait for no
#: body under way, however busy the machine is.
OPTIONS = Options(timeout=20, pause=0.3, wait=5, options_limit=20)
#: Only in part, or not, to be seen from outside: docs/conformance.md has their tests.
NOT_SEEN = {29: Status.UNTESTABLE, 70: Status.SKIPPED, 78: Status.SKIPPED}
NOT_SEEN |= dict.fromkeys((71, 72, 75, 77), Status.UNTESTABLE)


@pytest.fixture(scope="module", params=ENGINES)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if request.param == "pyicap":
        pytest.importorskip("pyicap")
    # By the shipped rules, which know what the kit's messages have to be found by.
    text = SERVER.format(request.param) + "[policy]\n"
    with serving(tmp_path_factory.mktemp(request.param), text) as server:
        yield find_services(Target.parse(f"icap://127.0.0.1:{server.port}"), OPTIONS)


@pytest.mark.parametrize("line", CHECKS)
def test_line_holds(lab: Lab, line: int) -> None:
    result = run_one(lab, CHECKS[line])
    assert result.status is NOT_SEEN.get(line, Status.PASS), result.seen


@pytest.mark.parametrize("engine", ENGINES)
def test_lines_hold_over_tls(tmp_path: Path, engine: str) -> None:
    if engine == "pyicap":
        pytest.importorskip("pyicap")
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    (tmp_path / "server.pem").chmod(0o600)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    port = free_port()
    tls = f'listen_tls = "127.0.0.1:{port}"\n[tls]\ncertificate = "server.pem"\n'
    with serving(tmp_path, SERVER.format(engine) + tls):
        lab = find_services(Target.parse(f"icaps://127.0.0.1:{port}", tmp_path / "ca.pem"), OPTIONS)
        for line in (1, 13, 24, 30, 44, 67, 69, 78):
            result = run_one(lab, CHECKS[line])
            assert result.status is Status.PASS, f"line {line}: {result.seen}"


# --- the command


def conformance(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [ICAPD, "conformance", *arguments]
    wide = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=wide)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("icapd")) as server:
        yield f"icap://127.0.0.1:{server.port}"


def test_table_tells_each_line(url: str) -> None:
    outcome = conformance(url, "--only", "1-4,29")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "501 for an unknown method" in outcome.stdout
    assert "4 pass, 1 not testable from outside; MUSTs that fail: 0" in outcome.stdout
    # The progress bar is for a terminal.
    assert outcome.stderr == ""


def test_json_tells_each_line(url: str) -> None:
    outcome = conformance(f"{url}/respmod", "--only", "31", "--format", "json")
    assert outcome.returncode == 0
    document = json.loads(outcome.stdout)
    assert document["passes"] is True
    (line,) = document["lines"]
    assert (line["line"], line["level"], line["status"]) == (31, "MUST", "pass")
    assert line["requirement"] == CHECKS[31].requirement


def test_services_by_other_names_are_named(url: str) -> None:
    arguments = ("--reqmod", "reqmod", "--respmod", "/stream", "--only", "37")
    outcome = conformance(f"{url}/nowhere", *arguments)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_must_that_fails_is_exit_code_1(url: str) -> None:
    # Nothing is wrong with the server: 404 is no answer to REQMOD of a service that should be there.
    outcome = conformance(url, "--reqmod", "/nowhere", "--respmod", "/nowhere", "--only", "1")
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    assert "MUSTs that fail: 1" in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["http://127.0.0.1/"], 2, "icap://HOST[:PORT]/SERVICE", id="not an ICAP URL"),
        pytest.param(["icap://127.0.0.1:x/"], 2, "icap://127.0.0.1:x/", id="no port"),
        pytest.param(["icap://h/", "--only", "x"], 2, "24 or 30-35", id="no line"),
        pytest.param(["icap://h/", "--only", "99"], 2, "1 to 78", id="no such line"),
        pytest.param([], 2, "ICAP-URL", id="no URL"),
        pytest.param(["icap://127.0.0.1:1/"], 4, "is the server up?", id="nobody there"),
    ],
)
def test_usage_and_reach_have_exit_codes(arguments: list[str], code: int, message: str) -> None:
    outcome = conformance(*arguments)
    assert outcome.returncode == code
    assert message in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_server_that_is_no_icap_is_unreachable(url: str, tmp_path: Path) -> None:
    outcome = conformance(f"icaps://{url.removeprefix('icap://')}", "--timeout", "1")
    assert outcome.returncode == 4
    assert "no TLS" in outcome.stderr
    (tmp_path / "ca.pem").write_text("no certificate")
    outcome = conformance("icaps://127.0.0.1:1/", "--ca", str(tmp_path / "ca.pem"))
    assert outcome.returncode == 3
    assert "ca.pem" in outcome.stderr
