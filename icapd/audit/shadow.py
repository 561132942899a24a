"""What a shadow policy would have done otherwise: its rows, written beside the records and read back."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select

from icapd.audit import schema
from icapd.audit.database import Database
from icapd.audit.record import IcapMethod, Verdict
from icapd.audit.tables import audit_shadow

#: Characters of a list of rules: some dozens of ids.
MAX_RULES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRecord:
    """One message that the shadow policy would have treated otherwise."""

    #: Microseconds since 1970-01-01 UTC.
    occurred_at: int
    txn_id: str
    method_icap: IcapMethod
    live_effect: Verdict
    shadow_effect: Verdict
    #: Ids of the rules that fired, with blanks between them.
    live_rules: str
    shadow_rules: str
    live_digest: str
    shadow_digest: str


@dataclass(frozen=True, slots=True)
class ShadowCount:
    """How many messages there are of one kind."""

    live_effect: str
    shadow_effect: str
    shadow_rules: str
    count: int


_COLUMNS = [audit_shadow.c[name] for name in ShadowRecord.__dataclass_fields__]


def examples(database_url: str, since: int | None, limit: int) -> Iterator[ShadowRecord]:
    """The newest rows, at most `limit`; `since`: microseconds since the epoch. Raises AuditError."""
    database = Database.parse(database_url)
    statement = select(*_COLUMNS).order_by(audit_shadow.c.occurred_at.desc()).limit(limit)
    if since is not None:
        statement = statement.where(audit_shadow.c.occurred_at >= since)
    with database.read() as connection:
        schema.require_head(connection, database)
        for row in connection.execute(statement):
            yield ShadowRecord(**row._mapping)


def counts(database_url: str, since: int | None) -> list[ShadowCount]:
    """How many rows there are, by what was done, what would have been, and by which rules; the most first."""
    database = Database.parse(database_url)
    kinds = (audit_shadow.c.live_effect, audit_shadow.c.shadow_effect, audit_shadow.c.shadow_rules)
    statement = select(*kinds, func.count()).group_by(*kinds).order_by(func.count().desc(), *kinds)
    if since is not None:
        statement = statement.where(audit_shadow.c.occurred_at >= since)
    with database.read() as connection:
        schema.require_head(connection, database)
        return [ShadowCount(*row) for row in connection.execute(statement)]
