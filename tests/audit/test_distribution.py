"""The tables spread over Citus: a real PostgreSQL, in which functions with Citus's signatures stand for it.

They refuse what Citus refuses (triggers, unique indexes without the column of distribution, foreign keys,
a group that is not there, a second time), and note what they are asked for. That Citus itself does it is not
tested: it is in no package of Debian's.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from audit_records import FINDING, make_record
from click.testing import CliRunner, Result
from support.trail import Trail

from icapd.audit import distribution, migrations, partitions
from icapd.audit.database import Database
from icapd.audit.search import Filters, search
from icapd.audit.tables import metadata
from icapd.cli.db import db
from icapd.errors import AuditError
from icapd.settings import Settings

pytestmark = pytest.mark.postgresql

NAMES = [table.name for table in metadata.sorted_tables]

#: Signatures as in Citus's src/backend/distributed/sql/udfs/create_distributed_table/10.1-1.sql.
STAND_IN = """
CREATE SCHEMA citus;
CREATE TYPE citus.distribution_type AS ENUM ('hash', 'range', 'append');
CREATE TABLE citus.pg_dist_partition (logicalrelid regclass PRIMARY KEY, of_group regclass, emptied boolean);
CREATE FUNCTION citus.create_distributed_table(
    table_name regclass, distribution_column text, distribution_type citus.distribution_type DEFAULT 'hash',
    colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = table_name AND NOT tgisinternal) THEN
        RAISE 'cannot distribute relation "%" because it has triggers', table_name
            USING HINT = format('Consider dropping all the triggers on "%s" and retry.', table_name);
    END IF;
    IF EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND table_name IN (conrelid, confrelid))
    OR EXISTS (
        SELECT FROM pg_index WHERE indrelid = table_name AND indisunique AND (
            SELECT attnum FROM pg_attribute WHERE attrelid = table_name AND attname = distribution_column
        ) <> ALL (indkey)
    ) THEN
        RAISE 'cannot create constraint on "%"', table_name;
    END IF;
    INSERT INTO citus.pg_dist_partition VALUES (
        table_name, CASE colocate_with WHEN 'none' THEN table_name ELSE colocate_with::regclass END, false);
    IF (SELECT of_group FROM citus.pg_dist_partition WHERE logicalrelid = table_name) NOT IN
            (SELECT logicalrelid FROM citus.pg_dist_partition) THEN
        RAISE 'relation % is not distributed', colocate_with;
    END IF;
END $$;
CREATE FUNCTION citus.truncate_local_data_after_distributing_table(function_name regclass)
RETURNS void LANGUAGE sql AS $$
    UPDATE citus.pg_dist_partition SET emptied = true WHERE logicalrelid = function_name
$$;
"""


@pytest.fixture
def cluster(postgresql_url: str, tmp_path: Path) -> Iterator[Trail]:
    trail = Trail.make(tmp_path, postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(STAND_IN)
        # Citus's own are in pg_catalog.
        connection.execute("ALTER DATABASE icapd_test SET search_path = public, citus")
    yield trail


def icapd_db_distribute(trail: Trail, *options: str) -> Result:
    settings = Settings(audit=trail.settings)
    return CliRunner().invoke(db, ["distribute", *options], obj=settings)


def test_every_table_is_distributed_by_writer_in_one_group(cluster: Trail) -> None:
    result = icapd_db_distribute(cluster)
    assert result.exit_code == 0, result.output
    assert "audit_event: distributed" in result.stderr.splitlines()[0]
    found = cluster.rows(
        "SELECT logicalrelid::text, of_group::text, emptied FROM pg_dist_partition ORDER BY 1"
    )
    assert found == [(name, "audit_event", True) for name in sorted(NAMES)]
    cluster.ship()
    rows = cluster.rows(
        "SELECT action, detail FROM audit_admin WHERE action ~ '^distribute' ORDER BY action DESC"
    )
    assert [action for action, _ in rows] == ["distribute-begin", "distribute"]
    assert sorted(json.loads(rows[1][1])["tables"]) == sorted(NAMES)


def test_records_go_on_and_a_second_time_does_nothing(cluster: Trail) -> None:
    cluster.write(make_record(findings=(FINDING,)))
    cluster.ship()
    list(distribution.distribute(Database.parse(cluster.url)))
    cluster.write(make_record(findings=(FINDING,)))
    cluster.ship()
    assert len(list(search(cluster.url, Filters()))) == 2
    assert cluster.verify().faults == []
    migrations.check(cluster.url)
    assert icapd_db_distribute(cluster).stdout.endswith("was distributed already\n")


def test_what_broke_off_goes_on_where_it_was(cluster: Trail) -> None:
    first = next(distribution.distribute(Database.parse(cluster.url)))
    assert (first[0].table, first[1]) == ("audit_event", len(NAMES) - 1)
    assert [step.table for step in distribution.steps(Database.parse(cluster.url))] == [
        name for name in NAMES if name != "audit_event"
    ]
    done = [step.table for step, _ in distribution.distribute(Database.parse(cluster.url))]
    assert done == [name for name in NAMES if name != "audit_event"]


def test_a_table_that_citus_refuses_is_named_with_what_it_says(cluster: Trail) -> None:
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("CREATE UNIQUE INDEX own ON audit_writer (node)")
    with pytest.raises(AuditError, match='audit_writer was not distributed: cannot create constraint on "'):
        list(distribution.distribute(Database.parse(cluster.url)))
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute("DROP INDEX own")
        connection.execute(
            "CREATE TRIGGER own BEFORE INSERT ON audit_writer"
            " FOR EACH ROW EXECUTE FUNCTION audit_append_only()"
        )
    with pytest.raises(AuditError, match="because it has triggers; Consider dropping all the triggers"):
        list(distribution.distribute(Database.parse(cluster.url)))


def test_what_would_be_done_is_printed_without_citus_too(postgresql_url: str, tmp_path: Path) -> None:
    trail = Trail.make(tmp_path, postgresql_url)
    printed = icapd_db_distribute(trail, "--dry-run").output
    assert printed.count("create_distributed_table(") == len(NAMES)
    for table in partitions.TABLES:
        drop, distribute = (
            f"DROP TRIGGER IF EXISTS audit_append_only ON {table};\n",
            f"SELECT create_distributed_table('{table}', 'writer_id', colocate_with => '",
        )
        assert -1 < printed.index(drop) < printed.index(distribute)
    with psycopg.connect(trail.url, autocommit=True) as connection:
        connection.execute(STAND_IN)
        connection.execute("SET search_path = public, citus")
        connection.execute(printed)
    assert trail.rows("SELECT count(*) FROM citus.pg_dist_partition") == [(len(NAMES),)]


def test_without_citus_it_is_refused_with_what_to_do(postgresql_url: str, tmp_path: Path) -> None:
    trail = Trail.make(tmp_path, postgresql_url)
    error = icapd_db_distribute(trail).exception
    assert isinstance(error, AuditError)
    assert "has no Citus; run CREATE EXTENSION citus" in str(error)
    # Nothing was done: the trigger is there.
    assert trail.rows("SELECT count(*) FROM pg_trigger WHERE tgname = 'audit_append_only'") != [(0,)]


def test_sqlite_is_refused(tmp_path: Path) -> None:
    error = icapd_db_distribute(Trail.make(tmp_path), "--dry-run").exception
    assert "only tables of a PostgreSQL with Citus can be distributed" in str(error)
