"""The systemd unit: systemd understands it, it is hardened, and icapd serves under its memory rule."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import wire
from support.icapd import ICAPD, ask, serving

from icapd.configuration import load_settings

SYSTEMD = Path(__file__).parents[2] / "systemd"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here (Debian: systemd)"
)

#: 0 is shut in, 100 is open; what is left is the network and the sockets, which a server needs.
MAX_EXPOSURE = 15

#: Runs a program that may not have memory which is written and executed, as MemoryDenyWriteExecute= has it.
DENY_WRITE_EXECUTE = """#!{python}
import ctypes, os, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv({icapd!r}, [{icapd!r}, *sys.argv[1:]])
"""


@pytest.fixture(params=["icapd", "icapd-retention"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit with this icapd in the place of an installed one: systemd looks whether it is there."""
    name = f"{request.param}.service"
    text = (SYSTEMD / name).read_text("utf-8")
    assert "/opt/icapd/bin/icapd " in text
    path = tmp_path / name
    path.write_text(text.replace("/opt/icapd/bin/icapd", str(ICAPD)))
    return path


@needs_systemd
def test_systemd_understands_each_line(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_service_is_shut_in(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_settings_for_the_unit_write_where_it_may() -> None:
    settings = load_settings(SYSTEMD / "icapd.toml", environment={})
    assert settings.server.control.startswith("/run/icapd/")
    assert settings.audit.database_url.startswith("sqlite:////var/lib/icapd/")
    for path in (settings.audit.fingerprint_key, settings.audit.signing_key, settings.audit.outbox):
        assert path.startswith("/var/lib/icapd/")


def test_serves_without_memory_that_is_written_and_executed(tmp_path: Path) -> None:
    program = tmp_path / "icapd"
    program.write_text(DENY_WRITE_EXECUTE.format(python=sys.executable, icapd=str(ICAPD)))
    program.chmod(0o755)
    tried = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if "Invalid argument" in tried.stderr:
        pytest.skip(f"Linux {os.uname().release} is older than 6.3, which brought PR_SET_MDWE")
    with serving(tmp_path, program=program) as server, server.connect() as connection:
        assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200")
        body = wire.chunked(b'{"a": 1}', ieof=True)
        assert ask(connection, wire.respmod(wire.OK, body, Preview="1024")).startswith(b"ICAP/1.0 204")
        assert server.stop() == 0
