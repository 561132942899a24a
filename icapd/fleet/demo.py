"""The demonstration: icapd and Squid side by side on loopback, from one state directory."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from icapd.errors import ConfigurationError
from icapd.fleet import probes
from icapd.fleet.demo_origin import LOOPBACK
from icapd.fleet.demo_state import DemoOptions, Say, silent
from icapd.fleet.process import Process, never
from icapd.fleet.squid import find_squid

#: The command, beside the interpreter that runs this.
ICAPD = Path(sys.executable).with_name("icapd")

#: The services that squid.conf sends traffic to.
SERVICES = ("reqmod", "respmod", "stream")


def require_free_ports(options: DemoOptions) -> None:
    """ConfigurationError, naming the flag, when one of the ports is taken."""
    for flag in ("proxy_port", "icap_port", "http_port"):
        port = getattr(options, flag)
        if not probes.is_free((LOOPBACK, port)):
            raise ConfigurationError(
                f"port {port} of {LOOPBACK} is taken; choose another with --{flag.replace('_', '-')}"
            )


@contextmanager
def running(
    options: DemoOptions, say: Say = silent, interrupted: Callable[[], bool] = never
) -> Iterator[tuple[Process, Process]]:
    """icapd and Squid, both serving; stopped at the end, Squid first so that its requests are still answered.

    Wants the state directory prepared. Raises ConfigurationError, ProcessError and Interrupted.
    """
    with start_icapd(options, say, interrupted) as icapd, start_squid(options, say, interrupted) as squid:
        yield icapd, squid


def start_icapd(
    options: DemoOptions, say: Say = silent, interrupted: Callable[[], bool] = never
) -> AbstractContextManager[Process]:
    """icapd, ready and answering OPTIONS for each service."""
    command: list[str | Path] = [ICAPD, "--config", options.icapd_toml, "serve"]

    def serves() -> bool:
        address = (LOOPBACK, options.icap_port)
        return probes.is_ready((LOOPBACK, options.http_port)) and all(
            probes.answers_options(address, service) for service in SERVICES
        )

    icapd = Process("icapd", command, options.log / "icapd.log")
    return _serving(icapd, options.icap_port, serves, say, interrupted)


def start_squid(
    options: DemoOptions, say: Say = silent, interrupted: Callable[[], bool] = never
) -> AbstractContextManager[Process]:
    """Squid, taking connections."""
    # A service name of its own (-n): Squids of one name would share segments of /dev/shm. -N: one process, in
    # the foreground.
    command: list[str | Path] = [find_squid(), "-n", f"icapd{options.proxy_port}", "-N"]
    command += ["-f", options.squid_conf]

    def serves() -> bool:
        return probes.accepts_connections((LOOPBACK, options.proxy_port))

    squid = Process("Squid", command, options.log / "squid.log", options.log / "cache.log")
    return _serving(squid, options.proxy_port, serves, say, interrupted)


@contextmanager
def _serving(
    process: Process, port: int, serves: Callable[[], bool], say: Say, interrupted: Callable[[], bool]
) -> Iterator[Process]:
    """The process from when it serves until the context ends."""
    with process:
        say(f"starting {process.name}: port {port}, process {process.pid}")
        process.wait_until(serves, interrupted)
        try:
            yield process
        finally:
            if not process.ended:
                say(f"stopping {process.name}")
