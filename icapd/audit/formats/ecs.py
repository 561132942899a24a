"""Records as documents of the Elastic Common Schema; what it has no field for is under `icapd`."""

import json

from icapd import __version__
from icapd.audit import instants
from icapd.audit.formats.outcome import outcome, path_and_query, url, without_nothing
from icapd.audit.record import SEVERITIES, as_json
from icapd.audit.stored import StoredEvent

#: The version of the schema that documents are made to.
VERSION = "8.17.0"

_TYPES = {
    "allowed": "allowed",
    "blocked": "denied",
    "modified": "change",
    "detected": "info",
    "error": "error",
}
_REST = ("method_icap", "verdict", "disposition", "inspection", "risk_score", "policy_digest", "repeats")


def line(event: StoredEvent) -> str:
    """The record and its findings, as one line of JSON."""
    return json.dumps(document(event))


def document(event: StoredEvent) -> dict[str, object]:
    """The same as an object."""
    record = event.record
    done = outcome(record)
    path, query = path_and_query(record)
    rules = list(dict.fromkeys(finding.rule_id for finding in record.findings))
    values = as_json(record)
    return without_nothing(
        {
            "@timestamp": instants.iso(record.occurred_at),
            "ecs": {"version": VERSION},
            "event": {
                "kind": "alert" if record.findings else "event",
                "category": ["network", "web"],
                "type": ["access", _TYPES[done]],
                "action": record.disposition,
                "outcome": {"error": "failure"}.get(done, "success"),
                "provider": "icapd",
                "dataset": "icapd.audit",
                "id": record.event_id,
                "sequence": event.writer_seq,
                "hash": event.chain.hex() if event.chain else None,
                "reason": record.skip_reason,
                "risk_score": record.risk_score,
                "severity": max(
                    (SEVERITIES.index(f.severity) + 1 for f in record.findings if f.severity in SEVERITIES),
                    default=0,
                ),
                # In nanoseconds.
                "duration": record.latency_us * 1000,
                "ingested": instants.iso(event.recorded_at),
            },
            "rule": {"id": rules, "ruleset": list(dict.fromkeys(rule.partition(".")[0] for rule in rules))},
            "source": {"ip": record.client_ip, "address": record.client_ip},
            "user": {"name": record.client_user},
            "url": {
                "full": url(record),
                "scheme": record.scheme,
                "domain": record.host,
                "port": record.port,
                "path": path,
                "query": query,
            },
            "http": {
                "request": {"method": record.http_method, "body": {"bytes": record.request_bytes}},
                "response": {"status_code": record.http_status, "body": {"bytes": record.response_bytes}},
            },
            "transaction": {"id": record.txn_id},
            "observer": {
                "name": event.node,
                "product": "icapd",
                "vendor": "icapd",
                "type": "proxy",
                "version": __version__,
            },
            "icapd": {
                **{name: values.get(name) for name in _REST},
                "content_type": record.content_type,
                "writer_id": event.writer_id,
                "findings": values["findings"],
            },
        }
    )
