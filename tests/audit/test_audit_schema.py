"""What a database has, and what a server need not load to know."""

import subprocess
import sys
from pathlib import Path

import pytest

from icapd.audit import migrations, schema
from icapd.audit.database import Database
from icapd.errors import AuditError


def test_a_database_without_tables_has_no_revision(tmp_path: Path) -> None:
    (tmp_path / "icapd.db").touch()
    database = Database.parse(f"sqlite:///{tmp_path}/icapd.db")
    with database.read() as connection:
        assert schema.revision(connection) is None
        with pytest.raises(AuditError, match="has no audit tables"):
            schema.require_head(connection, database)


def test_an_upgraded_database_is_at_head(empty_url: str) -> None:
    migrations.upgrade(empty_url)
    database = Database.parse(empty_url)
    with database.read() as connection:
        assert schema.revision(connection) == schema.HEAD
        schema.require_head(connection, database)


def test_writing_does_not_load_alembic() -> None:
    program = "import sys, icapd.audit; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
