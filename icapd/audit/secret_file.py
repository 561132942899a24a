"""Files of keys: whole or not there, readable by their owner only, and on the disk before they are used."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft(path: Path, text: str, like: os.stat_result | None = None) -> Iterator[Path]:
    """A file beside `path` with that text, on the disk, to be given its name; with that name it is, too.

    `like`: whose owner and mode it gets. Raises OSError.
    """
    file = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            if like is not None:
                os.fchown(stream.fileno(), like.st_uid, like.st_gid)
                os.fchmod(stream.fileno(), stat.S_IMODE(like.st_mode))
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        yield file
        sync_directory(path.parent)
    finally:
        file.unlink(missing_ok=True)


def make(path: Path, text: str) -> bool:
    """Make the file; False when there is one, which stays as it is. Raises OSError."""
    if path.exists():
        return False
    with draft(path, text) as made:
        try:
            # Never over another: whoever comes at the same time finds that one.
            os.link(made, path)
        except FileExistsError:
            return False
    return True


def sync_directory(directory: Path) -> None:
    """Have the names in it on the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
