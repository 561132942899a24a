"""The writer's SQL: compiled once from the tables, run on sqlite3 itself.

SQLAlchemy's execution costs more than SQLite's whole commit, and a verdict waits for this one.
"""

from operator import attrgetter

from sqlalchemy import ClauseElement, bindparam, delete, insert, select
from sqlalchemy.dialects import sqlite

from icapd.audit.tables import (
    audit_admin,
    audit_event,
    audit_finding,
    audit_open,
    audit_shadow,
    audit_writer,
)

_DIALECT = sqlite.dialect(paramstyle="qmark")


def _sql(statement: ClauseElement) -> str:
    return str(statement.compile(dialect=_DIALECT))


#: An insert takes a value for every column, in the table's order.
INSERT_EVENT = _sql(insert(audit_event))
INSERT_FINDING = _sql(insert(audit_finding))
INSERT_WRITER = _sql(insert(audit_writer))
INSERT_ADMIN = _sql(insert(audit_admin))
INSERT_SHADOW = _sql(insert(audit_shadow))
REPLACE_OPEN = _sql(insert(audit_open).prefix_with("OR REPLACE"))

DELETE_OPEN = _sql(
    delete(audit_open).where(
        audit_open.c.writer_id == bindparam("writer_id"), audit_open.c.event_id == bindparam("event_id")
    )
)
SELECT_OPEN_WRITERS = _sql(select(audit_open.c.writer_id).distinct())
SELECT_OPEN_OF_WRITER = _sql(
    select(audit_open.c.event_id, audit_open.c.record)
    .where(audit_open.c.writer_id == bindparam("writer_id"))
    .order_by(audit_open.c.event_id)
)
DELETE_OPEN_OF_WRITER = _sql(delete(audit_open).where(audit_open.c.writer_id == bindparam("writer_id")))

#: The values of a row that come behind its key (and item_no), in the table's order.
event_values = attrgetter(*list(audit_event.c.keys())[3:])
finding_values = attrgetter(*list(audit_finding.c.keys())[4:])
shadow_values = attrgetter(*list(audit_shadow.c.keys())[3:])
