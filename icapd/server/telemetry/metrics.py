"""What is counted (Prometheus; docs/metrics.md). No label holds anything a user sent: labels.py."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from icapd.audit import AuditRecord
from icapd.server.control.supervision import WorkerStatus
from icapd.server.supervision.messages import Shipped
from icapd.server.telemetry.instruments import Count, Spread, Spreads, Tally
from icapd.server.telemetry.labels import CLOSED, EXPIRIES, RELOAD_RESULTS, STAGES

#: Seconds. From a GET that is answered at once to a large body that flows for minutes.
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 300)
#: Seconds of work, without the waiting for more bytes.
_WORK_SECONDS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1)


class Metrics:
    """What one worker counts. One registry each, so that two in one process don't mix."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._transactions = Tally(
            "icapd_transactions", "Recorded transactions.", ("method", "verdict", "disposition"), registry
        )
        self._uninspected = Tally(
            "icapd_uninspected",
            "Transactions not, or not wholly, inspected.",
            ("method", "reason"),
            registry,
        )
        self._findings = Tally("icapd_findings", "Findings by rule.", ("rule",), registry)
        self._body_bytes = Tally("icapd_body_bytes", "Bytes of bodies received.", ("method",), registry)
        self._seconds = Spreads(
            "icapd_transaction_seconds",
            "From a request's head to its last record.",
            _SECONDS,
            registry,
            label="method",
            values=sorted(CLOSED["method"]),
        )
        self._stages = Spreads(
            "icapd_stage_seconds",
            "Work on one transaction, by stage.",
            _WORK_SECONDS,
            registry,
            label="stage",
            values=STAGES,
        )
        self.received_bytes = Count("icapd_received_bytes", "Bytes of ICAP connections received.", registry)
        self.sent_bytes = Count("icapd_sent_bytes", "Bytes of ICAP connections sent.", registry)
        self.options = Count("icapd_options", "OPTIONS requests answered.", registry)
        self.protocol_errors = Counter(
            "icapd_protocol_errors", "ICAP errors answered.", ("status",), registry=registry
        )
        self.connections = Gauge("icapd_connections", "Open ICAP connections.", registry=registry)
        self.overloaded = _overloaded(registry)
        self.queue_waiting = Gauge(
            "icapd_queue_waiting", "Connections whose bytes wait for their turn.", registry=registry
        )
        self.queue_oldest = Gauge(
            "icapd_queue_oldest_wait_seconds",
            "How long the oldest of them has been waiting; of all workers the longest.",
            registry=registry,
        )
        self.body_memory = Gauge(
            "icapd_body_memory_bytes", "Bodies that are held back until their verdict.", registry=registry
        )
        self._audit_lag = Spreads(
            "icapd_audit_lag_seconds",
            "From the end of a transaction to its durable record.",
            _WORK_SECONDS,
            registry,
        )
        self.audit_lag: Spread = self._audit_lag[""]
        self.audit_failures = Counter(
            "icapd_audit_failures", "Records that could not be written.", registry=registry
        )
        self.refused = Counter(
            "icapd_refused_connections", "Connections refused: not from allowed networks.", registry=registry
        )
        self.tls_failures = Counter(
            "icapd_tls_handshake_failures", "TLS handshakes that failed.", registry=registry
        )

        self.shadow_verdicts = Tally(
            "icapd_shadow_verdicts",
            "Messages by what was done and what the shadow policy would have done.",
            ("live", "shadow"),
            registry,
        )
        self.shadow_dropped = Tally(
            "icapd_shadow_dropped", "Messages that the shadow policy did not judge.", ("cause",), registry
        )

    def observe(self, record: AuditRecord) -> None:
        """Count one transaction by its final record."""
        method = record.method_icap
        self._transactions.add((method, record.verdict, record.disposition))
        self._seconds[method].observe(record.latency_us / 1e6)
        if size := record.request_bytes + record.response_bytes:
            self._body_bytes.add((method,), size)
        if record.skip_reason:
            self._uninspected.add((method, record.skip_reason))
        for finding in record.findings:
            self._findings.add((finding.rule_id,))

    def stage(self, name: str) -> Spread:
        """The histogram of one stage; to be asked for once and kept. KeyError: labels.py does not have it."""
        return self._stages[name]

    def text(self) -> str:
        """All of it, as Prometheus text."""
        return generate_latest(self.registry).decode()


class SupervisorMetrics:
    """What the supervisor counts itself; added to what its workers count."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        reloads = Counter("icapd_policy_reloads", "Policy reloads.", ("result",), registry=registry)
        #: By result. There from the start, so that the first refusal is a rise that an alert can see.
        self.reloads = {result: reloads.labels(result) for result in RELOAD_RESULTS}
        self.refused_since = Gauge(
            "icapd_policy_refused_since_seconds",
            "Since when the rule files on disk are refused, in seconds since 1970; 0 when they are in force.",
            registry=registry,
        )
        exceptions = Gauge(
            "icapd_policy_exceptions", "Exceptions of the policy.", ("expiry",), registry=registry
        )
        self.exceptions = {expiry: exceptions.labels(expiry) for expiry in EXPIRIES}
        self.refused = Counter(
            "icapd_refused_connections",
            "Connections refused: not from allowed networks.",
            registry=registry,
        )
        self.worker_restarts = Counter(
            "icapd_worker_restarts",
            "Workers that ended by themselves and were started again.",
            registry=registry,
        )
        self._shipped = Counter(
            "icapd_audit_shipped", "Audit entries brought to the database.", registry=registry
        )
        self._dead_letters = Counter(
            "icapd_audit_dead_letters", "Audit entries that the database refused.", registry=registry
        )
        self._backlog = Gauge(
            "icapd_audit_backlog_entries",
            "Audit entries that are not in the database yet.",
            registry=registry,
        )
        self._oldest = Gauge(
            "icapd_audit_backlog_since_seconds",
            "When the oldest of them occurred, in seconds since 1970; 0 when there is none.",
            registry=registry,
        )
        self._outbox_size = Gauge("icapd_audit_outbox_bytes", "Bytes of the outboxes.", registry=registry)
        self._checkpointed = Gauge(
            "icapd_audit_last_checkpoint_seconds",
            "When the newest checkpoint was signed, in seconds since 1970; 0 when none was.",
            registry=registry,
        )
        self.overloaded = _overloaded(registry)
        workers = Gauge("icapd_workers", "Workers.", ("state",), registry=registry)
        self._workers = {state: workers.labels(state) for state in sorted(CLOSED["state"])}

    def observe_shipping(self, shipped: Shipped) -> None:
        """Count what the process that ships audit records has told."""
        self._shipped.inc(shipped.shipped)
        self._dead_letters.inc(shipped.dead_letters)
        self._backlog.set(shipped.backlog)
        self._oldest.set(shipped.oldest)
        self._outbox_size.set(shipped.size)
        self._checkpointed.set(shipped.checkpointed)

    def text(self, workers: Sequence[WorkerStatus]) -> str:
        """All of it, as Prometheus text."""
        for state, gauge in self._workers.items():
            gauge.set(sum(worker.state == state for worker in workers))
        return generate_latest(self.registry).decode()


def _overloaded(registry: CollectorRegistry) -> Gauge:
    """Told by whoever admits connections: the supervisor, or a site's own pyicap server."""
    return Gauge(
        "icapd_overloaded_connections",
        "Of them, connections over capacity, whose messages meet the fail mode.",
        registry=registry,
    )
