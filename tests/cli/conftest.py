"""What the tests of `icapd audit` have in common."""

from pathlib import Path

import pytest
from reading_trail import KEY
from support.trail import Trail
from test_audit_cli import HOSTILE, OLD, REQUEST, RESPONSE


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    trail = Trail.make(tmp_path)
    trail.write(OLD, REQUEST, RESPONSE, HOSTILE)
    trail.ship()
    (tmp_path / "fingerprint.key").write_text(KEY)
    return trail
