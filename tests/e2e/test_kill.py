"""`kill -9` of icapd in the middle of a load: what clients saw is on record."""

import os
import signal
import threading

import pytest
import requests
from stack import Stack, running_stack

from icapd.fleet import demo

pytestmark = pytest.mark.squid

CLIENTS = 4
ANSWERS_BEFORE_THE_KILL = 200


class Load:
    """Clients that ask until they get no more answers."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._answers = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]
        #: The ids on the block pages that clients saw.
        self.blocked: list[str] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for_answers(self, count: int) -> None:
        for _ in range(count):
            self._answers.acquire()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        asks = (self._get_secret, self._post_attack) if number % 2 else (self._post_attack, self._get_secret)
        with self._stack.session() as session:
            try:
                while all(ask(session) for ask in asks):
                    self._answers.release()
            except requests.RequestException:
                return

    def _get_secret(self, session: requests.Session) -> bool:
        answer = session.get(self._stack.url("/secret"))
        return answer.ok and answer.json()["keys"][0]["aws_access_key_id"] == "[REDACTED]"

    def _post_attack(self, session: requests.Session) -> bool:
        answer = session.post(self._stack.url("/echo"), data={"id": "1' UNION SELECT name FROM users --"})
        if "X-Icapd-Txn" in answer.headers:
            self.blocked.append(answer.headers["X-Icapd-Txn"])
        return answer.status_code == 403 and "X-Icapd-Txn" in answer.headers


def test_every_verdict_that_a_client_saw_has_its_row() -> None:
    with running_stack() as stack:
        load = Load(stack)
        load.start()
        load.wait_for_answers(ANSWERS_BEFORE_THE_KILL)
        os.kill(stack.icapd.pid, signal.SIGKILL)
        load.join()
        # A new icapd puts on record what the dead one left half done.
        with demo.start_icapd(stack.options):
            recorded = {(row["txn_id"], row["method_icap"]) for row in stack.audit()}
        seen = {
            (transaction.txn_id, transaction.method)
            for transaction in stack.icap_transactions()
            if transaction.status in (200, 204)
        }
    assert len(seen) >= ANSWERS_BEFORE_THE_KILL
    assert seen <= recorded
    assert load.blocked
    assert {(txn_id, "REQMOD") for txn_id in load.blocked} <= recorded
