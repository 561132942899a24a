"""Upgrades and downgrades while records come: the outboxes keep what can't be shipped meanwhile."""

import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from audit_records import FINDING, make_record
from sqlalchemy import update
from support.trail import Trail, tally
from tampering import Tampered

from icapd.audit import migrations, schema
from icapd.audit.database import Database
from icapd.audit.reads import on_record
from icapd.audit.tables import audit_admin
from icapd.errors import AuditError

TIMES = 3


def ship_until(done: threading.Event, trail: Trail, started: threading.Event) -> int:
    """Writes and ships; returns how many records that were, and prints how often that had to wait."""
    count = refused = 0
    with trail.writer() as writer:
        while not done.is_set():
            for _ in range(10):
                writer.write(make_record(txn_id=f"node-{count}", findings=(FINDING,)))
                count += 1
            try:
                trail.ship()
            except AuditError:
                refused += 1
            else:
                started.set()
    sys.stdout.write(f"refused {refused} times\n")
    return count


@pytest.mark.parametrize("revision", ["0002", "0003"])
def test_nothing_is_lost_or_doubled_while_the_schema_changes(
    empty_url: str, tmp_path: Path, revision: str
) -> None:
    trail = Trail.make(tmp_path, empty_url)
    done, started = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        shipping = pool.submit(ship_until, done, trail, started)
        try:
            for _ in range(TIMES):
                started.clear()
                assert started.wait(60)
                with migrations.locked(Database.parse(empty_url)) as config:
                    command.downgrade(config, revision)
                migrations.upgrade(empty_url)
        finally:
            done.set()
    trail.ship()
    told = [f"node-{number}" for number in range(shipping.result())]
    stored = [txn_id for (txn_id,) in trail.rows("SELECT txn_id FROM audit_event")]
    assert tally(told, stored) == (0, 0)
    assert trail.rows("SELECT count(*) FROM audit_finding") == [(len(told),)]
    assert trail.rows("SELECT count(*) FROM audit_dead_letter") == [(0,)]
    assert migrations.current(empty_url) == schema.HEAD
    migrations.check(empty_url)


def test_what_writers_are_is_known_again_after_a_step_back(empty_url: str, tmp_path: Path) -> None:
    trail = Trail.make(tmp_path, empty_url)
    with trail.writer(role="worker") as changed, trail.writer(role="worker"):
        pass
    with on_record(trail.outbox, "durable", "search", {}):
        pass
    trail.ship()
    with migrations.locked(Database.parse(empty_url)) as config:
        command.downgrade(config, "0006")
    # What someone has changed does not stop it.
    of_start = (audit_admin.c.writer_id == changed.writer_id) & (audit_admin.c.action == "start")
    Tampered(trail, changed.writer_id).run(update(audit_admin).where(of_start).values(detail="{"))
    migrations.upgrade(empty_url)
    roles = trail.rows("SELECT role FROM audit_writer")
    assert Counter(roles) == Counter([("worker",), ("command",), (None,)])
    assert {fault.writer_id for fault in trail.verify().faults} == {changed.writer_id}
