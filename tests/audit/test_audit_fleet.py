"""Many servers, one database: nothing is lost or doubled, whatever comes twice."""

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from audit_records import FINDING, NOON, make_record
from support.trail import Trail, tally

from icapd.audit.database import Database
from icapd.audit.outbox.file import OutboxFile
from icapd.audit.shipping.destination import Destination
from icapd.errors import AuditError

NODES, RECORDS, BATCH = 4, 600, 50


def serve(trail: Trail, node: int) -> int:
    """Write, and ship each batch twice, as one does who never heard that the first time was enough.

    Returns how often the database refused.
    """
    refused = 0
    with trail.writer() as writer, closing(Destination(Database.parse(trail.url))) as destination:
        for number in range(RECORDS):
            writer.write(
                make_record(
                    txn_id=f"{node}-{number}",
                    occurred_at=NOON + number // 10,
                    findings=(FINDING,) * (number % 3),
                )
            )
        with closing(OutboxFile.open(writer.file, "ro")) as outbox:
            known = outbox.writer()
            assert known is not None
            shipped = 0
            while entries := outbox.read(shipped, BATCH):
                try:
                    destination.ship(known, entries)
                    destination.ship(known, entries)
                except AuditError:
                    refused += 1
                else:
                    shipped = entries[-1].seq
    return refused


def test_four_nodes_that_ship_everything_twice_at_once(empty_url: str, tmp_path: Path) -> None:
    Trail.make(tmp_path, empty_url)
    trails = [Trail(tmp_path / str(node), empty_url) for node in range(NODES)]
    for trail in trails:
        trail.outbox.mkdir()
    with ThreadPoolExecutor(NODES) as pool:
        refused = sum(pool.map(serve, trails, range(NODES)))
    for trail in trails:
        trail.ship()
    told = [f"{node}-{number}" for node in range(NODES) for number in range(RECORDS)]
    stored = [txn_id for (txn_id,) in trails[0].rows("SELECT txn_id FROM audit_event")]
    sys.stdout.write(f"{NODES} nodes, refused {refused} times\n")
    assert tally(told, stored) == (0, 0)
    assert trails[0].rows("SELECT count(*) FROM audit_finding") == [(NODES * RECORDS,)]
    assert trails[0].rows("SELECT count(*) FROM audit_dead_letter") == [(0,)]
    gaps = trails[0].rows(
        "SELECT writer_id FROM (SELECT writer_id, writer_seq FROM audit_event UNION ALL"
        " SELECT writer_id, writer_seq FROM audit_admin) numbered"
        " GROUP BY writer_id HAVING max(writer_seq) <> count(*)"
    )
    assert gaps == []
