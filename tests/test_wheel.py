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

ROOT = Path(__file__).parent.parent
NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "var", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing built earlier can get into it."""
    source = tmp_path_factory.mktemp("source") / "icapd"
    shutil.copytree(ROOT, source, ignore=NOT_SOURCE)
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, source)
    (built,) = out.glob("*.whl")
    return built


def run(*command: str | Path, cwd: Path | None = None) -> str:
    outcome = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def interpreters() -> list[str]:
    """The one that runs this, and each other that icapd is for and that this machine has."""
    others = (shutil.which(f"python3.{minor}") for minor in (11, 12, 13))
    found = [sys.executable, *(path for path in others if path and works(path))]
    by_version = {
        run(path, "-c", "import sys; print(sys.version_info[:2])"): path for path in reversed(found)
    }
    return sorted(by_version.values())


def works(interpreter: str) -> bool:
    """Whether it is more than a shim of a version manager."""
    return subprocess.run([interpreter, "-c", ""], capture_output=True, check=False).returncode == 0


def test_wheel_carries_rules_migrations_and_squid(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for directory, pattern in (("rules", "*.toml"), ("migrations/versions", "*.py"), ("squid", "*")):
        for path in (ROOT / directory).glob(pattern):
            if path.is_file():
                assert f"icapd/{directory}/{path.name}" in names


@pytest.mark.parametrize("interpreter", interpreters())
def test_wheel_serves_from_an_empty_environment(wheel: Path, interpreter: str, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    run(interpreter, "-m", "venv", environment)
    run(environment / "bin" / "pip", "install", "--quiet", wheel)
    icapd = environment / "bin" / "icapd"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "credentials" in run(icapd, "rules", "check", cwd=elsewhere)
    with (
        serving(elsewhere, program=icapd, environment={"PATH": os.defpath}) as server,
        server.connect() as connection,
    ):
        assert ask(connection, wire.options()).startswith(b"ICAP/1.0 200 OK")
        assert ask(connection, wire.reqmod(Preview="0")).startswith(b"ICAP/1.0 204")
    rows = run(icapd, "--config", elsewhere / "icapd.toml", "audit", "search", "--format", "jsonl")
    assert len(rows.splitlines()) == 1
