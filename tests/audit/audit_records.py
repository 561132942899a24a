"""Records to test with."""

from typing import Any

from icapd.audit import AuditRecord, FindingRecord, uuid7

NOON = 1_779_012_000_000_000  # 2026-05-17T10:00:00Z in microseconds

FINDING = FindingRecord("credentials.demo-key", "critical", "redact", "body", "de**********", "ab" * 16)


def make_record(**changes: Any) -> AuditRecord:
    """A plain record, or one with some fields changed."""
    values: dict[str, Any] = {
        "event_id": uuid7(),
        "txn_id": "node-1",
        "occurred_at": NOON,
        "method_icap": "REQMOD",
        "http_method": "POST",
        "scheme": "https",
        "host": "api.example.com",
        "port": 443,
        "path": "/v1/items?page=2",
        "client_ip": "192.0.2.7",
        "client_user": "alice",
        "verdict": "allowed",
        "disposition": "unmodified",
        "inspection": "complete",
        "request_bytes": 120,
        "content_type": "application/json",
        "policy_digest": "0" * 64,
        "latency_us": 150,
    }
    return AuditRecord(**(values | changes))
