"""What clients get through real Squid when something can't be done, by fail mode: AUDIT's truth table."""

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import pytest
import requests
from stack import CLIENT_TIMEOUT, Stack, running_stack
from support.faults import limited
from support.icapd import until
from support.processes import workers_under

pytestmark = pytest.mark.squid

Mode = Literal["open", "closed"]
#: What a client asks for, and how it says what it takes.
CLIENTS = {
    "browser": {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"},
    "mcp": {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"},
}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read", "arguments": {}}}


@pytest.fixture(scope="module", params=["open", "closed"])
def mode(request: pytest.FixtureRequest) -> Mode:
    mode: Mode = request.param
    return mode


@pytest.fixture(scope="module")
def failing(mode: Mode) -> Iterator[Stack]:
    """A stack all of whose fail modes are the same."""
    with pytest.MonkeyPatch.context() as environment:
        for key in ("AUDIT_FAIL_MODE", "SERVICES_REQMOD_FAIL_MODE", "SERVICES_RESPMOD_FAIL_MODE"):
            environment.setenv(f"ICAPD_{key}", mode)
        with running_stack() as stack:
            yield stack
            assert stack.failures() == []


def full_disk(stack: Stack) -> AbstractContextManager[None]:
    return limited(workers_under(stack.icapd.pid), resource.RLIMIT_FSIZE, lambda _: 0)


def broken_rules(stack: Stack) -> AbstractContextManager[None]:
    (stack.options.state / "rules" / "credentials.toml").write_text("[[rule")
    until(lambda: "credentials.toml" in stack.icapd_command("status"))
    return nullcontext()


FAULTS: dict[str, Callable[[Stack], AbstractContextManager[None]]] = {
    "": lambda _: nullcontext(),
    "disk full": full_disk,
    "rules broken": broken_rules,
}

PASSES, REDACTED, NOT_RECORDED, NOT_INSPECTED = "passes", "redacted", 503, 403
#: Fault, path and, in each mode, what comes of it. What is too large to be held back flows through a window.
TABLE = [
    pytest.param("disk full", "/secret", {"open": REDACTED, "closed": NOT_RECORDED}, id="audit-down"),
    pytest.param("", "/secret-large", {"open": REDACTED, "closed": REDACTED}, id="too-large"),
    pytest.param("", "/bomb", {"open": PASSES, "closed": NOT_INSPECTED}, id="gzip-bomb"),
    pytest.param("", "/unknown-coding", {"open": PASSES, "closed": NOT_INSPECTED}, id="unknown-coding"),
    # Last, for it stays so.
    pytest.param("rules broken", "/secret", {"open": REDACTED, "closed": REDACTED}, id="rules-broken"),
]


@pytest.mark.parametrize(("fault", "path", "outcomes"), TABLE)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_client_gets(
    failing: Stack, mode: Mode, client: str, fault: str, path: str, outcomes: dict[Mode, str | int]
) -> None:
    with failing.session() as session:
        # Of a CONNECT that is blocked a client shows no page.
        ask(session, failing.url("/clean"), "browser")
        with FAULTS[fault](failing):
            answer = ask(session, failing.url(path), client)
    outcome = outcomes[mode]
    if isinstance(outcome, str):
        assert answer.status_code == 200
        assert ("[REDACTED]" in answer.text) == (outcome == REDACTED)
        assert not any(secret in answer.text for secret in failing.origin.secrets)
        return
    assert answer.status_code == outcome
    assert answer.headers["X-Icapd-Txn"] in answer.text
    if client == "mcp":
        assert "application/json" in answer.headers["Content-Type"]
        json.loads(answer.text)
    else:
        assert answer.text.startswith("<!DOCTYPE html>")


def ask(session: requests.Session, url: str, client: str) -> requests.Response:
    if client == "mcp":
        return session.post(url, json=CALL, headers=CLIENTS[client], timeout=CLIENT_TIMEOUT)
    return session.get(url, headers=CLIENTS[client], timeout=CLIENT_TIMEOUT)
