"""Views that answer what people ask most: for reports, and for those who may read views only.

A view stands on the tables' columns: a later revision that remakes a table drops these first and makes them
again (in SQLite, batch mode remakes a table for nearly anything).
"""

import re

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"

#: What differs between the databases: the day of an instant in UTC, and a member of a JSON text.
_SQLITE = {"day": "date({0})", "member": "json_extract({0}, '$.{1}')"}
_POSTGRESQL = {"day": "CAST({0} AT TIME ZONE 'UTC' AS date)", "member": "CAST({0} AS json) ->> '{1}'"}
_MARIADB = {"day": "date({0})", "member": "json_unquote(json_extract({0}, '$.{1}'))"}

#: In the order in which they are made.
VIEWS = {
    "audit_finding_detail": """
        SELECT f.writer_id, f.occurred_at, f.writer_seq, f.item_no, {day(f.occurred_at)} AS day,
               f.rule_id, f.severity, f.action, f.target, f.excerpt, f.fingerprint,
               e.event_id, e.txn_id, e.method_icap, e.http_method, e.scheme, e.host, e.port, e.path,
               e.client_ip, e.client_user, e.verdict, e.disposition, e.inspection, e.skip_reason,
               e.content_type, e.http_status, e.risk_score, e.policy_digest, e.repeats
        FROM audit_finding f
        JOIN audit_event e ON e.writer_id = f.writer_id AND e.occurred_at = f.occurred_at
                          AND e.writer_seq = f.writer_seq
    """,
    "audit_daily": """
        SELECT {day(occurred_at)} AS day, host, method_icap, verdict, disposition, inspection, skip_reason,
               sum(repeats) AS transactions, sum(repeats * request_bytes) AS request_bytes,
               sum(repeats * response_bytes) AS response_bytes, max(risk_score) AS highest_risk_score
        FROM audit_event
        GROUP BY {day(occurred_at)}, host, method_icap, verdict, disposition, inspection, skip_reason
    """,
    "audit_daily_finding": """
        SELECT day, rule_id, severity, action, host, method_icap, verdict, disposition,
               sum(repeats) AS findings, count(DISTINCT fingerprint) AS secrets,
               count(DISTINCT client_user) AS users
        FROM audit_finding_detail
        GROUP BY day, rule_id, severity, action, host, method_icap, verdict, disposition
    """,
    "audit_read": """
        SELECT occurred_at, {day(occurred_at)} AS day, writer_id, writer_seq,
               {member(detail,user)} AS user_name, {member(detail,login)} AS login_name,
               {member(detail,command)} AS command, {member(detail,asked)} AS asked,
               CAST({member(detail,rows)} AS decimal(20)) AS row_count
        FROM audit_admin a
        WHERE action = 'audit-read' OR action = 'audit-read-begin' AND NOT EXISTS
              (SELECT 1 FROM audit_admin b WHERE b.writer_id = a.writer_id AND b.action = 'audit-read')
    """,
    "audit_writer_state": """
        SELECT w.writer_id, w.node, w.version, w.started_at, s.shipped_seq, s.shipped_at,
               (SELECT min(a.action) FROM audit_admin a
                WHERE a.writer_id = w.writer_id AND a.action IN ('stop', 'died')) AS ended
        FROM audit_writer w LEFT JOIN audit_shipment s ON s.writer_id = w.writer_id
    """,
}


def upgrade() -> None:
    """Makes them."""
    for name, body in VIEWS.items():
        op.execute(text(f"CREATE VIEW {name} AS {_written(body)}".replace(":", r"\:")))


def downgrade() -> None:
    """Drops them."""
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")


def _written(body: str) -> str:
    """The same with `{day(...)}` and `{member(column,name)}` as this database writes them."""
    dialect = op.get_context().dialect.name
    forms = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}.get(dialect, _MARIADB)
    return re.sub(r"\{(\w+)\((.*?)\)\}", lambda call: forms[call[1]].format(*call[2].split(",")), body)
