"""The questions that people ask most, over as many rows as a site has after some months.

The rows are made by the database itself, and its indexes after them: ten million take minutes, and 12 GB.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg

from bench.audit import records
from bench.audit.databases import Place
from icapd.audit import migrations, partitions
from icapd.audit.database import Database
from icapd.audit.instants import from_datetime
from icapd.audit.search import Filters, search

#: What the rows are spread over, by months.
DAYS = 90
#: What a table of `icapd audit search` shows.
LIMIT = 100

#: `much` is one of so many, the first ones the most often, near to Zipf's law.
_EVENTS = f"""
INSERT INTO audit_event
SELECT number %% 8, at, number, gen_random_uuid(), 'proxy-7-' || number / 2,
    CASE WHEN number %% 2 = 0 THEN 'REQMOD' ELSE 'RESPMOD' END,
    CASE WHEN number %% 6 = 0 THEN 'POST' ELSE 'GET' END, 'https',
    'api' || host || '.service-' || host %% 97 || '.example.com', 443, '/v1/items/files/' || number,
    '10.' || person %% 13 || '.' || person / 250 || '.' || person %% 250,
    'user' || person || '@corp.example.com',
    CASE WHEN number %% {records.USUAL} > 0 THEN 'allowed'
         WHEN number %% {records.USUAL * 5} = 0 THEN 'blocked' ELSE 'redacted' END,
    'unmodified', 'complete', NULL, number %% 2000, number %% 50000, 'application/json', 200, 0,
    repeat('5f', 32), number %% 900, 1,
    decode(md5('s' || number), 'hex'), decode(md5('c' || number) || md5('d' || number), 'hex'),
    decode(md5('e' || number) || md5('f' || number), 'hex'), at
FROM (
    SELECT number, floor({records.HOSTS} * power(random(), 3))::int AS host,
        floor({records.USERS} * power(random(), 3))::int AS person,
        %(since)s + number * ((%(until)s::timestamptz - %(since)s) / %(rows)s) AS at
    FROM generate_series(%(first)s::bigint, %(last)s - 1) AS number
) made
"""
_FINDINGS = f"""
INSERT INTO audit_finding
SELECT writer_id, occurred_at, writer_seq, 1,
    'credentials.service-' || floor({records.RULES} * power(random(), 3))::int || '-key',
    'critical', 'redact', 'body', 'sk_l**************',
    -- Drawn anew for each row.
    md5('secret' || floor({records.SECRETS} * random() + writer_seq * 0)::int)
FROM audit_event WHERE verdict <> 'allowed'
"""
#: Rows of one statement that makes them.
_AT_ONCE = 500_000


@dataclass
class Answers:
    """One question, asked with many values, each of them several times. Seconds, by value."""

    first: list[float] = field(default_factory=list)
    #: Of each value the best time: other work on the machine only adds.
    best: list[float] = field(default_factory=list)
    found: int = 0


def percentile(values: Sequence[float], hundredths: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * hundredths // 100)]


def fill(place: Place, rows: int) -> Iterator[str]:
    """Make a database with so many events; yields what is being done, and at last its address."""
    url = place.make()
    migrations.upgrade(url)
    until = datetime.now(UTC)
    since = until - timedelta(days=DAYS)
    for days in range(0, DAYS + 1, 28):
        partitions.make(Database.parse(url), "month", since + timedelta(days=days))
    with psycopg.connect(url, autocommit=True) as connection:
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes JOIN pg_class ON relname = indexname"
            " WHERE relkind = 'I' AND tablename IN ('audit_event', 'audit_finding') AND indexname !~ '_pkey$'"
        ).fetchall()
        for name, _ in indexes:
            _execute(connection, f"DROP INDEX {name}")
        bounds = {"since": since, "until": until, "rows": rows}
        for first in range(0, rows, _AT_ONCE):
            yield f"{first:,} of {rows:,} rows"
            _execute(connection, _EVENTS, bounds | {"first": first, "last": min(first + _AT_ONCE, rows)})
        yield "findings"
        _execute(connection, _FINDINGS)
        for name, definition in indexes:
            yield f"index {name}"
            _execute(connection, definition.replace(" ON ONLY ", " ON ", 1))
        _execute(connection, "VACUUM ANALYZE audit_event, audit_finding")
    yield url


def _execute(connection: psycopg.Connection, statement: str, values: dict[str, object] | None = None) -> None:
    connection.execute(statement, values)


def ask(url: str, times: int, rounds: int) -> dict[str, Answers]:
    """Each question with so many values, as `icapd audit search` asks it; all of that so many times."""
    rng = random.Random(1)
    asked = [one for _ in range(times) for one in _questions(rng)]
    took: list[list[float]] = [[] for _ in asked]
    answers: dict[str, Answers] = {}
    for _ in range(rounds):
        for number, (question, filters) in enumerate(asked):
            began = time.perf_counter()
            answers.setdefault(question, Answers()).found += sum(1 for _ in search(url, filters))
            took[number].append(time.perf_counter() - began)
    for (question, _), times_of_one in zip(asked, took, strict=True):
        answers[question].first.append(times_of_one[0])
        answers[question].best.append(min(times_of_one))
    return answers


def _questions(rng: random.Random) -> Iterator[tuple[str, Filters]]:
    # The peer: what a connection and an empty answer take.
    yield "a transaction that is not there", Filters(txn="nobody", limit=LIMIT)
    yield "host", Filters(host=records.host(records.often(rng, records.HOSTS)), limit=LIMIT)
    yield "user", Filters(user=records.user(records.often(rng, records.USERS)), limit=LIMIT)
    yield "rule", Filters(rule=records.rule(records.often(rng, records.RULES)), limit=LIMIT)
    yield "fingerprint", Filters(fingerprint=records.fingerprint(rng.randrange(records.SECRETS)), limit=LIMIT)
    day = datetime.now(UTC) - timedelta(days=rng.randrange(1, DAYS - 1))
    since, until = from_datetime(day), from_datetime(day + timedelta(days=1))
    yield "verdict, of a day", Filters(verdict="blocked", since=since, until=until, limit=LIMIT)
