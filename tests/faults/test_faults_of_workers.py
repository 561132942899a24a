"""`kill -9` of a worker again and again, under load: what a client saw is stored, once.

KILLS says how often, by default a few times; between two of them KILL_SECONDS pass, or some hundred verdicts.
"""

import os
import signal
import sys
import time
from pathlib import Path

from support.faults import processes, settings
from support.icapd import serving
from support.load import Load
from support.trail import tally

KILLS, SECONDS = int(os.environ.get("KILLS", "3")), float(os.environ.get("KILL_SECONDS", "0"))


def test_worker_killed_again_and_again_under_load(directory: Path) -> None:
    with serving(directory, settings(), environment={"ICAPD_AUDIT_MODE": "durable"}) as server:
        with Load(server, goes_on=True) as load:
            for _ in range(KILLS):
                end = time.monotonic() + SECONDS
                load.wait_for_verdicts()
                while time.monotonic() < end:
                    load.wait_for_verdicts()
                os.kill(processes(server)[1], signal.SIGKILL)
                server.wait_for_log("event=worker-started")
            load.wait_for_verdicts()
        stored = [txn_id for (txn_id,) in server.query("SELECT txn_id FROM audit_event")]
        deaths = server.query("SELECT count(*) FROM audit_admin WHERE action = 'died'")
        assert server.stop() == 0
    lost, doubled = tally(load.seen, stored)
    # What was recorded when its worker died may not have been told to anybody.
    sys.stdout.write(
        f"sent {load.sent}, seen {len(load.seen)}, stored {len(stored)}, deaths {deaths[0][0]}\n"
    )
    assert (lost, doubled, deaths) == (0, 0, [(KILLS,)])
    assert len(load.seen) <= len(stored) <= load.sent
    assert server.verify() == 0
