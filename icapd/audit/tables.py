"""The audit tables. migrations/ makes them; `icapd db check` compares a database with this page.

**The key** of a row is (writer_id, occurred_at, writer_seq). A writer is one run of one server process; it
numbers what it commits from 1 without a gap, over events and administrative rows together, so a missing row
shows. No key is given by a database: a row can be copied from a server's own file to a site's database as
often as need be and stays one row, and the key holds the columns by which such a table is partitioned
(time) or distributed (writer). For the same reason no foreign key ties the tables: rows arrive in batches,
and partitions leave one at a time.

**Indexes** cost a hot path: each that a commit touches is one more page in SQLite's log, about 5 µs where
it grows at its end and 10 µs where it grows anywhere. So a server's own SQLite file has only the two that
grow at their end (time, transaction); PostgreSQL, which takes rows in batches, has them all.

Secrets are in none of these columns: `path` and `excerpt` arrive masked, `fingerprint` is keyed.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects import postgresql

from icapd.audit import instants

metadata = MetaData()

#: `Index(info=POSTGRESQL_ONLY)`: an index that a server's own SQLite file does without.
POSTGRESQL_ONLY = {"dialect": "postgresql"}

#: A UUID where the database has such a type, its usual text elsewhere; a str in Python.
_UUID = String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")


class Instant(TypeDecorator[int]):
    """Microseconds since 1970-01-01 UTC in Python; timestamptz in PostgreSQL, UTC as text in SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        return None if value is None else instants.to_datetime(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> int | None:
        """From the database."""
        return None if value is None else instants.from_datetime(value)


def _key() -> list[Column[int]]:
    return [
        Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
        Column("occurred_at", Instant, primary_key=True),
        Column("writer_seq", BigInteger, primary_key=True, autoincrement=False),
    ]


#: One row per ICAP transaction; the columns after the key are the fields of AuditRecord.
audit_event = Table(
    "audit_event",
    metadata,
    *_key(),
    Column("event_id", _UUID, nullable=False),
    Column("txn_id", String(64), nullable=False),
    Column("method_icap", String(8), nullable=False),
    Column("http_method", String(32)),
    Column("scheme", String(16)),
    Column("host", String(255)),
    Column("port", Integer),
    Column("path", String(2048)),
    Column("client_ip", String(64)),
    Column("client_user", String(255)),
    Column("verdict", String(16), nullable=False),
    Column("disposition", String(16), nullable=False),
    Column("inspection", String(16), nullable=False),
    Column("skip_reason", String(64)),
    Column("request_bytes", BigInteger, nullable=False),
    Column("response_bytes", BigInteger, nullable=False),
    Column("content_type", String(255)),
    Column("http_status", Integer),
    Column("risk_score", Integer, nullable=False),
    Column("policy_digest", String(64), nullable=False),
    Column("latency_us", BigInteger, nullable=False),
)
Index("audit_event_occurred_at", audit_event.c.occurred_at)
Index("audit_event_txn_id", audit_event.c.txn_id)
Index("audit_event_event_id", audit_event.c.event_id, info=POSTGRESQL_ONLY)
Index("audit_event_host", audit_event.c.host, audit_event.c.occurred_at, info=POSTGRESQL_ONLY)
Index("audit_event_client_ip", audit_event.c.client_ip, audit_event.c.occurred_at, info=POSTGRESQL_ONLY)
Index("audit_event_client_user", audit_event.c.client_user, audit_event.c.occurred_at, info=POSTGRESQL_ONLY)
# Nearly every row is `allowed`; nobody looks for those by their verdict.
Index(
    "audit_event_verdict",
    audit_event.c.verdict,
    audit_event.c.occurred_at,
    postgresql_where=audit_event.c.verdict != "allowed",
    info=POSTGRESQL_ONLY,
)

#: One row per finding of an event, in the order of their places in the message.
audit_finding = Table(
    "audit_finding",
    metadata,
    *_key(),
    Column("item_no", Integer, primary_key=True, autoincrement=False),
    Column("rule_id", String(128), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("action", String(16), nullable=False),
    Column("target", String(128), nullable=False),
    Column("excerpt", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
)
Index("audit_finding_rule_id", audit_finding.c.rule_id, audit_finding.c.occurred_at, info=POSTGRESQL_ONLY)
# "Where else did this key go?"
Index("audit_finding_fingerprint", audit_finding.c.fingerprint, info=POSTGRESQL_ONLY)

#: Who wrote: one row per run of a server process.
audit_writer = Table(
    "audit_writer",
    metadata,
    Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("node", String(255), nullable=False),
    Column("process_id", Integer, nullable=False),
    Column("version", String(32), nullable=False),
    Column("started_at", Instant, nullable=False),
)

#: What was done to the audit itself (`start`, `stop`) and to the policy (`policy-taken`, `policy-refused`).
audit_admin = Table(
    "audit_admin",
    metadata,
    *_key(),
    Column("action", String(32), nullable=False),
    #: A JSON object; text and not jsonb, which reorders keys and rewrites numbers.
    Column("detail", Text, nullable=False),
)

#: What a shadow policy would have done with a message, where that is something else than what was done.
audit_shadow = Table(
    "audit_shadow",
    metadata,
    *_key(),
    Column("txn_id", String(64), nullable=False),
    Column("method_icap", String(8), nullable=False),
    Column("live_effect", String(16), nullable=False),
    Column("shadow_effect", String(16), nullable=False),
    #: Ids of the rules that fired, with blanks between them.
    Column("live_rules", Text, nullable=False),
    Column("shadow_rules", Text, nullable=False),
    Column("live_digest", String(64), nullable=False),
    Column("shadow_digest", String(64), nullable=False),
)
Index("audit_shadow_occurred_at", audit_shadow.c.occurred_at)

#: Streams under way: what their record would be if the server died now. Empty when no server runs.
audit_open = Table(
    "audit_open",
    metadata,
    Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", _UUID, primary_key=True),
    #: An AuditRecord as JSON.
    Column("record", Text, nullable=False),
)
