"""What the server counts (Prometheus). No label holds anything a user sent."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from icapd.audit import AuditRecord

# From a GET that is answered at once to a large body that flows for minutes.
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 300)


class Metrics:
    """One registry per server, so that two in one process don't mix."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.options = Counter("icapd_options", "OPTIONS requests answered.", registry=registry)
        self.transactions = Counter(
            "icapd_transactions",
            "Recorded transactions.",
            ("method", "verdict", "disposition"),
            registry=registry,
        )
        self.uninspected = Counter(
            "icapd_uninspected",
            "Transactions not, or not wholly, inspected.",
            ("method", "reason"),
            registry=registry,
        )
        self.findings = Counter("icapd_findings", "Findings by rule.", ("rule",), registry=registry)
        self.body_bytes = Counter(
            "icapd_body_bytes", "Bytes of bodies received.", ("method",), registry=registry
        )
        self.seconds = Histogram(
            "icapd_transaction_seconds",
            "From a request's head to its last record.",
            ("method",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.connections = Gauge("icapd_connections", "Open ICAP connections.", registry=registry)
        self.refused = Counter(
            "icapd_refused_connections", "Connections over max_connections.", registry=registry
        )
        self.protocol_errors = Counter(
            "icapd_protocol_errors", "ICAP errors answered.", ("status",), registry=registry
        )
        self.audit_failures = Counter(
            "icapd_audit_failures", "Records that could not be written.", registry=registry
        )
        self.reloads = Counter("icapd_policy_reloads", "Policy reloads.", ("result",), registry=registry)

    def observe(self, record: AuditRecord) -> None:
        """Count one transaction by its final record."""
        method = record.method_icap
        self.transactions.labels(method, record.verdict, record.disposition).inc()
        self.body_bytes.labels(method).inc(record.request_bytes + record.response_bytes)
        self.seconds.labels(method).observe(record.latency_us / 1e6)
        if record.skip_reason:
            self.uninspected.labels(method, record.skip_reason).inc()
        for finding in record.findings:
            self.findings.labels(finding.rule_id).inc()
