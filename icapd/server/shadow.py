"""A candidate policy beside the one in force: it judges messages once they are over, and changes nothing.

A thread of its own takes what is offered, a bounded number of messages and bytes; what comes while that is
full is dropped, and counted. Each judgement is followed by a rest, so that the thread takes no more than its
share of a CPU. A judgement goes through the very state machine that traffic goes through.
"""

import threading
import time
from collections import deque
from typing import NamedTuple

import structlog

from icapd.audit import AuditWriter
from icapd.audit.shadow import MAX_RULES, ShadowRecord
from icapd.audit.storable import fit_text
from icapd.errors import AuditError
from icapd.server.telemetry.internal_error import log_internal_error
from icapd.server.telemetry.metrics import Metrics
from icapd.services.adaptation import Adaptation
from icapd.services.catalogue import Catalogue
from icapd.services.replay import Judgement, Seen, judgement, replay

log = structlog.get_logger()

#: Messages, and bytes of their bodies, that may wait.
MAX_WAITING, MAX_WAITING_BYTES = 256, 16 * 1024 * 1024
#: Rows are committed together, once this many seconds have passed, and no more of them than this.
FLUSH, MAX_ROWS = 1.0, 50
#: Seconds for the last rows when the server stops.
_LAST = 2.0


class _Waiting(NamedTuple):
    seen: Seen
    live: Judgement
    live_digest: str
    txn_id: str


class Shadow:
    """Judges by the candidate that is set; without one it does nothing."""

    def __init__(self, metrics: Metrics, audit: AuditWriter, share: float) -> None:
        """`share`: of the time of one CPU."""
        self._metrics, self._audit = metrics, audit
        self._rest = 1 / share - 1
        self._candidate: Catalogue | None = None
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._has_work, self._stopping = threading.Event(), threading.Event()
        self._rows: list[ShadowRecord] = []
        self._flushed = time.monotonic()
        self._thread: threading.Thread | None = None

    def judge_by(self, candidate: Catalogue | None) -> None:
        """From here on by this one; None: not at all."""
        self._candidate = candidate
        if candidate is not None and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
            self._thread.start()

    def offer(self, adaptation: Adaptation) -> None:
        """A transaction is over."""
        if self._candidate is None:
            return
        transaction, body = adaptation.transaction, adaptation.whole_body
        if body is None or transaction.disposition == "failed":
            self._metrics.shadow_dropped.add(("not-held",))
            return
        with self._lock:
            fits = len(self._waiting) < MAX_WAITING and self._bytes + len(body) <= MAX_WAITING_BYTES
            if fits:
                seen = Seen(transaction.request, body, transaction.identity, transaction.occurred_at)
                digest = transaction.policy.digest
                self._waiting.append(_Waiting(seen, judgement(transaction), digest, transaction.txn_id))
                self._bytes += len(body)
        if fits:
            self._has_work.set()
        else:
            self._metrics.shadow_dropped.add(("busy",))

    def close(self) -> None:
        """Judge no more; rows that wait are written."""
        self._stopping.set()
        self._has_work.set()
        if self._thread is not None:
            self._thread.join(_LAST)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._has_work.wait(None if not self._rows else FLUSH)
            began = time.thread_time()
            waiting = self._take()
            candidate = self._candidate
            if waiting is not None and candidate is not None:
                self._judge(waiting, candidate)
            if time.monotonic() - self._flushed >= FLUSH:
                self._flush()
            self._stopping.wait((time.thread_time() - began) * self._rest)
        self._flush()

    def _take(self) -> _Waiting | None:
        with self._lock:
            if not self._waiting:
                self._has_work.clear()
                return None
            waiting = self._waiting.popleft()
            self._bytes -= len(waiting.seen.body)
            return waiting

    def _judge(self, waiting: _Waiting, candidate: Catalogue) -> None:
        try:
            found = replay(candidate, waiting.seen)
        except Exception as error:
            self._metrics.shadow_dropped.add(("failed",))
            log_internal_error(error, waiting.txn_id)
            return
        live = waiting.live
        self._metrics.shadow_verdicts.add((live.effect, found.effect))
        if live.effect != found.effect and len(self._rows) < MAX_ROWS:
            self._rows.append(
                ShadowRecord(
                    occurred_at=waiting.seen.now_us,
                    txn_id=waiting.txn_id,
                    method_icap=waiting.seen.request.method.value,
                    live_effect=live.effect,
                    shadow_effect=found.effect,
                    live_rules=fit_text(" ".join(live.rules), MAX_RULES),
                    shadow_rules=fit_text(" ".join(found.rules), MAX_RULES),
                    live_digest=waiting.live_digest,
                    shadow_digest=candidate.policy.digest,
                )
            )

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        rows, self._rows = self._rows, []
        if rows:
            try:
                self._audit.write_shadow(rows)
            except AuditError as error:
                log.warning("shadow-not-stored", rows=len(rows), error=str(error))
