"""`icapd audit rotate-fingerprint-key`: on record, or not done."""

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from support.trail import Trail

from icapd.cli.audit import audit
from icapd.errors import IcapdError
from icapd.server.fingerprint_keys import load_keys
from icapd.settings import Settings

KEY = "42" * 32


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    (tmp_path / "fingerprint.key").write_text(KEY + "\n")
    return Trail.make(tmp_path)


def rotate(trail: Trail, *arguments: str) -> Result:
    key = trail.outbox.parent / "fingerprint.key"
    settings = Settings(audit=msgspec.structs.replace(trail.settings, fingerprint_key=str(key)))
    return CliRunner().invoke(audit, ["rotate-fingerprint-key", *arguments], obj=settings)


def deeds(trail: Trail) -> list[dict[str, object]]:
    trail.ship()
    rows = trail.rows("SELECT detail FROM audit_admin WHERE action = 'fingerprint-key-added'")
    return [json.loads(detail) for (detail,) in rows]


def test_rotation_says_what_to_do_next_and_is_on_record_without_the_key(trail: Trail) -> None:
    result = rotate(trail)
    new, old = load_keys(trail.outbox.parent / "fingerprint.key")
    assert old.hex() == KEY
    (deed,) = deeds(trail)
    assert result.exit_code == 0 and str(deed["key"]) in result.stdout and "icapd reload" in result.stderr
    assert "user" in deed and len(deed["keys"]) == 2  # type: ignore[arg-type]
    for key in (new.hex(), KEY):
        assert key not in result.output + json.dumps(deed)


def test_what_can_not_be_on_record_is_not_done(trail: Trail) -> None:
    trail.outbox.rename(trail.outbox.with_name("elsewhere"))
    result = rotate(trail)
    assert isinstance(result.exception, IcapdError)
    assert "nothing was done" in str(result.exception)
    assert (trail.outbox.parent / "fingerprint.key").read_text() == KEY + "\n"


def test_what_fails_is_not_on_record_as_done(trail: Trail) -> None:
    (trail.outbox.parent / "fingerprint.key").write_text("broken")
    result = rotate(trail)
    assert isinstance(result.exception, IcapdError)
    assert "line 1 is not a key" in str(result.exception)
    assert deeds(trail) == []
