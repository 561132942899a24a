"""The JSON of a record: a contract with other programs."""

import json
from dataclasses import FrozenInstanceError

import pytest
from audit_records import FINDING, make_record

from icapd.audit.record import as_json

KEYS = (
    "event_id txn_id occurred_at method_icap http_method scheme host port path client_ip client_user verdict"
    " disposition inspection skip_reason request_bytes response_bytes content_type http_status risk_score"
    " policy_digest latency_us findings"
).split()
FINDING_KEYS = ["rule_id", "severity", "action", "target", "excerpt", "fingerprint"]


def test_json_has_the_contract_s_keys_in_its_order() -> None:
    values = json.loads(json.dumps(as_json(make_record(findings=(FINDING,)))))
    assert list(values) == KEYS
    assert [list(item) for item in values["findings"]] == [FINDING_KEYS]
    assert as_json(make_record(repeats=2)).keys() - set(KEYS) == {"repeats"}


def test_json_writes_time_as_iso_8601_utc_and_absence_as_null() -> None:
    values = as_json(make_record(occurred_at=1_779_012_000_000_001, http_status=None))
    assert values["occurred_at"] == "2026-05-17T10:00:00.000001Z"
    assert values["http_status"] is None


def test_a_record_can_not_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        make_record().verdict = "blocked"  # type: ignore[misc]
