"""Where the programs of a test live: ports and directories of their own."""

import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from icapd.fleet.demo_origin import LOOPBACK

#: Below those that Linux gives to a socket that takes any port: until the server of a test listens, none of
#: the many clients and servers beside it gets its port.
_PORTS = range(10_000, 32_768)
#: Not the seed of a property, which two processes of pytest may share.
_CHOICE = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    found: set[int] = set()
    while len(found) < count:
        port = _CHOICE.choice(_PORTS)
        with suppress(OSError), socket.create_server((LOOPBACK, port)):
            found.add(port)
    return list(found)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    return free_ports(1)[0]


@contextmanager
def state_directory() -> Iterator[Path]:
    """A directory that Squid's own user can reach, which pytest's tmp_path is not."""
    path = Path(tempfile.mkdtemp(prefix="icapd-e2e-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)
