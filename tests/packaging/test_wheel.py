"""The wheel serves by itself, in an empty environment and far from the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import wire
from support.icapd import ask, serving
from support.wheels import ROOT, build_wheel, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def interpreter_of(version: str) -> str:
    """A Python of this version, from the path or from pyenv; skips the test where there is none."""
    installed = Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")
    for candidate in (sys.executable, shutil.which(f"python{version}"), *map(str, sorted(installed))):
        if candidate and runs(candidate, version):
            return candidate
    pytest.skip(f"this machine has no Python {version}")


def runs(interpreter: str, version: str) -> bool:
    """Whether it is of that version, and more than a shim of a version manager."""
    code = f"import sys; sys.exit(sys.version_info[:2] != tuple(map(int, '{version}'.split('.'))))"
    return subprocess.run([interpreter, "-c", code], capture_output=True, check=False).returncode == 0


def test_wheel_carries_rules_migrations_and_squid(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for directory, pattern in (
        ("rules", "*.toml"),
        ("rules/schema", "*.json"),
        ("migrations/versions", "*.py"),
        ("squid", "s*"),
    ):
        for path in (ROOT / directory).glob(pattern):
            if path.is_file():
                assert f"icapd/{directory}/{path.name}" in names


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_wheel_serves_from_an_empty_environment(wheel: Path, version: str, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    run(interpreter_of(version), "-m", "venv", environment)
    run(environment / "bin" / "pip", "install", "--quiet", wheel)
    icapd = environment / "bin" / "icapd"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "credentials" in run(icapd, "rules", "check", "--no-screen", cwd=elsewhere)
    with (
        serving(elsewhere, program=icapd, environment={"PATH": os.defpath}) as server,
        server.connect() as connection,
    ):
        assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200 OK")
        assert ask(connection, wire.reqmod(Preview="0")).startswith(b"ICAP/1.0 204")
    rows = run(icapd, "--config", elsewhere / "icapd.toml", "audit", "search", "--format", "jsonl")
    assert len(rows.splitlines()) == 1
