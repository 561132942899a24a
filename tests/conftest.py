"""What all tests share, and how the whole suite is run: three files at a time."""

import fcntl
import os
import signal
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import settings
from support.processes import children

pytest_plugins = ["support.database_servers"]

#: One more than continuous integration has processors: half of the time tests wait, for servers and disks.
WORKERS = 3
_TESTS = Path(__file__).parent
#: Where the files are that take longest. They come first: at the end both processes should have work.
_FIRST = ("e2e", "bench", "packaging", "server", "audit", "faults", "fleet", "cli", "conformance", "fuzz")

# A machine that is shared and slow is no failure of a property.
settings.register_profile("icapd", deadline=None)
settings.load_profile("icapd")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """None for files that were named: their tests begin sooner in this process."""
    return 0 if config.args_source is pytest.Config.ArgsSource.ARGS else WORKERS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file stay together, and files of a directory in their order."""
    places = {_TESTS / name: place for place, name in enumerate(_FIRST)}
    items.sort(key=lambda item: places.get(item.path.parent, len(places)))


def pytest_sessionstart(session: pytest.Session) -> None:
    """A run that is told to end, as by a time limit of CI, tears down too: Squid and icapd end with it."""
    # Databases of patterns are kept here, for the processes that tests start as well.
    os.environ["XDG_CACHE_HOME"] = str(_TESTS.parent / "var" / "cache")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_once if _is_worker(session.config) else signal.default_int_handler)


def _end_once(_number: int, _frame: FrameType | None) -> None:
    """A terminal tells the workers as well; what comes second must not break into their teardown."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    raise KeyboardInterrupt


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Of the ten seconds that pytest-xdist leaves its workers, it would let five pass before it told them."""
    if exitstatus == pytest.ExitCode.INTERRUPTED and session.config.pluginmanager.has_plugin("dsession"):
        for worker in children(os.getpid()):
            os.kill(worker, signal.SIGINT)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test that is marked `alone` begins once no other worker runs one, and makes them wait."""
    if not _is_worker(item.config):
        return (yield)
    kind = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    # Who comes behind a test that waits to be alone waits at the door: it would never be empty inside.
    with ExitStack() as place:
        with locked(_TESTS / "conftest.py", fcntl.LOCK_EX):
            place.enter_context(locked(_TESTS, kind))
        return (yield)


@contextmanager
def locked(path: Path, kind: int) -> Iterator[None]:
    """The kernel's lock on a file or directory, which needs no file of its own."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        # Not by closing alone: a process that the test has forked has the descriptor as well.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)
