"""Hyperscan databases, made once and kept: for this process, and in a directory for those that come after it.

To compile the expressions of 200 rules takes a second, to read the database back a tenth of a millisecond.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import hyperscan
import msgspec

from icapd.policy.one_pass import Expression, OnePass, compile_database

#: Files that are kept: a site has some for each scope of its policy, and of policies before it.
MAX_FILES = 512
#: Fewer are compiled sooner than they are read.
MIN_EXPRESSIONS = 16
#: Bytes. Nothing larger is read back: it is none of ours.
MAX_FILE_SIZE = 64 * 1024 * 1024
_VERSION = version("hyperscan")
_SUFFIX = ".hsdb"
_DIGEST_SIZE = sha256().digest_size


class Databases:
    """Makes the databases of one policy, each once.

    The directory is written to and believed only if it is the user's own and nobody else may write there:
    a database is code for Hyperscan's machine. Without one, or where it can't be used, all is compiled.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._by_expressions: dict[tuple[Expression, ...], OnePass] = {}
        self._is_taken: dict[Expression, bool] = {}

    def takes(self, expression: Expression) -> bool:
        """Whether Hyperscan can take the expression; some are too large for it."""
        taken = self._is_taken.get(expression)
        if taken is None:
            try:
                compile_database([expression])
                taken = True
            except hyperscan.error:
                taken = False
            self._is_taken[expression] = taken
        return taken

    def one_pass(self, expressions: Sequence[Expression]) -> OnePass:
        """The pass over these expressions; hyperscan.error when there is one that Hyperscan can't take."""
        key = tuple(expressions)
        found = self._by_expressions.get(key)
        if found is None:
            found = self._by_expressions[key] = OnePass(self._database(key) if key else None)
        return found

    def _database(self, expressions: tuple[Expression, ...]) -> hyperscan.Database:
        path = self._path(expressions)
        if path is None:
            return compile_database(expressions)
        database = _read(path)
        if database is None:
            database = compile_database(expressions)
            with contextlib.suppress(OSError):
                _write(path, hyperscan.dumpb(database))
                _prune(path.parent)
        return database

    def _path(self, expressions: tuple[Expression, ...]) -> Path | None:
        if self._directory is None or len(expressions) < MIN_EXPRESSIONS or not _is_private(self._directory):
            return None
        digest = sha256(msgspec.msgpack.encode([_VERSION, expressions])).hexdigest()
        return self._directory / f"{digest[:40]}{_SUFFIX}"


def default_cache_directory() -> Path | None:
    """Where databases are kept unless it is set: systemd's CacheDirectory=, else the user's own cache."""
    for variable, below in (("CACHE_DIRECTORY", ""), ("XDG_CACHE_HOME", "icapd"), ("HOME", ".cache/icapd")):
        base = os.environ.get(variable, "")
        if base.startswith("/"):
            return Path(base.partition(":")[0], below)
    return None


def _is_private(directory: Path) -> bool:
    """Whether the directory is there (or could be made), ours, and closed to others' writing."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
    except OSError:
        return False
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return ours and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(path: Path) -> hyperscan.Database | None:
    """The database in the file; None when there is none that this machine can use."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or status.st_size > MAX_FILE_SIZE:
                return None
            digest, content = file.read(_DIGEST_SIZE), file.read()
        if sha256(content).digest() != digest:
            return None
        # Hyperscan itself checks its version and the features of the processor.
        database = hyperscan.loadb(content, mode=hyperscan.HS_MODE_BLOCK)
        os.utime(path)
    except (OSError, hyperscan.error):
        return None
    return database


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, whoever else writes the same at the same time."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".new", delete=False) as file:
        try:
            file.write(sha256(content).digest() + content)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _prune(directory: Path) -> None:
    """Leave the files that were used last."""
    files = sorted(directory.glob(f"*{_SUFFIX}"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in files[MAX_FILES:]:
        file.unlink(missing_ok=True)
