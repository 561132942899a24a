"""Records as events of OCSF (https://schema.ocsf.io): HTTP Activity, and for findings Data Security Finding.

Where OCSF has no attribute for something, it is under `unmapped`.
"""

import json
from collections.abc import Iterator

from icapd import __version__
from icapd.audit.formats.outcome import Outcome, outcome, path_and_query, url, without_nothing
from icapd.audit.record import SEVERITIES, AuditRecord, FindingRecord
from icapd.audit.stored import StoredEvent

#: The version of the schema that events are made to.
VERSION = "1.7.0"
HTTP_ACTIVITY, DATA_SECURITY_FINDING = 4002, 2006

#: `activity_id` of HTTP Activity; other methods are 99.
_METHODS = dict(
    zip("CONNECT DELETE GET HEAD OPTIONS POST PUT TRACE PATCH".split(), range(1, 10), strict=True)
)
_OTHER = 99
#: Outcome -> action_id, disposition_id: Allowed, Denied/Blocked, Modified/Corrected, Observed/Detected,
#: Other/Error.
_OUTCOMES: dict[Outcome, tuple[int, int]] = {
    "allowed": (1, 1),
    "blocked": (2, 2),
    "modified": (4, 11),
    "detected": (3, 15),
    "error": (99, 27),
}
#: The pack of a rule -> `category_id` of data: Personal, Security; cards and accounts are Financial.
_CATEGORIES = {"pii": 1, "credentials": 6}
_FINANCIAL, _FINANCIAL_WORDS = 3, ("card", "iban", "bank")
_SECURE_WEB_GATEWAY, _IN_TRANSIT = 5, 2
_CREATE, _SUCCESS, _FAILURE, _NEW = 1, 1, 2, 1


def lines(event: StoredEvent) -> Iterator[str]:
    """The transaction, then each of its findings, as lines of JSON."""
    yield json.dumps(http_activity(event))
    for item_no, finding in enumerate(event.record.findings, 1):
        yield json.dumps(data_security_finding(event, finding, item_no))


def http_activity(event: StoredEvent) -> dict[str, object]:
    """Class 4002."""
    record = event.record
    path, query = path_and_query(record)
    method = (record.http_method or "").upper()
    activity = _METHODS.get(method, _OTHER) if method else 0
    gravest = max(
        (SEVERITIES.index(one.severity) for one in record.findings if one.severity in SEVERITIES), default=0
    )
    return without_nothing(
        {
            **_base(event, HTTP_ACTIVITY, activity, gravest + 1),
            "activity_name": record.http_method,
            "metadata": _metadata(event, record.event_id),
            "status_id": _FAILURE if outcome(record) == "error" else _SUCCESS,
            "status_detail": record.skip_reason,
            "count": record.repeats,
            "http_request": {
                "http_method": record.http_method,
                "url": {
                    "url_string": url(record),
                    "scheme": record.scheme,
                    "hostname": record.host,
                    "port": record.port,
                    "path": path,
                    "query_string": query,
                },
                "body_length": record.request_bytes,
            },
            "http_response": {
                "code": record.http_status,
                "content_type": record.content_type if record.method_icap == "RESPMOD" else None,
                "body_length": record.response_bytes,
            },
            "unmapped": _unmapped(event),
        }
    )


def data_security_finding(event: StoredEvent, finding: FindingRecord, item_no: int) -> dict[str, object]:
    """Class 2006."""
    uid = f"{event.record.event_id}:{item_no}"
    severity = SEVERITIES.index(finding.severity) + 1 if finding.severity in SEVERITIES else 0
    return without_nothing(
        {
            **_base(event, DATA_SECURITY_FINDING, _CREATE, severity),
            "metadata": _metadata(event, uid),
            "status_id": _NEW,
            "count": event.record.repeats,
            "finding_info": {
                "uid": uid,
                "title": finding.rule_id,
                "created_time": _milliseconds(event.record.occurred_at),
                "analytic": {"uid": finding.rule_id, "type_id": 1, "type": "Rule"},
                "related_events": [{"uid": event.record.event_id, "type_uid": HTTP_ACTIVITY * 100}],
            },
            "data_security": {
                "category_id": _category(finding.rule_id),
                "detection_system_id": _SECURE_WEB_GATEWAY,
                "data_lifecycle_state_id": _IN_TRANSIT,
                "detection_pattern": finding.rule_id,
                "pattern_match": finding.excerpt,
                "policy": {"uid": event.record.policy_digest},
            },
            "unmapped": {
                **_unmapped(event),
                "action": finding.action,
                "target": finding.target,
                "fingerprint": finding.fingerprint,
            },
        }
    )


def _base(event: StoredEvent, class_uid: int, activity: int, severity: int) -> dict[str, object]:
    """What both classes have."""
    record = event.record
    action, disposition = _OUTCOMES[outcome(record)]
    return {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "time": _milliseconds(record.occurred_at),
        "severity_id": severity,
        "action_id": action,
        "disposition_id": disposition,
        "src_endpoint": {"ip": record.client_ip},
        "dst_endpoint": {"hostname": record.host, "port": record.port},
        "actor": {"user": {"name": record.client_user}},
    }


def _metadata(event: StoredEvent, uid: str) -> dict[str, object]:
    return {
        "version": VERSION,
        "product": {"name": "icapd", "vendor_name": "icapd", "version": __version__},
        "profiles": ["security_control"],
        "uid": uid,
        "correlation_uid": event.record.txn_id,
        "sequence": event.writer_seq,
        "logged_time": _milliseconds(event.recorded_at),
        "log_provider": event.node,
    }


def _unmapped(event: StoredEvent) -> dict[str, object]:
    record: AuditRecord = event.record
    return {
        "writer_id": event.writer_id,
        "chain": event.chain.hex() if event.chain else None,
        "occurred_at_us": record.occurred_at,
        "method_icap": record.method_icap,
        "verdict": record.verdict,
        "disposition": record.disposition,
        "inspection": record.inspection,
        "risk_score": record.risk_score,
        "policy_digest": record.policy_digest,
        "latency_us": record.latency_us,
    }


def _category(rule_id: str) -> int:
    pack = rule_id.partition(".")[0]
    if pack == "pii" and any(word in rule_id for word in _FINANCIAL_WORDS):
        return _FINANCIAL
    return _CATEGORIES.get(pack, _OTHER)


def _milliseconds(instant: int) -> int:
    return instant // 1000
