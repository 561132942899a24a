"""`icapd audit` on a trail, in this process, and what it left in audit_admin."""

import json
from pathlib import Path

import msgspec
from click.testing import CliRunner, Result
from support.trail import Trail

from icapd.cli.audit import audit
from icapd.settings import Settings

KEY = "42" * 32
ROOT = Path(__file__).parent.parent.parent


def icapd_audit(trail: Trail, *arguments: str, stdin: bytes = b"") -> Result:
    key = trail.outbox.parent / "fingerprint.key"
    settings = Settings(audit=msgspec.structs.replace(trail.settings, fingerprint_key=str(key)))
    return CliRunner(env={"COLUMNS": "300"}).invoke(audit, arguments, obj=settings, input=stdin)


def reads(trail: Trail) -> list[dict[str, object]]:
    trail.ship()
    rows = trail.rows("SELECT detail FROM audit_admin WHERE action = 'audit-read' ORDER BY occurred_at")
    return [json.loads(detail) for (detail,) in rows]
