"""A trail that comes back from a backup, in another database, verifies as it did: docs/audit.md, Backups."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import make_url
from support.databases import administering, make_beside, server_of
from support.trail import Trail
from tampering import LAST, ROW, Tampered, delete_a_row

from icapd.audit.evidence.faults import Kind
from icapd.cli import main

RESTORED = "icapd_restored"


@pytest.fixture
def elsewhere(ended: Tampered, tmp_path: Path) -> Iterator[str]:
    """The address of another database, which is empty; in SQLite, of a file that is not there."""
    server = server_of(ended.trail.url)
    if not server:
        yield f"sqlite:///{tmp_path}/restored.db"
        return
    yield make_beside(server, RESTORED)
    with administering(server) as run:
        run(f"DROP DATABASE {RESTORED}")


def restore(source: str, target: str, backup: Path) -> None:
    """By the database's own programs; of a SQLite file, a copy that is made while it may be written to."""
    url, old, new = make_url(source), str(make_url(source).database), str(make_url(target).database)
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(old)) as database:
            database.execute("VACUUM INTO ?", [new])
        return
    if url.get_backend_name() == "postgresql":
        access = ["--username=icapd", f"--host={url.query['host']}"]
        dump, load = ["pg_dump", *access, old], ["psql", *access, "--quiet", "--set=ON_ERROR_STOP=1", new]
    else:
        access = ["--no-defaults", "--user=root", f"--socket={url.query['unix_socket']}"]
        dump = ["mariadb-dump", *access, "--single-transaction", "--hex-blob", old]
        load = ["mariadb", *access, new]
    with backup.open("wb") as file:
        subprocess.run(dump, stdout=file, check=True)
    with backup.open("rb") as file:
        subprocess.run(load, stdin=file, stdout=subprocess.DEVNULL, check=True)


def verified(trail: Trail) -> tuple[int, int, list[int]]:
    """Exit code, rows, and numbers of the rows with a fault, as `icapd audit verify` tells them."""
    configuration = trail.outbox.parent / "restored.toml"
    configuration.write_text(f'[audit]\ndatabase_url = "{trail.url}"\n')
    command = ["--config", str(configuration), "audit", "verify", "--strict", "--format", "json"]
    result = CliRunner().invoke(main, command)
    answer = json.loads(result.stdout)
    return result.exit_code, answer["rows"], [fault["writer_seq"] for fault in answer["faults"]]


def test_a_trail_from_a_backup_verifies_as_before(ended: Tampered, elsewhere: str, tmp_path: Path) -> None:
    restore(ended.trail.url, elsewhere, tmp_path / "backup")
    restored = Tampered(Trail(ended.trail.outbox, elsewhere), ended.writer_id)
    assert verified(restored.trail) == (0, LAST, [])
    # It is the other database that was looked at.
    delete_a_row(restored)
    assert verified(restored.trail) == (Kind.MISSING, LAST - 1, [ROW])
    assert verified(ended.trail) == (0, LAST, [])
