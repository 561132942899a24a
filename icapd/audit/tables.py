"""The audit tables. migrations/ makes them; `icapd db check` compares a database with this page.

**The key** of a row is (writer_id, occurred_at, writer_seq). A writer is one run of one process; it numbers
what it commits from 1 without a gap, so a missing row shows. No key is given by a database, so a row can be
shipped as often as need be and stays one; and the key holds what a table is partitioned (time) or distributed
(writer) by. No foreign key ties the tables: rows arrive in batches, and partitions leave one at a time.

**The chain** of a numbered row holds all rows of its writer before it (`canonical`).

**Indexes** cost a hot path: each that a commit touches is one more page in SQLite's log, about 5 µs where
it grows at its end and 10 µs where it grows anywhere. So a server's own SQLite file has only the two that
grow at their end (time, transaction); PostgreSQL and MariaDB have them all.

Secrets are in none of these columns: `path` and `excerpt` arrive masked, `fingerprint` is keyed.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    func,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

from icapd.audit import instants
from icapd.errors import AuditError

metadata = MetaData()

#: `Index(info=OF_SERVERS)`: an index that a server's own SQLite file does without.
OF_SERVERS = {"not_in": "sqlite"}

_REMEDY = "`icapd audit verify` tells in which row"
#: A UUID where the database has such a type, its usual text elsewhere; a str in Python.
_UUID = String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
#: MariaDB's own TEXT ends at 64 KiB.
_TEXT = Text().with_variant(mysql.LONGTEXT(), "mariadb")


class Instant(TypeDecorator[int]):
    """Microseconds since 1970-01-01 UTC in Python.

    timestamptz in PostgreSQL, UTC as text in SQLite, UTC as datetime(6) in MariaDB.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """MariaDB's own would have whole seconds."""
        of_mariadb = mysql.DATETIME(fsp=6)
        return dialect.type_descriptor(of_mariadb if dialect.name == "mariadb" else DateTime(timezone=True))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        return None if value is None else instants.to_datetime(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> int | None:
        """From the database."""
        return None if value is None else instants.from_datetime(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], int | None]:
        """SQLite takes anything for a time, and its type ends at what is none."""
        process = super().result_processor(dialect, coltype)
        assert process is not None

        def checked(value: Any) -> int | None:
            try:
                return process(value)
            except (TypeError, ValueError, AttributeError):
                raise AuditError(f"the audit tables hold a time that is none; {_REMEDY}") from None

        return checked


def _key() -> list[Column[int]]:
    return [
        Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
        Column("occurred_at", Instant, primary_key=True),
        Column("writer_seq", BigInteger, primary_key=True, autoincrement=False),
    ]


def _octets(length: int) -> TypeEngine[bytes]:
    return LargeBinary(length).with_variant(mysql.BINARY(length), "mariadb")


def _chain() -> Column[bytes]:
    # Rows of a time before there was a chain have none.
    return Column("chain", _octets(32))


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
    #: How many transactions the row stands for.
    Column("repeats", Integer, nullable=False, server_default="1"),
    #: What binds the chain to client_ip, client_user and path, without holding them.
    Column("subject_salt", _octets(16)),
    Column("subject_commitment", _octets(32)),
    _chain(),
    #: By the database's clock.
    Column("recorded_at", Instant, nullable=False, server_default=func.current_timestamp()),
)
Index("audit_event_occurred_at", audit_event.c.occurred_at)
Index("audit_event_txn_id", audit_event.c.txn_id)
Index("audit_event_event_id", audit_event.c.event_id, info=OF_SERVERS)
Index("audit_event_host", audit_event.c.host, audit_event.c.occurred_at, info=OF_SERVERS)
Index("audit_event_client_ip", audit_event.c.client_ip, audit_event.c.occurred_at, info=OF_SERVERS)
Index("audit_event_client_user", audit_event.c.client_user, audit_event.c.occurred_at, info=OF_SERVERS)
# Nearly every row is `allowed`; nobody looks for those by their verdict.
Index(
    "audit_event_verdict",
    audit_event.c.verdict,
    audit_event.c.occurred_at,
    postgresql_where=audit_event.c.verdict != "allowed",
    info=OF_SERVERS,
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
Index("audit_finding_rule_id", audit_finding.c.rule_id, audit_finding.c.occurred_at, info=OF_SERVERS)
# "Where else did this key go?"
Index("audit_finding_fingerprint", audit_finding.c.fingerprint, info=OF_SERVERS)

#: Who wrote: one row per run of a process. `role`: `outbox.file.Role`; NULL where that was not yet told.
audit_writer = Table(
    "audit_writer",
    metadata,
    Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("node", String(255), nullable=False),
    Column("process_id", Integer, nullable=False),
    Column("version", String(32), nullable=False),
    Column("started_at", Instant, nullable=False),
    #: Of the machine, since when it runs.
    Column("boot_id", String(36), nullable=False, server_default=""),
    Column("role", String(16)),
)

#: What was done to the audit itself (`start`, `stop`) and to the policy (`policy-taken`, `policy-refused`).
audit_admin = Table(
    "audit_admin",
    metadata,
    *_key(),
    Column("action", String(32), nullable=False),
    #: A JSON object; text and not jsonb, which reorders keys and rewrites numbers.
    Column("detail", _TEXT, nullable=False),
    _chain(),
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
    Column("live_rules", _TEXT, nullable=False),
    Column("shadow_rules", _TEXT, nullable=False),
    Column("live_digest", String(64), nullable=False),
    Column("shadow_digest", String(64), nullable=False),
    _chain(),
)
Index("audit_shadow_occurred_at", audit_shadow.c.occurred_at)

#: How far each writer's outbox is shipped: moved in the transactions that bring the rows.
audit_shipment = Table(
    "audit_shipment",
    metadata,
    Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("shipped_seq", BigInteger, nullable=False),
    Column("shipped_at", Instant, nullable=False),
)

#: Rows that the database refused, as they were in the outbox. The chain goes on through them.
audit_dead_letter = Table(
    "audit_dead_letter",
    metadata,
    *_key(),
    Column("kind", String(16), nullable=False),
    Column("body", _TEXT, nullable=False),
    Column("salt", _octets(16)),
    Column("commitment", _octets(32)),
    Column("chain", _octets(32), nullable=False),
    Column("problem", _TEXT, nullable=False),
    Column("failed_at", Instant, nullable=False),
)

#: Views on these tables, for reports (docs/compliance.md).
VIEWS = frozenset(
    {"audit_finding_detail", "audit_daily", "audit_daily_finding", "audit_read", "audit_writer_state"}
)

#: The tables whose rows are numbered and chained together.
NUMBERED = (audit_event, audit_admin, audit_shadow, audit_dead_letter)

#: Signed statements of how far a writer's chain has come: C2SP signed notes.
audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("signed_at", Instant, primary_key=True),
    Column("writer_seq", BigInteger, nullable=False),
    Column("chain", _octets(32), nullable=False),
    Column("note", _TEXT, nullable=False),
)

#: Signed statements of which rows of a writer retention took, one for each stretch of numbers: C2SP signed
#: notes. Stretches that meet become one.
audit_purge = Table(
    "audit_purge",
    metadata,
    Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("first_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
    #: Of the row before the first; 32 zero bytes where that is a writer's first.
    Column("chain_before", _octets(32), nullable=False),
    #: Of the last row.
    Column("chain", _octets(32), nullable=False),
    Column("purged_at", Instant, nullable=False),
    Column("note", _TEXT, nullable=False),
)

#: Signed statements of the files that purged rows were written to before they went; one for each writer that
#: a file has rows of.
audit_archive = Table(
    "audit_archive",
    metadata,
    Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
    #: SHA-256 of the file.
    Column("digest", _octets(32), primary_key=True),
    Column("file_name", String(255), nullable=False),
    Column("archived_rows", BigInteger, nullable=False),
    Column("archived_at", Instant, nullable=False),
    Column("note", _TEXT, nullable=False),
)

#: Legal holds: which rows neither purge nor erasure may touch; signed, and so is their release. `writer_id`:
#: whose rows in audit_admin tell of it.
audit_hold = Table(
    "audit_hold",
    metadata,
    Column("writer_id", BigInteger, primary_key=True, autoincrement=False),
    Column("hold_id", String(32), primary_key=True),
    Column("held_at", Instant, nullable=False),
    Column("note", _TEXT, nullable=False),
    Column("released_at", Instant),
    Column("release_note", _TEXT),
)
