"""PostgreSQL's roles: each can do its work, and nothing else, whatever it tries."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
import pytest
from alembic import command
from audit_records import FINDING, NOON, make_record
from click.testing import CliRunner
from psycopg.errors import InsufficientPrivilege
from support.trail import Trail

from icapd.audit import migrations, partitions, require_destination, roles
from icapd.audit.database import Database
from icapd.audit.retention import holds
from icapd.audit.retention.classes import Cutoffs
from icapd.audit.retention.erasure import erase
from icapd.audit.retention.keys import Keys
from icapd.audit.retention.purge import Outcome, purge
from icapd.audit.retention.transactions import transaction
from icapd.audit.search import Filters, search
from icapd.cli.db import db
from icapd.errors import AuditError
from icapd.server.retention import Retention
from icapd.server.upkeep import Upkeep
from icapd.settings import Audit

pytestmark = pytest.mark.postgresql

NOW = datetime(2026, 5, 17, tzinfo=UTC)
#: Who can log in, and what that is a member of. The careless one was given every right on every table.
MEMBERS = {"shipper": roles.INGEST, "auditor": roles.READ, "keeper": roles.RETENTION, "careless": None}


class Site:
    """A database whose owner is no superuser, with members of all roles."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.trail = Trail(directory / "outbox", self.url_of("site_owner"))
        self.trail.outbox.mkdir()
        migrations.upgrade(self.trail.url)
        self.execute("site_owner", roles.sql())
        for name, role in MEMBERS.items():
            self.execute("icapd", f"CREATE ROLE {name} LOGIN {f'IN ROLE {role}' if role else ''}")
        for table in (*partitions.TABLES, "audit_event_default"):
            self.execute("icapd", f"GRANT ALL ON {table} TO careless")

    def url_of(self, name: str) -> str:
        return self.url.replace("://icapd@", f"://{name}@")

    def database_of(self, name: str) -> Database:
        return Database.parse(self.url_of(name))

    def execute(self, name: str, statements: str) -> int:
        """How many rows the last of them touched."""
        with psycopg.connect(self.url_of(name), autocommit=True) as connection:
            return connection.execute(statements).rowcount  # type: ignore[arg-type]


@pytest.fixture
def site(postgresql_url: str, tmp_path: Path) -> Iterator[Site]:
    everybody = ["site_owner", *MEMBERS, roles.INGEST, roles.READ, roles.RETENTION]
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE site_owner LOGIN CREATEROLE")
        connection.execute("ALTER DATABASE icapd_test OWNER TO site_owner")
    try:
        yield Site(postgresql_url, tmp_path)
    finally:
        with psycopg.connect(postgresql_url, autocommit=True) as connection:
            for name in everybody:
                if connection.execute("SELECT to_regrole(%s)", [name]).fetchone() != (None,):
                    connection.execute(f"REASSIGN OWNED BY {name} TO icapd")
                    connection.execute(f"DROP OWNED BY {name} CASCADE")
                    connection.execute(f"DROP ROLE {name}")


def ship(site: Site, name: str = "shipper") -> None:
    trail = Trail(site.trail.outbox, site.url_of(name))
    trail.write(make_record(findings=(FINDING,)))
    trail.ship()


def test_the_command_prints_what_can_be_run_again_and_again(site: Site) -> None:
    printed = CliRunner().invoke(db, ["roles"]).output
    assert printed == roles.sql()
    for name in ("site_owner", "icapd", "site_owner"):
        site.execute(name, printed)
    migrations.check(site.url_of("site_owner"))


def test_ingest_ships_and_read_reads(site: Site) -> None:
    assert require_destination(site.url_of("shipper")) == ""
    migrations.check(site.url_of("shipper"))
    ship(site)
    ship(site)
    assert [len(record.findings) for record in search(site.url_of("auditor"), Filters())] == [1, 1]
    assert site.execute("auditor", "SELECT FROM audit_admin") == 4
    assert site.execute("auditor", "SELECT FROM audit_shipment") == 2


CHAINED = ["audit_event", "audit_finding", "audit_admin"]
OF_RETENTION = ["audit_purge", "audit_archive", "audit_hold"]
OTHERS = ["audit_shadow", "audit_writer", "audit_checkpoint", "audit_dead_letter", *OF_RETENTION]
ALL = [*CHAINED, *OTHERS]
REFUSED = [
    *(("shipper", f"UPDATE {table} SET writer_id = 1") for table in ALL),
    *(("shipper", f"DELETE FROM {table}") for table in [*ALL, "audit_shipment"]),
    *(("shipper", f"TRUNCATE {table}") for table in ALL),
    *(("shipper", f"SELECT * FROM {table}") for table in ALL if table != "audit_checkpoint"),
    *(("shipper", f"INSERT INTO {table} DEFAULT VALUES") for table in OF_RETENTION),
    *(("shipper", f"DELETE FROM {table}_default") for table in partitions.TABLES),
    *(("shipper", f"DROP TABLE {table}_default") for table in partitions.TABLES),
    ("shipper", "ALTER TABLE audit_event DISABLE TRIGGER ALL"),
    ("shipper", "UPDATE audit_schema_version SET version_num = '9999'"),
    ("shipper", "SET ROLE icapd_retention"),
    *(("auditor", f"INSERT INTO {table} DEFAULT VALUES") for table in [*ALL, "audit_shipment"]),
    *(("auditor", f"UPDATE {table} SET writer_id = 1") for table in [*ALL, "audit_shipment"]),
    *(("auditor", f"DELETE FROM {table}") for table in [*ALL, "audit_shipment"]),
    *(("keeper", f"DELETE FROM {table}") for table in ("audit_hold", "audit_archive")),
    # These have the right, and the rows.
    *(("careless", f"UPDATE {table} SET writer_seq = 9") for table in CHAINED),
    *(("careless", f"DELETE FROM {table}") for table in CHAINED),
    *(("careless", f"TRUNCATE {table}") for table in partitions.TABLES),
    ("careless", "DELETE FROM audit_event_default"),
    ("careless", "UPDATE audit_event_default SET path = NULL"),
]


def test_what_is_not_its_work_is_refused_to_each(site: Site) -> None:
    ship(site)
    for name, statement in REFUSED:
        reason = "only ever added" if name == "careless" else r"permission denied|must be owner"
        with pytest.raises(InsufficientPrivilege, match=reason):
            site.execute(name, statement)
    assert len(list(search(site.url_of("auditor"), Filters()))) == 1


def test_retention_erases_deletes_and_drops(site: Site) -> None:
    ship(site)
    made = partitions.make(site.database_of("keeper"), "month", NOW)
    assert "audit_event_p20260501" in made
    ship(site)
    assert site.execute("keeper", "UPDATE audit_event SET client_ip = NULL, subject_salt = NULL") == 2
    assert site.execute("keeper", "DELETE FROM audit_finding") == 2
    site.execute("keeper", "TRUNCATE audit_admin")
    site.execute("keeper", "DROP TABLE audit_event_p20260501")
    assert site.execute("auditor", "SELECT FROM audit_event") == 0
    assert partitions.make(site.database_of("keeper"), "month", NOW) == ["audit_event_p20260501"]


def test_only_retention_purges_holds_and_erases(site: Site) -> None:
    partitions.make(site.database_of("keeper"), "month", NOW)
    ship(site)
    ship(site)
    cutoffs, subject = Cutoffs(NOON + 1, NOON + 1), Filters(user="alice")
    june = Cutoffs(NOON + 20 * 86_400_000_000, NOON + 20 * 86_400_000_000)

    def keys() -> Keys:
        return Keys.load(Path(site.trail.settings.signing_key))

    for name in ("shipper", "auditor", "careless"):
        refused = site.database_of(name)
        for steps in (purge(refused, keys(), cutoffs, Outcome()), erase(refused, keys(), subject)):
            with pytest.raises(AuditError, match=r"no right to purge, erase or hold.*icapd_retention"):
                list(steps)
        with pytest.raises(AuditError, match="no right to purge, erase or hold"), transaction(refused) as c:
            holds.add(c, keys(), 1, subject, "case 17", {})
    keeper = site.database_of("keeper")
    assert sum(erase(keeper, keys(), subject)) == 2
    with transaction(keeper) as connection:
        hold = holds.add(connection, keys(), 1, Filters(), "case 17", {})
    assert sum(purge(keeper, keys(), june, Outcome())) == 0
    with transaction(keeper) as connection:
        holds.release(connection, keys(), hold.hold_id, "closed", {})
    outcome = Outcome()
    list(purge(keeper, keys(), june, outcome))
    assert (outcome.rows, outcome.partitions[0]) == (2, "audit_event_p20260501")
    assert Trail(site.trail.outbox, site.url_of("auditor")).verify().faults == []


def test_the_owner_upgrades_and_makes_partitions_that_retention_can_drop(site: Site) -> None:
    ship(site)
    assert len(partitions.make(site.database_of("site_owner"), "month", NOW)) == 12
    site.execute("keeper", "DROP TABLE audit_event_p20260501")
    with migrations.locked(site.database_of("site_owner")) as config:
        command.downgrade(config, "0003")
    migrations.upgrade(site.url_of("site_owner"))
    site.execute("site_owner", roles.sql())
    ship(site)
    migrations.check(site.url_of("site_owner"))


def test_ingest_tells_who_has_to_make_partitions_and_ships_nevertheless(site: Site) -> None:
    audit = Audit(database_url=site.url_of("shipper"), partitions="month")
    work = Upkeep(audit)
    work.work()
    assert "this role has no right to make partitions of audit_event" in work.problem
    assert "run `icapd audit partitions --make` as icapd_retention each day" in work.problem
    ship(site)
    partitions.make(site.database_of("keeper"), "month", datetime.now(UTC), for_strays=True)
    work = Upkeep(audit)
    work.work()
    assert work.problem == ""
    Trail(site.trail.outbox, site.url_of("shipper")).write(make_record(occurred_at=NOON - 10**15))
    Trail(site.trail.outbox, site.url_of("shipper")).ship()
    work = Upkeep(audit)
    work.work()
    assert "audit_event_default holds 1 rows" in work.problem


def test_ingest_tells_who_has_to_purge(site: Site) -> None:
    ship(site)
    url = site.url_of("shipper")
    job = Retention(msgspec.structs.replace(site.trail.settings, database_url=url, retention_allowed=30))
    job.work()
    assert (
        "no right to purge, erase or hold; run the command of `icapd audit` as a member of icapd_retention"
        in job.problem
    )


def test_without_roles_a_stranger_is_told_what_is_missing(postgresql_url: str, tmp_path: Path) -> None:
    Trail.make(tmp_path, postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
    try:
        stranger = Database.parse(postgresql_url.replace("://icapd@", "://stranger@"))
        with pytest.raises(AuditError, match=r"no right to look into audit_admin_default.*`icapd db roles`"):
            partitions.problem(stranger)
    finally:
        with psycopg.connect(postgresql_url, autocommit=True) as connection:
            connection.execute("DROP ROLE stranger")
