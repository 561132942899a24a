"""A database that takes every byte and says nothing: who ships gives it up, and the server what was begun."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from audit_records import NOON, make_record
from support.icapd import until
from support.relay import Relay, relayed
from support.trail import Trail

from icapd.audit import database
from icapd.audit.shipping.destination import require_destination
from icapd.audit.shipping.shipper import Shipper
from icapd.errors import AuditError

#: Seconds, in the place of half a minute.
SILENCE = 0.5
#: The COMMIT of a batch: before it the cursor and the newest checkpoint are asked for.
OF_BATCH = 3


@pytest.fixture(
    params=[
        pytest.param("postgresql", marks=pytest.mark.postgresql),
        pytest.param("mariadb", marks=pytest.mark.mariadb),
    ]
)
def way(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Relay, Trail, Trail]]:
    """A relay, a trail with the database behind it, and the same trail by the way that is always free."""
    monkeypatch.setattr(database, "SILENCE_TIMEOUT", SILENCE)
    for name in ("read_timeout", "write_timeout"):
        monkeypatch.setitem(database._SERVERS["mariadb"][2], name, SILENCE)
    # libpq takes less for two seconds.
    monkeypatch.setitem(database._SERVERS["postgresql"][2], "connect_timeout", 2)
    trail = Trail.make(tmp_path, request.getfixturevalue(f"{request.param}_url"))
    with relayed(trail.url) as (relay, url):
        yield relay, Trail(trail.outbox, url), trail


def write(trail: Trail, count: int) -> None:
    trail.write(*(make_record(occurred_at=NOON + number) for number in range(count)))


def events(trail: Trail) -> int:
    ((count,),) = trail.rows("SELECT count(*) FROM audit_event")
    return int(count)


def is_shipped(shipper: Shipper) -> bool:
    with suppress(AuditError):
        shipper.round()
        return not shipper.backlog().entries
    return False


def test_a_transaction_in_a_black_hole_is_given_up_on_both_sides(way: tuple[Relay, Trail, Trail]) -> None:
    relay, trail, near = way
    write(trail, 20)
    with closing(trail.shipper()) as shipper:
        relay.hole_at_commit(OF_BATCH)
        with pytest.raises(AuditError, match=r"said nothing|timed out"):
            shipper.round()
        assert relay.happened.is_set()
        assert events(near) == 0
        # What was begun holds its locks until the server gives it up, too.
        relay.free(renewed=True)
        until(lambda: is_shipped(shipper))
    assert events(near) == 20
    report = near.verify()
    assert (report.faults, report.unsigned) == ([], 0)


def test_a_batch_whose_commit_was_not_confirmed_is_there_once(way: tuple[Relay, Trail, Trail]) -> None:
    relay, trail, near = way
    write(trail, 20)
    with closing(trail.shipper()) as shipper:
        relay.eat_answer_to_commit(OF_BATCH)
        with pytest.raises(AuditError, match=r"closed|[Ll]ost"):
            shipper.round()
        assert relay.happened.is_set()
        assert events(near) == 20
        until(lambda: is_shipped(shipper))
    assert events(near) == 20
    report = near.verify()
    assert (report.faults, report.unsigned) == ([], 0)


def test_a_connection_that_is_lost_before_its_first_transaction_is_made_anew(
    way: tuple[Relay, Trail, Trail],
) -> None:
    relay, trail, near = way
    write(trail, 20)
    with closing(trail.shipper()) as shipper:
        relay.hole()
        with pytest.raises(AuditError):
            shipper.round()
        relay.free(renewed=True)
        until(lambda: is_shipped(shipper))
    assert events(near) == 20


def test_a_server_that_takes_connections_and_says_nothing_is_away(way: tuple[Relay, Trail, Trail]) -> None:
    relay, trail, _ = way
    assert require_destination(trail.url) == ""
    relay.hole()
    assert "whether the server runs" in require_destination(trail.url)
