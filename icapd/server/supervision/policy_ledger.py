"""Keeps account of the policy in force: what was taken, what was refused and since when, what ends."""

import time
from datetime import UTC, datetime
from functools import partial

import structlog

from icapd.audit.storable import fit_text
from icapd.server.control.supervision import ReloadResult
from icapd.server.supervision.messages import Note, Started
from icapd.server.supervision.policy_state import PolicyState
from icapd.server.telemetry.metrics import SupervisorMetrics

log = structlog.get_logger()

#: Characters of a refusal that pages and audit rows show.
_MAX_PROBLEM = 1000


class PolicyLedger:
    """What the log, the metrics, /readyz and the audit trail tell about the policy."""

    def __init__(self, metrics: SupervisorMetrics) -> None:
        self._metrics = metrics
        self._state = PolicyState()
        self._problem = ""
        self._refused_since = 0.0
        #: The end of an exception at which the policy is loaded anew.
        self._next_end = float("inf")
        metrics.refused_since.set_function(lambda: self._refused_since)
        for expiry, gauge in metrics.exceptions.items():
            gauge.set_function(partial(self._count, expiry))

    def in_force(self, policy: Started) -> None:
        """The workers serve this policy."""
        self._state = policy.state
        self._next_end = policy.state.next_end(time.time())
        self._problem, self._refused_since = "", 0.0
        for line in policy.state.lines:
            log.warning("policy-exception", problem=line)
        if policy.state.shadow:
            log.info("shadow", digest=policy.state.shadow)
        if policy.state.shadow_problem:
            log.error("shadow-refused", problem=policy.state.shadow_problem)

    def reloaded(self, result: ReloadResult, policy: Started | None) -> Note:
        """A reload has ended; `policy`: what is in force now. Returns what the audit trail is to keep."""
        before, key_before = self._state.digest, self._state.key_id
        self._metrics.reloads["taken" if result.taken else "refused"].inc()
        if result.taken:
            log.info("reloaded", packs=list(result.packs), mode=result.mode, istag=result.istag)
            if policy is not None:
                self.in_force(policy)
            detail = {"before": before, "after": self._state.digest}
            if self._state.key_id != key_before:
                detail["fingerprint_key"] = self._state.key_id
            return Note("policy-taken", detail)
        log.error("reload-refused", problem=result.problem, still=result.istag)
        self._problem = fit_text(result.problem, _MAX_PROBLEM)
        self._refused_since = self._refused_since or time.time()
        return Note("policy-refused", {"still": before, "problem": self._problem})

    def _count(self, expiry: str) -> float:
        return self._state.count(time.time())[expiry]

    @property
    def remarks(self) -> list[str]:
        """What a person should see to, though traffic is served."""
        remarks = []
        if self._problem:
            since = datetime.fromtimestamp(self._refused_since, UTC)
            remarks.append(
                f"the rule files on disk are refused since {since:%Y-%m-%dT%H:%M:%SZ}: {self._problem}"
            )
        if self._state.shadow_problem:
            remarks.append(f"the shadow policy is refused: {self._state.shadow_problem}")
        return [" ".join(remark.split()) for remark in remarks]

    def is_due(self, now: float) -> bool:
        """Whether an exception has ended since the policy was loaded; true once for each."""
        if now < self._next_end:
            return False
        self._next_end = self._state.next_end(now)
        return True
