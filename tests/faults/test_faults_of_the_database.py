"""The database is stopped, or is a black hole, under load: no verdict waits, no record is lost or doubled.

OUTAGE_SECONDS makes the outages as long as you like; by default they last for some hundred verdicts.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.database_servers import PostgreSQL
from support.databases import make_tables
from support.faults import page, settings, until
from support.icapd import PATIENCE, Server, serving
from support.load import Load
from support.places import free_port
from support.relay import relayed
from support.trail import Trail, tally

from icapd.audit.shipping.arrival import outstanding

#: Seconds.
OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "0"))


def outage(load: Load) -> None:
    """As long as it is to last, with verdicts all the time."""
    end = time.monotonic() + OUTAGE
    load.wait_for_verdicts()
    while time.monotonic() < end:
        load.wait_for_verdicts()


def p99(waits: list[float]) -> float:
    """In milliseconds."""
    return sorted(waits)[len(waits) * 99 // 100] * 1000


@contextmanager
def served(directory: Path, url: str) -> Iterator[tuple[Server, int]]:
    """A server with this database, and the port of its pages."""
    port = free_port()
    # Room for the long form: at a thousand records a second the usual limit is reached in seven minutes.
    audit = f'[audit]\ndatabase_url = "{url}"\noutbox_limit = {2**34}\n'
    with serving(directory, settings(audit, http_port=port)) as server:
        yield server, port


def check(load: Load, server: Server, trail: Trail) -> None:
    """What was seen is stored, once, and nothing is missing in between; prints the figures."""
    assert outstanding(trail.settings, PATIENCE + OUTAGE) == (0, "")
    stored = [txn_id for (txn_id,) in trail.rows("SELECT txn_id FROM audit_event")]
    ((gaps,),) = trail.rows(
        "SELECT sum(newest - entries) FROM (SELECT max(writer_seq) AS newest, count(*) AS entries FROM"
        " (SELECT writer_id, writer_seq FROM audit_event UNION ALL"
        " SELECT writer_id, writer_seq FROM audit_admin) numbered GROUP BY writer_id) writers"
    )
    lost, doubled = tally(load.seen, stored)
    sys.stdout.write(
        f"sent {load.sent}, seen {len(load.seen)}, stored {len(stored)}, gaps {gaps}, duplicates {doubled}\n"
    )
    assert (lost, doubled, gaps) == (0, 0, 0)
    assert load.sent == len(load.seen) == len(stored)
    assert server.stop() == 0
    report = trail.verify()
    assert (report.faults, report.unsigned) == ([], 0)


@pytest.mark.postgresql
def test_database_stopped_under_load_holds_nothing_up_and_gets_all(
    directory: Path, postgresql_url: str, postgresql: PostgreSQL
) -> None:
    make_tables(postgresql_url)
    with served(directory, postgresql_url) as (server, port):
        with Load(server) as load:
            load.wait_for_verdicts()
            with postgresql.stopped():
                before = len(load.seen)
                outage(load)
                server.wait_for_log("event=audit-not-shipped")
                until(lambda: "audit: " in page(port, "/readyz")[1])
                assert page(port, "/readyz")[0] == 200
                load.wait_for_verdicts()
                during = len(load.seen)
            server.wait_for_log("event=audit-shipped-again")
            load.wait_for_verdicts()
        waits = load.waits
        sys.stdout.write(f"p99 before {p99(waits[:before]):.1f}, during {p99(waits[before:during]):.1f} ms\n")
        check(load, server, Trail(directory / "outbox", postgresql_url))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ],
)
def test_database_in_a_black_hole_holds_nothing_up_and_gets_all(
    directory: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    near: str = request.getfixturevalue(f"{kind}_url")
    make_tables(near)
    trail = Trail(directory / "outbox", near)
    with relayed(near) as (relay, url), served(directory, url) as (server, port):
        with Load(server) as load:
            load.wait_for_verdicts()
            # Partitions, which may take long and are waited for longer, are made before anything is shipped.
            until(lambda: trail.rows("SELECT count(*) > 0 FROM audit_event") == [(True,)])
            relay.hole_at_commit(1)
            assert relay.happened.wait(PATIENCE)
            outage(load)
            # Who ships waits for the database, and says nothing either.
            until(lambda: "audit: " in page(port, "/readyz")[1])
            assert page(port, "/readyz")[0] == 200
            load.wait_for_verdicts()
            # In the long form everything that was begun is given up long before.
            relay.free(renewed=bool(OUTAGE))
            until(lambda: "audit: " not in page(port, "/readyz")[1])
            relay.eat_answer_to_commit(1)
            assert relay.happened.wait(PATIENCE)
            server.wait_for_log("event=audit-shipped-again")
            load.wait_for_verdicts()
        check(load, server, trail)
