"""Harmless responses of real packages from PyPI, Debian and npm: fetched once and kept under var/."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from bench.evaluation.case import Case
from bench.evaluation.files import files_under, responses

#: Wheels with templates, scripts, locales, data and examples in them.
PYPI = ("django", "botocore", "ansible-core", "jupyterlab", "sphinx", "plotly", "stripe", "twilio", "faker")
DEBIAN = ("python3-doc", "git-doc", "nginx-doc", "libjs-bootstrap", "libjs-jquery-ui", "node-typescript")
NPM = (
    "webpack",
    "react-dom",
    "openapi-types",
    "aws-sdk",
    "typescript",
    "@octokit/openapi",
    "@stripe/stripe-js",
)
#: Files of one package and ending that are taken: some have thousands of one sort.
_OF_ONE_SORT = 60


def fetch(directory: Path) -> None:
    """Download the packages and unpack them, each into a directory of its own."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in PYPI:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", name]
        _fetch(directory / f"pypi-{name}", pip)
    for name in DEBIAN:
        _fetch(directory / f"debian-{name}", ["apt-get", "download", name])
    for name in NPM:
        _fetch(directory / f"npm-{name.replace('/', '-')}", ["npm", "pack", name])


def _fetch(target: Path, command: list[str]) -> None:
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as name:
        download = Path(name) / "download"
        download.mkdir()
        subprocess.run(command, cwd=download, check=False, stdout=subprocess.DEVNULL)
        unpacked = Path(name) / "unpacked"
        unpacked.mkdir()
        for archive in download.iterdir():
            _unpack(archive, unpacked)
        shutil.move(unpacked, target)


def _unpack(archive: Path, target: Path) -> None:
    if archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "--extract", archive, target], check=True)
    elif archive.suffix in (".zip", ".whl"):
        with zipfile.ZipFile(archive) as package:
            package.extractall(target)
    else:
        with tarfile.open(archive) as package:
            package.extractall(target, filter="data")


def cases_from(directory: Path) -> Iterator[Case]:
    """A response for each file of the packages that lie in the directory; a family for each package."""
    for package in sorted(directory.iterdir()):
        taken: dict[str, int] = defaultdict(int)
        chosen = []
        for path in files_under(package):
            taken[path.suffix] += 1
            if taken[path.suffix] <= _OF_ONE_SORT:
                chosen.append(path)
        yield from responses(f"corpus {package.name}", chosen, directory)
