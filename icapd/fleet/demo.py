"""The demonstration: icapd and Squid side by side on loopback, from one state directory."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from icapd.errors import ConfigurationError
from icapd.fleet import probes
from icapd.fleet.demo_origin import LOOPBACK
from icapd.fleet.demo_state import DemoOptions, Say
from icapd.fleet.process import Process
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
    options: DemoOptions, say: Say = lambda _: None, interrupted: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Process, Process]]:
    """icapd and Squid, both serving; stopped at the end, Squid first so that its requests are still answered.

    Wants the state directory prepared. Raises ConfigurationError, ProcessError and Interrupted.
    """
    with start_icapd(options, say, interrupted) as icapd, start_squid(options, say, interrupted) as squid:
        yield icapd, squid


@contextmanager
def start_icapd(
    options: DemoOptions, say: Say = lambda _: None, interrupted: Callable[[], bool] = lambda: False
) -> Iterator[Process]:
    """icapd, answering OPTIONS for each service and ready."""
    command: list[str | Path] = [ICAPD, "--config", options.icapd_toml, "serve"]
    address = (LOOPBACK, options.icap_port)
    with Process("icapd", command, options.log / "icapd.log") as icapd:
        say(f"starting icapd: port {options.icap_port}, process {icapd.pid}")
        icapd.wait_until(
            lambda: (
                probes.is_ready((LOOPBACK, options.http_port))
                and all(probes.answers_options(address, service) for service in SERVICES)
            ),
            interrupted,
        )
        yield icapd
        say("stopping icapd")


@contextmanager
def start_squid(
    options: DemoOptions, say: Say = lambda _: None, interrupted: Callable[[], bool] = lambda: False
) -> Iterator[Process]:
    """Squid, taking connections."""
    # A service name of its own (-n): Squids of one name would share segments in /dev/shm.
    command: list[str | Path] = [
        find_squid(),
        "-n",
        f"icapd{options.proxy_port}",
        "-N",
        "-f",
        options.squid_conf,
    ]
    with Process("Squid", command, options.log / "squid.log", options.log / "cache.log") as squid:
        say(f"starting Squid: port {options.proxy_port}, process {squid.pid}")
        squid.wait_until(lambda: probes.accepts_connections((LOOPBACK, options.proxy_port)), interrupted)
        yield squid
        say("stopping Squid")
