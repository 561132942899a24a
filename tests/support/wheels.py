"""Wheels of this checkout, as a site would build them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "var", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
)


def build_wheel(directory: Path, environment: Mapping[str, str] = {}) -> Path:
    """Built from a copy, so that nothing built earlier can get into it; `environment`: further variables."""
    source, out = directory / "source", directory / "wheel"
    shutil.copytree(ROOT, source, ignore=_NOT_SOURCE)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, source, environment=environment)
    (built,) = out.glob("*.whl")
    return built


def run(*command: str | Path, cwd: Path | None = None, environment: Mapping[str, str] = {}) -> str:
    """What the command says; AssertionError, with all it said, when it fails."""
    outcome = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout
