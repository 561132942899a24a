"""Rolling restarts of icapd under a loaded Squid: nobody notices, and everything is on record."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import requests
from stack import CLIENT_TIMEOUT, Stack, running_stack
from support.icapd import until

pytestmark = [pytest.mark.squid, pytest.mark.slow]

CLIENTS = 4
RESTARTS = 2
ANSWERS_BETWEEN = 100
RESTART_TIMEOUT = 180  # seconds; the load leaves a new process little of two cores
EXPECTED = {
    "/clean": {"message": "nothing to see here"},
    "/secret": {
        "keys": [
            {"name": "überschrift", "aws_access_key_id": "[REDACTED]"},
            {"name": "b", "port": 8443},
        ],
        "count": 2,
        "next": None,
    },
}


class Load:
    """Clients that ask, one request after the other, until they are told to stop."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._answers = threading.Semaphore(0)
        #: What was not as it should have been.
        self.failures: list[str] = []
        self.answers = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def wait_for_more(self) -> None:
        """Until there were some answers more than now."""
        while self._answers.acquire(blocking=False):
            self.answers += 1
        for _ in range(ANSWERS_BETWEEN):
            assert self._answers.acquire(timeout=CLIENT_TIMEOUT)
            self.answers += 1

    def _ask(self) -> None:
        with self._stack.session() as session:
            while not self._stop.is_set():
                for path, document in EXPECTED.items():
                    try:
                        answer = session.get(self._stack.url(path), timeout=CLIENT_TIMEOUT)
                        if answer.status_code != 200 or answer.json() != document:
                            self.failures.append(f"{path}: {answer.status_code} {answer.text[:200]}")
                    except requests.RequestException as error:
                        self.failures.append(f"{path}: {error}")
                    self._answers.release()


class Listener(threading.Thread):
    """A client of an event stream."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self._stack = stack
        self._first = threading.Event()
        self.events: list[dict[str, object]] = []
        #: Whether the stream ended before its end.
        self.was_cut = False

    def run(self) -> None:
        with self._stack.httpx_client() as client, client.stream("GET", self._stack.url("/ticks")) as answer:
            try:
                for line in answer.iter_lines():
                    if line:
                        self.events.append(json.loads(line.removeprefix("data: ")))
                        self._first.set()
            except httpx.RemoteProtocolError:
                self.was_cut = True

    def start(self) -> None:
        super().start()
        assert self._first.wait(CLIENT_TIMEOUT)

    def has_seen_no_secret(self) -> bool:
        """And every event up to the last one that it saw."""
        return self.events == [
            {"number": number, "aws_access_key_id": "[REDACTED]"} for number in range(len(self.events))
        ]


@contextmanager
def two_workers(monkeypatch: pytest.MonkeyPatch, shutdown_timeout: int) -> Iterator[Stack]:
    """A stack whose old workers have so many seconds for what is under way at a restart."""
    monkeypatch.setenv("ICAPD_SERVER_SHUTDOWN_TIMEOUT", str(shutdown_timeout))
    with running_stack(workers=2) as stack:
        try:
            yield stack
        finally:
            stack.origin.ticked.set()


def restart(stack: Stack) -> set[str]:
    """`icapd restart`; the processes that serve now."""
    printed = stack.icapd_command("restart", "--timeout", str(RESTART_TIMEOUT))
    assert printed.startswith("restarted")
    return set(printed.partition("workers ")[2].strip().split(", "))


def assert_all_is_on_record(stack: Stack) -> None:
    """What Squid asked is what was recorded: no transaction without its row, no row twice."""
    asked = [(transaction.txn_id, transaction.method) for transaction in stack.icap_transactions()]
    recorded = [(row["txn_id"], row["method_icap"]) for row in stack.audit()]
    assert sorted(asked) == sorted(recorded)


def test_rolling_restarts_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with two_workers(monkeypatch, shutdown_timeout=600) as stack:
        listener, load = Listener(stack), Load(stack)
        listener.start()
        generations: list[set[str]] = []
        with load.running():
            load.wait_for_more()
            for _ in range(RESTARTS):
                generations.append(restart(stack))
                load.wait_for_more()
        seen_by_then = len(listener.events)
        stack.origin.ticked.set()
        listener.join()
        assert load.failures == []
        assert [len(workers) for workers in generations] == [2] * RESTARTS
        assert len(set.union(*generations)) == 2 * RESTARTS
        # The stream goes on in the worker of before the first restart, to its own end.
        assert not listener.was_cut
        assert 0 < seen_by_then <= len(listener.events)
        assert listener.has_seen_no_secret()
        assert stack.failures() == []
        assert {transaction.status for transaction in stack.icap_transactions()} <= {200, 204, 206}
        assert_all_is_on_record(stack)


def test_stream_that_outlasts_the_shutdown_timeout_is_cut_and_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with two_workers(monkeypatch, shutdown_timeout=1) as stack:
        listener = Listener(stack)
        listener.start()
        restart(stack)
        listener.join(CLIENT_TIMEOUT)
        assert not listener.is_alive()
        assert listener.has_seen_no_secret()

        def reasons() -> list[tuple[str, str]]:
            rows = [
                row for row in stack.audit() if (row["path"], row["method_icap"]) == ("/ticks", "RESPMOD")
            ]
            return [(row["disposition"], row["skip_reason"]) for row in rows]

        # The client is told before the worker has written its last record.
        until(reasons)
        assert reasons() == [("cut", "server-stopped")]
