"""Where the programs of a test live: ports and directories of their own."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from icapd.fleet.demo_origin import LOOPBACK


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [bound.getsockname()[1] for bound in sockets]


@contextmanager
def state_directory() -> Iterator[Path]:
    """A directory that Squid's own user can reach, which pytest's tmp_path is not."""
    path = Path(tempfile.mkdtemp(prefix="icapd-e2e-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)
