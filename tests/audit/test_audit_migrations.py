"""Upgrading, checking and downgrading, on SQLite, and on real PostgreSQL and MariaDB."""

import importlib.util
import shutil
from concurrent.futures import ProcessPoolExecutor
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path

import pytest
from alembic import command
from alembic.config import CommandLine
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from icapd.audit import migrations, schema
from icapd.audit.database import Database
from icapd.errors import AuditError

MIGRATIONS = str(files("icapd.migrations"))


def tables(url: str) -> set[str]:
    with Database.parse(url).read() as connection:
        return set(inspect(connection).get_table_names())


def execute(url: str, *statements: str) -> None:
    with Database.parse(url).write() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_head_is_alembic_s_head_and_revisions_are_numbered() -> None:
    script = ScriptDirectory(MIGRATIONS)
    assert script.get_heads() == [schema.HEAD]
    numbers = [revision.revision for revision in script.walk_revisions("base", "head")]
    assert numbers == [f"{number:04}" for number in range(len(numbers), 0, -1)]


def test_an_upgraded_database_has_just_the_tables_that_icapd_needs(empty_url: str) -> None:
    assert migrations.upgrade(empty_url) == (None, schema.HEAD)
    assert migrations.current(empty_url) == schema.HEAD
    migrations.check(empty_url)


def test_upgrading_again_changes_nothing(empty_url: str) -> None:
    migrations.upgrade(empty_url)
    assert migrations.upgrade(empty_url) == (schema.HEAD, schema.HEAD)
    migrations.check(empty_url)


def test_downgrading_leaves_nothing_of_ours(empty_url: str) -> None:
    migrations.upgrade(empty_url)
    with migrations.locked(Database.parse(empty_url)) as config:
        command.downgrade(config, "base")
    assert tables(empty_url) == {schema.VERSION_TABLE}
    assert migrations.current(empty_url) is None
    migrations.upgrade(empty_url)
    migrations.check(empty_url)


def test_three_upgrades_at_once_are_one(empty_url: str) -> None:
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        results = list(pool.map(migrations.upgrade, [empty_url] * 3))
    assert sorted(results, key=str) == [(schema.HEAD, schema.HEAD)] * 2 + [(None, schema.HEAD)]
    migrations.check(empty_url)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("DROP TABLE audit_checkpoint", id="table-gone"),
        pytest.param("DROP INDEX audit_event_txn_id", id="index-gone"),
        pytest.param("ALTER TABLE audit_event ADD COLUMN remark varchar(10)", id="column-more"),
        pytest.param("ALTER TABLE audit_event RENAME COLUMN latency_us TO latency", id="column-renamed"),
    ],
)
def test_drift_is_noticed(empty_url: str, damage: str) -> None:
    migrations.upgrade(empty_url)
    if damage.startswith("DROP INDEX") and empty_url.startswith("mariadb"):
        damage += " ON audit_event"
    execute(empty_url, damage)
    with pytest.raises(
        AuditError, match=r"its tables were changed by something other than `icapd db upgrade`"
    ):
        migrations.check(empty_url)


def test_a_view_that_is_gone_is_noticed(empty_url: str) -> None:
    migrations.upgrade(empty_url)
    execute(empty_url, "DROP VIEW audit_read")
    with pytest.raises(AuditError, match="lacks the views audit_read"):
        migrations.check(empty_url)


@pytest.mark.postgresql
def test_a_narrower_column_is_noticed(postgresql_url: str) -> None:
    migrations.upgrade(postgresql_url)
    execute(postgresql_url, "ALTER TABLE audit_shadow ALTER COLUMN live_digest TYPE varchar(10)")
    with pytest.raises(AuditError, match="live_digest"):
        migrations.check(postgresql_url)


@pytest.mark.mariadb
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("host varchar(100)", id="narrower"),
        pytest.param("chain blob", id="bytes-of-any-length"),
    ],
)
def test_a_column_of_another_type_is_noticed_in_mariadb(mariadb_url: str, damage: str) -> None:
    migrations.upgrade(mariadb_url)
    execute(mariadb_url, f"ALTER TABLE audit_event MODIFY {damage}")
    with pytest.raises(AuditError, match=damage.partition(" ")[0]):
        migrations.check(mariadb_url)


@pytest.mark.mariadb
def test_an_upgrade_of_mariadb_does_not_wait_for_ever_for_another(
    mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_TIMEOUT", 0.1)
    with (
        migrations.locked(Database.parse(mariadb_url)),
        pytest.raises(AuditError, match="another icapd changes its tables; try again"),
    ):
        migrations.upgrade(mariadb_url)
    migrations.upgrade(mariadb_url)


def test_a_site_s_own_tables_and_indexes_are_none_of_our_business(empty_url: str) -> None:
    migrations.upgrade(empty_url)
    execute(
        empty_url,
        "CREATE TABLE site (id integer)",
        "CREATE TABLE alembic_version (version_num varchar(32))",
        "CREATE INDEX site_type ON audit_event (content_type)",
    )
    migrations.check(empty_url)


def test_a_database_ahead_is_left_alone(empty_url: str) -> None:
    migrations.upgrade(empty_url)
    execute(empty_url, f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(AuditError, match="ahead of this icapd's"):
        migrations.upgrade(empty_url)
    assert migrations.current(empty_url) == "9999"


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A copy of migrations/ that may be written to."""
    return shutil.copytree(MIGRATIONS, tmp_path / "migrations")


def test_alembic_s_own_command_makes_a_new_revision_from_the_template(scripts: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/scratch.db"
    migrations.upgrade(url)
    execute(url, "DROP INDEX audit_event_txn_id")
    settings = tmp_path / "alembic.ini"
    settings.write_text(f"[alembic]\nscript_location = {scripts}\n")
    arguments = ["--config", str(settings), "-x", f"url={url}", "revision", "--autogenerate"]
    CommandLine().main([*arguments, "--rev-id", "9001", "-m", "what it brings"])

    made = scripts / "versions" / "9001_what_it_brings.py"
    spec = importlib.util.spec_from_file_location("made", made)
    assert spec is not None and spec.loader is not None
    revision = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(revision)
    assert (revision.revision, revision.down_revision) == ("9001", schema.HEAD)
    assert revision.__doc__ == "what it brings."
    assert "audit_event_txn_id" in made.read_text()
