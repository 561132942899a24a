"""What is kept of one ICAP transaction: flat, frozen, and free of secrets.

The order of the fields is the order of the keys in `icapd audit search --format jsonl`.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import msgspec

from icapd.audit import instants

#: `final`: a transaction's one row. `open`: what it would be if the server died now, for a message that
#: flows (again: with new findings). `close`: the row that takes the place of the open one. `omit` and `drop`
#: stand for `final` and `close` where the policy wants no row: there is none, and an open one goes.
Phase = Literal["final", "open", "close", "omit", "drop"]
IcapMethod = Literal["REQMOD", "RESPMOD"]
#: What the policy wanted, mildest first.
Verdict = Literal["allowed", "logged", "redacted", "blocked"]
#: What could be done about it. `normalised`: a request goes on without what would have blinded the inspection
#: of its response; `cut`: the message ended early; `bypassed`: inspection failed, and open.
Disposition = Literal[
    "unmodified", "echoed", "normalised", "redacted", "blocked", "cut", "bypassed", "failed"
]
#: How much of the message was looked at; anything but `complete` has a `skip_reason`.
Inspection = Literal["complete", "partial", "skipped", "error"]
#: Of a finding, from the least to the gravest: what rules may have (`icapd.policy.rule`).
Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """One match of one rule: where it was, and enough to recognise it again, but never the matched text."""

    rule_id: str
    severity: str
    action: str
    #: The part of the message that the rule was tried on: body, url, header ...
    target: str
    #: The match, masked.
    excerpt: str
    #: Keyed: equal secrets have equal ones under one key, which is named; without it nobody can test a guess.
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One transaction. What is not known of it is None, or empty."""

    #: A version 7 UUID, given when the record is made, so that writing it twice can be noticed.
    event_id: str
    #: The X-Icapd-Txn of the answer; the two halves of an HTTP exchange and Squid's log line can share it.
    txn_id: str
    #: Microseconds since 1970-01-01 UTC.
    occurred_at: int
    method_icap: IcapMethod
    http_method: str | None = None
    scheme: str | None = None
    #: In lower case: filters compare it exactly.
    host: str | None = None
    port: int | None = None
    #: With the names of its query; secrets in it, and the values of the query, are masked already.
    path: str | None = None
    client_ip: str | None = None
    client_user: str | None = None
    verdict: Verdict
    disposition: Disposition
    inspection: Inspection
    skip_reason: str | None = None
    #: Of the bodies as they arrived, encoded.
    request_bytes: int = 0
    response_bytes: int = 0
    content_type: str | None = None
    http_status: int | None = None
    risk_score: int = 0
    #: Which policy decided (`Policy.digest`).
    policy_digest: str
    #: From the end of the request's heads to this record.
    latency_us: int
    #: How many transactions the record stands for: of a flood of equal ones, one record.
    repeats: int = 1
    findings: tuple[FindingRecord, ...] = ()


def as_json(record: AuditRecord) -> dict[str, object]:
    """The record as a JSON object: the keys in order, the time as ISO 8601 in UTC."""
    values: dict[str, object] = msgspec.to_builtins(record)
    if record.repeats == 1:
        # Other programs count on the keys that are there without it.
        del values["repeats"]
    return {**values, "occurred_at": instants.iso(record.occurred_at)}
