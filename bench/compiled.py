"""icapd with its hot path compiled: built once for each state of the sources, and kept."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from bench.processes import Unavailable

ROOT = Path(__file__).parent.parent
BUILDS = ROOT / "build" / "bench"


def compiled_package() -> Path:
    """The directory that holds the package. Raises Unavailable where there is no compiler."""
    directory = BUILDS / _digest()
    if directory.exists():
        return directory
    print("compiling icapd for the benchmark, about a minute", file=sys.stderr)
    BUILDS.mkdir(parents=True, exist_ok=True)
    source, wheels = BUILDS / "source", BUILDS / "wheels"
    for left in (source, wheels):
        shutil.rmtree(left, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(wheels),
        str(source),
    ]
    outcome = subprocess.run(
        pip, env={**os.environ, "ICAPD_COMPILE": "1"}, capture_output=True, text=True, check=False
    )
    if outcome.returncode != 0:
        raise Unavailable(f"it could not be compiled: {outcome.stderr.strip()[-300:]}")
    (wheel,) = wheels.glob("*.whl")
    unpacked = BUILDS / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    zipfile.ZipFile(wheel).extractall(unpacked)
    return unpacked.rename(directory)


def _digest() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted([*ROOT.glob("icapd/**/*.py"), *ROOT.glob("rules/*.toml"), ROOT / "setup.py"]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
