"""Unix sockets by their path, however long it is."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from icapd.errors import ConfigurationError

#: Connections that may wait to be accepted.
BACKLOG = 128


def bind(path: Path, setting: str, mode: int = 0o600) -> socket.socket:
    """A listening socket at that path, in place of one that nobody listens on any more.

    `setting` is named in the ConfigurationError for a path that can't be had.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux gives the file the mode that the socket has: at no time does it have another one.
        os.fchmod(listening.fileno(), mode)
        with _short_name(path) as name:
            _clear(path, name, setting)
            listening.bind(name)
            # Once more, for what the process's umask took away.
            Path(name).chmod(mode)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"{setting}: can't listen on {path}: {error.strerror or error}; "
            "its directory must be there and icapd's user must be able to write to it"
        ) from None
    except ConfigurationError:
        listening.close()
        raise
    return listening


def connect(path: Path, timeout: float) -> socket.socket:
    """A connection to the socket at that path. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        with _short_name(path) as name:
            connection.connect(name)
    except BaseException:
        connection.close()
        raise
    return connection


def _clear(path: Path, name: str, setting: str) -> None:
    """Remove what a dead server left; ConfigurationError for anything else."""
    try:
        status = os.lstat(name)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigurationError(f"{setting}: {path}: is there and is no socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        if probe.connect_ex(name) != errno.ECONNREFUSED:
            raise ConfigurationError(
                f"{setting}: {path}: a server listens there already; stop it, or choose another path"
            )
    Path(name).unlink()


@contextmanager
def _short_name(path: Path) -> Iterator[str]:
    """The path through a descriptor of its directory: the kernel takes no more than 107 bytes (unix(7))."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
