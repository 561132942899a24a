"""Records like those of a site: two halves of each exchange, thousands of hosts and users, few of them often.

The spread matters: an index whose keys come in their order costs a fraction of one whose keys do not.
"""

import hashlib
import random
from bisect import bisect
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import Any

from icapd.audit import AuditRecord, FindingRecord, uuid7

HOSTS, USERS, RULES, SECRETS = 2000, 5000, 200, 20_000
#: Of so many records one has findings: a usual mix, and one that is nothing but findings.
USUAL, MANY = 20, 1
#: Findings of a record that has some: one, or more.
FINDINGS = (1, 1, 1, 2, 5)

_WORDS = ("items", "users", "search", "orders", "v1", "v2", "api", "assets", "session", "reports", "files")
_TYPES = ("application/json", "text/html; charset=utf-8", "application/javascript", "image/webp", "text/css")
_KEPT: dict[str, Any] = {
    "scheme": "https",
    "port": 443,
    "disposition": "unmodified",
    "inspection": "complete",
    "policy_digest": "5f" * 32,
}


def host(number: int) -> str:
    return f"api{number}.service-{number % 97}.example.com"


def user(number: int) -> str:
    return f"user{number}@corp.example.com"


def client(number: int) -> str:
    return f"10.{number % 13}.{number // 250}.{number % 250}"


def rule(number: int) -> str:
    return f"credentials.service-{number}-key"


@cache
def fingerprint(number: int) -> str:
    return hashlib.md5(f"secret{number}".encode(), usedforsecurity=False).hexdigest()


@cache
def _shares(count: int) -> tuple[float, ...]:
    """Zipf: the second is half as frequent as the first, the third a third."""
    return tuple(accumulate(1 / rank for rank in range(1, count + 1)))


def often(rng: random.Random, count: int) -> int:
    """One of so many, the first ones the most often."""
    shares = _shares(count)
    return bisect(shares, rng.random() * shares[-1])


def records(count: int, one_in: int, *, since: int, step: int = 1000, seed: int = 1) -> Iterator[AuditRecord]:
    """So many, `step` microseconds apart, by turns REQMOD and RESPMOD of one exchange."""
    rng = random.Random(seed)
    for number in range(count):
        if number % 2 == 0:
            who, where = often(rng, USERS), host(often(rng, HOSTS))
            path = "/" + "/".join(rng.choices(_WORDS, k=3)) + f"/{rng.randrange(10**6)}"
        findings = tuple(_findings(rng)) if number % one_in == 0 else ()
        yield AuditRecord(
            event_id=uuid7(),
            txn_id=f"proxy-7-{seed}-{number // 2}",
            occurred_at=since + number * step,
            method_icap="RESPMOD" if number % 2 else "REQMOD",
            http_method="GET" if number % 6 else "POST",
            host=where,
            path=path,
            client_ip=client(who),
            client_user=user(who),
            verdict="redacted" if findings else "allowed",
            request_bytes=rng.randrange(2000),
            response_bytes=rng.randrange(50_000) if number % 2 else 0,
            content_type=_TYPES[number % len(_TYPES)] if number % 2 else None,
            http_status=200 if number % 2 else None,
            risk_score=40 * len(findings),
            latency_us=100 + rng.randrange(900),
            findings=findings,
            **_KEPT,
        )


def _findings(rng: random.Random) -> Iterator[FindingRecord]:
    for _ in range(rng.choice(FINDINGS)):
        known = fingerprint(rng.randrange(SECRETS))
        yield FindingRecord(
            rule(often(rng, RULES)), "critical", "redact", "body", "sk_l**************", known
        )
