"""The bytes of a row that its chain is made of; they can be made again from the columns, wherever these are.

A row's canonical form is a JSON array without white space, in UTF-8: the table, the key (writer_id,
occurred_at in microseconds, writer_seq), then the columns in the order below; integers, strings and null.
Findings are arrays at the end of their event's.

Who a record is about (SUBJECT) is in it as a commitment only: SHA-256 over the row's salt and the canonical
form of these columns. When someone has to be forgotten, columns and salt go, and the chain still holds.

    chain = SHA-256(0x00 || chain of the row before, or 32 zero bytes || canonical form)
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

import msgspec

from icapd.audit.record import AuditRecord
from icapd.audit.shadow import ShadowRecord

#: The columns that tell of a person.
SUBJECT = ("client_ip", "client_user", "path")
#: Of an event, the other columns.
EVENT = (
    *("event_id", "txn_id", "method_icap", "http_method", "scheme", "host", "port", "verdict", "disposition"),
    *("inspection", "skip_reason", "request_bytes", "response_bytes", "content_type", "http_status"),
    *("risk_score", "policy_digest", "latency_us", "repeats"),
)
FINDING = ("rule_id", "severity", "action", "target", "excerpt", "fingerprint")
SHADOW = (
    *("txn_id", "method_icap", "live_effect", "shadow_effect", "live_rules", "shadow_rules"),
    *("live_digest", "shadow_digest"),
)
#: Bytes of a salt.
SALT_SIZE = 16
#: What stands for the chain of a row before the first.
BEGINNING = bytes(32)

#: writer_id, occurred_at in microseconds since 1970-01-01 UTC, writer_seq.
Key = tuple[int, int, int]

_event_values = attrgetter(*EVENT)
_finding_values = attrgetter(*FINDING)
_subject_values = attrgetter(*SUBJECT)
_shadow_values = attrgetter(*SHADOW)
_encode = msgspec.json.Encoder().encode


def without_subject(record: AuditRecord) -> AuditRecord:
    """The same, with nothing that tells of a person."""
    nobody: dict[str, Any] = dict.fromkeys(SUBJECT)
    return replace(record, **nobody)


def commitment_to(salt: bytes, record: AuditRecord) -> bytes:
    """What stands in the chain for whom the record is about."""
    return commitment_to_values(salt, _subject_values(record))


def commitment_to_values(salt: bytes, subject: Sequence[object]) -> bytes:
    """The same from the columns SUBJECT."""
    return hashlib.sha256(salt + _encode(subject)).digest()


def event_form(key: Key, record: AuditRecord, commitment: bytes) -> bytes:
    findings = [_finding_values(finding) for finding in record.findings]
    return event_form_of_values(key, _event_values(record), commitment, findings)


def event_form_of_values(
    key: Sequence[object], values: Sequence[object], commitment: bytes, findings: Sequence[Sequence[object]]
) -> bytes:
    """The same from the columns EVENT, and FINDING of each finding."""
    return _encode(["audit_event", *key, *values, commitment.hex(), findings])


def admin_form(key: Sequence[object], action: object, detail: object) -> bytes:
    """`detail`: JSON, as it is stored."""
    return _encode(["audit_admin", *key, action, detail])


def shadow_form(key: Key, record: ShadowRecord) -> bytes:
    return shadow_form_of_values(key, _shadow_values(record))


def shadow_form_of_values(key: Sequence[object], values: Sequence[object]) -> bytes:
    """The same from the columns SHADOW."""
    return _encode(["audit_shadow", *key, *values])


def next_link(chain: bytes, form: bytes) -> bytes:
    """The chain of the row with that canonical form, behind the row with that chain."""
    return hashlib.sha256(b"\0" + chain + form).digest()
