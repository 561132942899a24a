"""`kill -9` of icapd in the middle of a load: what clients saw is on record."""

import contextlib
import os
import signal
import threading

import pytest
import requests
from stack import CLIENT_TIMEOUT, Stack, running_stack
from support.icapd import until

from icapd.fleet import demo

pytestmark = pytest.mark.squid

CLIENTS = 4
VERDICTS_BEFORE_THE_KILL = 200


class Load:
    """Clients that ask, one request after the other, until they are told to stop."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self._verdicts = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        #: The ids on the block pages that clients saw.
        self.blocked: list[str] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for_verdicts(self, count: int) -> None:
        for _ in range(count):
            assert self._verdicts.acquire(timeout=CLIENT_TIMEOUT)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with self._stack.session() as session:
            while not self._stop.is_set():
                # Squid 5.7 closes the connection behind a block page (bug 5187) just when the client may be
                # about to use it again.
                with contextlib.suppress(requests.ConnectionError):
                    self._get_secret(session)
                    self._post_attack(session)

    def _get_secret(self, session: requests.Session) -> None:
        answer = session.get(self._stack.url("/secret"), timeout=CLIENT_TIMEOUT)
        if "[REDACTED]" in answer.text:
            self._verdicts.release()

    def _post_attack(self, session: requests.Session) -> None:
        attack = {"id": "1' UNION SELECT name FROM users --"}
        answer = session.post(self._stack.url("/echo"), data=attack, timeout=CLIENT_TIMEOUT)
        if "X-Icapd-Txn" in answer.headers:
            self.blocked.append(answer.headers["X-Icapd-Txn"])
            self._verdicts.release()


def test_every_verdict_that_a_client_saw_has_its_row() -> None:
    with running_stack() as stack:
        load = Load(stack)
        load.start()
        try:
            load.wait_for_verdicts(VERDICTS_BEFORE_THE_KILL)
            os.kill(stack.icapd.pid, signal.SIGKILL)
            # Clients may all be between two messages: they ask on until Squid has noticed.
            until(lambda: bool(stack.failures()))
        finally:
            load.stop()
        # A new icapd puts on record what the dead one left half done.
        with demo.start_icapd(stack.options):
            recorded = {(row["txn_id"], row["method_icap"]) for row in stack.audit()}
        seen = {
            (transaction.txn_id, transaction.method)
            for transaction in stack.icap_transactions()
            if transaction.status in (200, 204)
        }
        # What the other tests take for good health would have told them otherwise.
        assert stack.failures()
    assert len(seen) >= VERDICTS_BEFORE_THE_KILL
    assert seen <= recorded
    assert load.blocked
    assert {(txn_id, "REQMOD") for txn_id in load.blocked} <= recorded
