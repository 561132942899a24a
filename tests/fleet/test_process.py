"""Children: what is said of one that ends, and that none is left behind."""

import os
import signal
from pathlib import Path

import pytest

from icapd.fleet.process import Interrupted, Process, ProcessError, Signals


def shell(script: str, log: Path, *more_logs: Path) -> Process:
    return Process("the child", ["sh", "-c", script], log, *more_logs)


def never() -> bool:
    return False


@pytest.mark.parametrize(
    ("script", "end"),
    [
        pytest.param("exit 0", "with exit code 0", id="by itself"),
        pytest.param("exit 7", "with exit code 7", id="with an error"),
        pytest.param("kill -KILL $$", "by signal SIGKILL", id="killed"),
    ],
)
def test_child_that_ends_before_it_serves_tells_how(tmp_path: Path, script: str, end: str) -> None:
    with (
        shell(script, tmp_path / "log") as child,
        pytest.raises(ProcessError, match=f"the child ended {end}"),
    ):
        child.wait_until(never)


def test_obituary_holds_the_last_lines_of_all_logs_since_the_start(tmp_path: Path) -> None:
    log, own_log = tmp_path / "log", tmp_path / "own.log"
    log.write_text("of an earlier run\n")
    with shell(f"seq 100; echo dying >&2; echo own >{own_log}; exit 1", log, own_log) as child:
        message = str(child.obituary())
    assert message.endswith("\n  99\n  100\n  dying\n  own")
    assert "earlier" not in message
    assert "\n  80\n" not in message


def test_child_that_never_serves_is_given_up(tmp_path: Path) -> None:
    with shell("exec cat /dev/zero >/dev/null", tmp_path / "log") as child:
        with pytest.raises(ProcessError, match="the child does not serve after 0 s"):
            child.wait_until(never, timeout=0)
        assert not child.ended
    assert child.ended


def test_serving_child_is_waited_for_and_stopped_at_the_end(tmp_path: Path) -> None:
    served = tmp_path / "served"
    with shell(f"touch {served}; exec cat /dev/zero >/dev/null", tmp_path / "log") as child:
        child.wait_until(served.exists)
        assert not child.ended
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_stop_signal_ends_the_wait(tmp_path: Path) -> None:
    with Signals() as signals, shell("exec cat /dev/zero >/dev/null", tmp_path / "log") as child:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted, match="before the child was up"):
            child.wait_until(never, lambda: signals.stop_requested)
    assert child.ended


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stop_signals_are_noted_and_not_raised(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Signals() as signals:
        signal.raise_signal(number)
        signals.wait()
        assert signals.stop_requested
    assert signal.getsignal(number) is before


def test_end_of_a_child_wakes_the_parent_but_does_not_stop_it(tmp_path: Path) -> None:
    with Signals() as signals, shell("exit 0", tmp_path / "log") as child:
        signals.wait()
        assert not signals.stop_requested
        assert child.ended
