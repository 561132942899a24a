"""Power is lost at any moment: `durable` loses no record that a verdict may have left for."""

import re
import sys
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from support.power import Fate, lose_power, record
from support.trail import Trail, tally

#: Writes records, ships some of them now and then, and says of each when it may be told of.
PROGRAM = """
import os, sys
from contextlib import closing
from pathlib import Path
from audit_records import FINDING, make_record
from icapd.audit.outbox import file
from support.trail import Trail

# The log is begun anew several times, and written over.
file._CHECKPOINT_PAGES, file._LOG_SIZE = 20, 20 * 4120
outbox, url, mode, records = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
trail = Trail(outbox, url)
with closing(trail.shipper()) as shipper, trail.writer(mode=mode, role="worker", coalesce_after=20) as writer:
    for number in range(records):
        flood = number % 50 > 10
        record = make_record(host="flood.test" if flood else f"{number}.test", findings=(FINDING,) * flood)
        if number % 7 == 0:
            writer.write_all([("open", record)])
        writer.write_all([("close" if number % 7 == 0 else "final", record)])
        os.write(1, f"{record.host}\\n".encode())
        if number % 40 == 39:
            shipper.round()
    os._exit(0)
"""


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail.make(tmp_path)


def lost_and_doubled(mode: str, trail: Trail, losses: int) -> tuple[int, int]:
    """Of all records that were told of before one of so many losses of power."""
    directory = trail.outbox.parent
    paths = [Path(__file__).parents[1], Path(__file__).parents[1] / "audit"]
    code = f"import sys; sys.path += {list(map(str, paths))}\n{PROGRAM}"
    # The signing key is older than what is lost here.
    trail.ship()
    before = {file: file.read_bytes() for file in directory.iterdir() if file.is_file()}
    calls = record(
        [sys.executable, "-c", code, str(trail.outbox), trail.url, mode, "200"], directory / "calls.log"
    )
    dice = Random(1)
    lost = doubled = 0
    for number in range(losses):
        moment = dice.randrange(len(calls)) + 1
        told = [line for call in calls[:moment] if not call.file for line in call.data.decode().split()]
        after = lose_power(
            calls[:moment], get_args(Fate)[number % 3], dice, lambda path: path.startswith(str(directory))
        )
        found = restored(directory / f"loss-{number}", directory, before, after)
        found.ship()
        stored = [
            host
            for host, repeats in found.rows("SELECT host, repeats FROM audit_event")
            for _ in range(repeats)
        ]
        report = found.verify()
        assert not report.faults, (moment, report.faults)
        # A record whose program did not live to tell of it may be there.
        numbered = [f"{host}#{stored[:place].count(host)}" for place, host in enumerate(stored)]
        expected = [f"{host}#{told[:place].count(host)}" for place, host in enumerate(told)]
        more = tally(expected, numbered)
        lost, doubled = lost + more[0], doubled + max(0, len(stored) - len(told) - 1)
    return lost, doubled


def restored(place: Path, directory: Path, before: dict[Path, bytes], after: dict[str, bytes]) -> Trail:
    (place / "outbox").mkdir(parents=True)
    for file, data in {**before, **{Path(path): data for path, data in after.items()}}.items():
        # What a process has in memory together with others is made anew.
        if not re.search(r"-shm$", file.name):
            (place / file.relative_to(directory)).write_bytes(data)
    return Trail(place / "outbox", f"sqlite:///{place}/icapd.db")


def test_durable_loses_nothing(trail: Trail) -> None:
    assert lost_and_doubled("durable", trail, 60) == (0, 0)


def test_relaxed_may_lose_the_last_but_doubles_nothing(trail: Trail) -> None:
    """So the model does lose what was not synced."""
    lost, doubled = lost_and_doubled("relaxed", trail, 30)
    assert lost > 0 and doubled == 0
