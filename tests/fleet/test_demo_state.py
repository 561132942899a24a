"""The state directory: where it may be, and what is wrong with one that can't be used."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.places import free_port

from icapd.errors import ConfigurationError
from icapd.fleet import demo
from icapd.fleet.ca import CertificateAuthority
from icapd.fleet.demo_state import DemoOptions, prepare

pytestmark = pytest.mark.squid


@pytest.fixture
def unreachable(tmp_path: Path) -> Iterator[Path]:
    """A state directory like one below /root, and what Squid keeps elsewhere for it, removed at the end."""
    tmp_path.chmod(0o700)
    state = tmp_path / "state"
    yield state
    shutil.rmtree((state / "squid").resolve())


def test_squid_runs_from_a_state_directory_that_its_user_cannot_reach(unreachable: Path) -> None:
    options = DemoOptions(state=unreachable, proxy_port=free_port())
    prepare(options)
    with demo.start_squid(options) as squid:
        assert not squid.ended
    assert (unreachable / "log" / "cache.log").read_text()
    if os.geteuid() == 0:
        assert (unreachable / "squid").is_symlink()
        assert (unreachable / "squid").stat().st_uid != 0


def test_ca_that_has_ended_is_told(tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=40)
    CertificateAuthority.create(now=long_ago, lifetime=timedelta(days=30)).write(tmp_path)
    with pytest.raises(
        ConfigurationError, match=r"ca\.pem: ended on .*; remove it and ca\.key for a new one"
    ):
        prepare(DemoOptions(state=tmp_path))


def test_path_that_squid_conf_cannot_hold_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"squid\.conf: .*with space.* can't stand there"):
        prepare(DemoOptions(state=tmp_path / "with space"))


def test_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="Not a directory"):
        prepare(DemoOptions(state=tmp_path / "file" / "state"))
