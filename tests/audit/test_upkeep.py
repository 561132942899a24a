"""Partitions made ahead by the process that ships, and by hand; and how what is wrong with them is told."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest
from audit_records import make_record
from click.testing import CliRunner, Result
from sqlalchemy import text
from support.icapd import PATIENCE, serving, until
from support.places import free_port
from support.trail import Trail

from icapd.audit import instants, migrations, partitions
from icapd.audit.database import Database
from icapd.cli import main
from icapd.server import upkeep
from icapd.server.shipping import Shipping
from icapd.server.supervision.messages import Drain, Shipped
from icapd.settings import Audit

STRAY = "audit_event_default holds 1 rows of 1999-12-31 to 1999-12-31: a clock was off"


@pytest.fixture
def trail(postgresql_url: str, tmp_path: Path) -> Trail:
    return Trail.make(tmp_path, postgresql_url)


def icapd(trail: Trail, *arguments: str, period: str = "month") -> Result:
    environment = {"ICAPD_AUDIT_DATABASE_URL": trail.url, "ICAPD_AUDIT_PARTITIONS": period}
    return CliRunner().invoke(main, arguments, env=environment, catch_exceptions=False)


def stray(trail: Trail) -> None:
    trail.write(make_record(occurred_at=instants.from_datetime(datetime(1999, 12, 31, tzinfo=UTC))))


def names(trail: Trail) -> list[str]:
    return [one.name for one in partitions.partitions(Database.parse(trail.url)) if one.span]


@pytest.mark.postgresql
def test_shipping_makes_partitions_before_it_ships_and_tells_of_strays(trail: Trail) -> None:
    trail.write(make_record(occurred_at=instants.from_datetime(datetime.now(UTC))))
    stray(trail)
    reports: list[Shipped] = []
    audit = msgspec.structs.replace(trail.settings, partitions="day")
    shipping = Shipping(audit, reports.append)
    shipping.run(lambda _: Drain(30, retire=False))
    assert len(names(trail)) == 8 * len(partitions.TABLES)
    # It looked before anything was shipped.
    assert reports[0].problem == ""
    assert trail.rows("SELECT count(*) FROM audit_event_default") == [(1,)]
    shipping = Shipping(audit, reports.append)
    shipping.run(lambda _: Drain(30, retire=False))
    assert STRAY in reports[-1].problem


@pytest.mark.postgresql
def test_a_database_that_is_away_is_tried_again_and_one_that_answers_in_an_hour(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1000.0
    monkeypatch.setattr(upkeep.time, "monotonic", lambda: clock)
    audit = Audit(database_url=trail.url)
    work = upkeep.Upkeep(msgspec.structs.replace(audit, database_url="postgresql://u@/d?host=/nowhere"))
    work.work()
    assert "see [audit] database_url" in work.problem
    work._database = Database.parse(trail.url)
    clock += upkeep.AGAIN - 1
    work.work()
    assert work.problem
    clock += 1
    work.work()
    assert work.problem == ""
    made = names(trail)
    assert len(made) == 3 * len(partitions.TABLES)
    with Database.parse(trail.url).write() as connection:
        connection.execute(text(f"DROP TABLE {made[0]}"))
    clock += upkeep.INTERVAL - 1
    work.work()
    assert made[0] not in names(trail)
    clock += 1
    work.work()
    assert names(trail) == made


@pytest.mark.postgresql
def test_a_server_shows_strays_and_serves(trail: Trail, tmp_path: Path) -> None:
    stray(trail)
    trail.ship()
    port = free_port()
    listen = f'[server]\nlisten = "127.0.0.1:0"\nhttp_listen = "127.0.0.1:{port}"\nworkers = 1\n'
    directory = tmp_path / "server"
    directory.mkdir()
    with serving(directory, f'{listen}[audit]\ndatabase_url = "{trail.url}"\n') as server:
        # It is ready without them, so they may come before or after.
        until(lambda: f'event=partitions-need-care problem="{STRAY}' in server.log)
        assert "event=partitions-made" in server.log
        answer = ""
        deadline = time.monotonic() + PATIENCE
        while STRAY not in answer and time.monotonic() < deadline:
            with urlopen(f"http://127.0.0.1:{port}/readyz") as page:
                answer = page.read().decode()
        assert answer.startswith(f"ready\naudit: {STRAY}")
    assert len(names(trail)) == 3 * len(partitions.TABLES)


@pytest.mark.postgresql
def test_partitions_are_printed_and_made_by_hand(trail: Trail) -> None:
    stray(trail)
    trail.ship()
    shown = icapd(trail, "audit", "partitions")
    assert shown.exit_code == 0
    assert "audit_event_default" in shown.stdout
    assert STRAY in shown.stderr
    made = icapd(trail, "audit", "partitions", "--make", "--format", "json", period="day")
    assert "made audit_event_p19991201\n" in made.stderr
    assert "DEFAULT" not in made.stderr
    listed = json.loads(made.stdout)
    assert {one["table"] for one in listed} == set(partitions.TABLES)
    tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert tomorrow.isoformat() in {one["since"] for one in listed}
    assert {one["until"] for one in listed if one["partition"].endswith("_default")} == {None}


@pytest.mark.postgresql
def test_icapd_check_notes_strays(trail: Trail) -> None:
    stray(trail)
    trail.ship()
    output = icapd(trail, "check").output
    assert "note  database: audit_admin_default holds 2 rows" in output
    assert STRAY in output


@pytest.mark.postgresql
def test_upgrade_makes_partitions_of_the_period_that_is_set(postgresql_url: str, tmp_path: Path) -> None:
    trail = Trail(tmp_path, postgresql_url)
    assert icapd(trail, "db", "upgrade", period="day").exit_code == 0
    assert len(names(trail)) == 8 * len(partitions.TABLES)


def test_another_database_has_none(tmp_path: Path) -> None:
    trail = Trail.make(tmp_path)
    shown = icapd(trail, "audit", "partitions", "--make")
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "has no partitions; PostgreSQL has them" in shown.stderr
    assert icapd(trail, "audit", "partitions", "--format", "json").stdout == "[]\n"
    work = upkeep.Upkeep(Audit(database_url=trail.url))
    work.work()
    assert work.problem == ""
    migrations.check(trail.url)
