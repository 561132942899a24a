"""`icapd db`: what it prints, and that a second run is harmless."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from icapd.audit import migrations
from icapd.audit.schema import HEAD
from icapd.cli.db import db
from icapd.errors import AuditError


def icapd_db(file: Path, command: str) -> Result:
    settings = SimpleNamespace(audit=SimpleNamespace(database_url=f"sqlite:///{file}", partitions="month"))
    return CliRunner().invoke(db, [command], obj=settings)


def test_upgrade_makes_the_database_and_then_leaves_it_alone(tmp_path: Path) -> None:
    file = tmp_path / "icapd.db"
    assert icapd_db(file, "upgrade").output == f"{file}: made, at {HEAD}\n"
    assert icapd_db(file, "upgrade").output == f"{file}: was at {HEAD} already\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param("current", f"{HEAD} (this icapd: {HEAD})", id="current"),
        pytest.param("check", f"at {HEAD}, its tables as they should be", id="check"),
    ],
)
def test_an_upgraded_database_is_reported(tmp_path: Path, command: str, expected: str) -> None:
    file = tmp_path / "icapd.db"
    migrations.upgrade(f"sqlite:///{file}")
    result = icapd_db(file, command)
    assert (result.exit_code, result.output) == (0, f"{file}: {expected}\n")


def test_current_of_a_database_without_tables_is_none(tmp_path: Path) -> None:
    file = tmp_path / "icapd.db"
    file.touch()
    assert icapd_db(file, "current").output == f"{file}: none (this icapd: {HEAD})\n"


@pytest.mark.parametrize("command", ["current", "check"])
def test_a_missing_database_is_a_configuration_error(tmp_path: Path, command: str) -> None:
    error = icapd_db(tmp_path / "icapd.db", command).exception
    assert isinstance(error, AuditError)
    assert error.exit_code == 3
    assert "`icapd db upgrade`" in str(error)
