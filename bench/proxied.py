"""End to end: real Squids with SSL bump between clients and a TLS origin; without ICAP, c-icap, icapd."""

import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

import trustme

from bench.compiled import compiled_package
from bench.measure import usage_of
from bench.origin import bodies
from bench.processes import Unavailable, free_port, running
from bench.proxied_client import Connection, Tunnel, event_lags
from bench.servers import CIcapEcho, Server
from icapd.fleet import demo
from icapd.fleet.demo_origin import HOST
from icapd.fleet.demo_state import DemoOptions, prepare
from icapd.fleet.squid_conf import Destination

CONNECTIONS = 8
STREAMS = 200
NO_ICAP, C_ICAP = "no ICAP", "c-icap echo"
VARIANTS = (NO_ICAP, C_ICAP, "icapd", "icapd compiled")


@dataclass
class ProxyFigures:
    """One variant with one size; best turns, as in `bench.turns`."""

    throughput: float = 0.0
    #: Seconds, with one connection.
    p50: float = float("inf")
    p99: float = float("inf")
    #: Seconds per request with many connections: of Squid, and of the ICAP server.
    squid_cpu: float = float("inf")
    icap_cpu: float = float("inf")


@dataclass
class ProxyResults:
    """By variant and path; lags of events by variant, in seconds."""

    figures: dict[tuple[str, str], ProxyFigures] = field(default_factory=dict)
    lags: dict[str, list[float]] = field(default_factory=dict)
    #: What went wrong, by variant and path: a wrong answer, or none in time.
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    missing: str = ""


@dataclass
class _Variant:
    name: str
    options: DemoOptions
    squid_pid: int = 0
    icap_pid: int = 0


def measure_proxied(
    directory: Path,
    *,
    rounds: int,
    seconds: float,
    event_seconds: float,
    progress: Callable[[Sequence[tuple[str, str]]], Iterator[tuple[str, str]]],
) -> ProxyResults:
    """Set up all variants side by side and measure them by turns."""
    results = ProxyResults()
    expected = bodies()
    with ExitStack() as stack:
        try:
            variants, origin_port = _start(directory, stack)
        except Unavailable as reason:
            results.missing = str(reason)
            return results
        turns = [(name, path) for _ in range(rounds) for path in expected for name in VARIANTS]
        turns += [(name, "/events") for name in VARIANTS if name != C_ICAP]
        for name, path in progress(turns):
            if (name, path) in results.failures:
                continue
            variant = variants[name]
            tunnel = _tunnel(variant, origin_port)
            figures = results.figures.get((name, path), ProxyFigures())
            try:
                if path == "/events":
                    results.lags[name] = event_lags(tunnel, STREAMS, event_seconds)
                else:
                    _take_turn(variant, tunnel, path, expected[path], seconds, figures)
                    results.figures[name, path] = figures
            except (RuntimeError, OSError, EOFError) as error:
                results.failures[name, path] = f"{type(error).__name__}: {error}"
                results.figures.pop((name, path), None)
    return results


def _tunnel(variant: _Variant, origin_port: int) -> Tunnel:
    return Tunnel(variant.options.proxy_port, variant.options.ca_certificate, HOST, origin_port)


def _take_turn(
    variant: _Variant, tunnel: Tunnel, path: str, body: bytes, seconds: float, figures: ProxyFigures
) -> None:
    """Many connections for throughput and CPU, then one alone for the latency."""
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(tunnel)) for _ in range(CONNECTIONS)]
        for connection in connections:
            connection.get(path, body)
        counts = [0] * CONNECTIONS
        errors: list[Exception] = []
        squid, icap = usage_of(variant.squid_pid), usage_of(variant.icap_pid) if variant.icap_pid else None
        began = time.perf_counter()
        until = began + seconds

        def ask(number: int) -> None:
            try:
                while time.perf_counter() < until:
                    connections[number].get(path, body)
                    counts[number] += 1
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        if errors:
            raise errors[0]
        count = sum(counts)
        figures.throughput = max(figures.throughput, count / took)
        figures.squid_cpu = min(figures.squid_cpu, (usage_of(variant.squid_pid).cpu - squid.cpu) / count)
        if icap is not None:
            figures.icap_cpu = min(figures.icap_cpu, (usage_of(variant.icap_pid).cpu - icap.cpu) / count)
        latencies = []
        until = time.perf_counter() + seconds / 2
        while (start := time.perf_counter()) < until:
            connections[0].get(path, body)
            latencies.append(time.perf_counter() - start)
    latencies.sort()
    if latencies[len(latencies) // 2] < figures.p50:
        figures.p50 = latencies[len(latencies) // 2]
        figures.p99 = latencies[min(len(latencies) - 1, len(latencies) * 99 // 100)]


def _start(directory: Path, stack: ExitStack) -> tuple[dict[str, _Variant], int]:
    """Origin, ICAP servers and Squids, all running."""
    if shutil.which("squid", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin") is None:
        raise Unavailable("Squid is not installed: apt-get install squid-openssl")
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)  # Squid gives up root for a user of its own
    ca = trustme.CA()
    ca_file, certificate = directory / "origin-ca.pem", directory / "origin.pem"
    ca.cert_pem.write_to_path(ca_file)
    ca.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(certificate)
    origin = stack.enter_context(running(_Origin(directory / "origin", free_port(), certificate=certificate)))
    c_icap = stack.enter_context(running(CIcapEcho(directory / "c-icap", free_port())))
    variants = {}
    for name in VARIANTS:
        options = DemoOptions(
            state=directory / re.sub(r"\W", "-", name).lower(),
            proxy_port=free_port(),
            icap_port=c_icap.port if name == C_ICAP else free_port(),
            http_port=free_port(),
            workers=0,
            origin_cas=(ca_file,),
            allowed_destinations=(Destination(HOST, origin.port),),
        )
        prepare(options)
        variants[name] = variant = _Variant(name, options)
        if name.startswith("icapd"):
            package = {"PYTHONPATH": str(compiled_package())} if name.endswith("compiled") else {}
            with patch.dict(os.environ, package):
                variant.icap_pid = stack.enter_context(demo.start_icapd(options)).pid
        elif name == C_ICAP:
            _edit(options.squid_conf, r"(icap://[^/\s]+)/\w+", r"\1/echo")
            variant.icap_pid = c_icap.pid
        else:
            _edit(options.squid_conf, r"(?m)^icap_enable on", "icap_enable off")
        variant.squid_pid = stack.enter_context(demo.start_squid(options)).pid
    return variants, origin.port


def _edit(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, file.read_text())
    assert count, f"{file} has no {pattern}"
    file.write_text(text)


@dataclass
class _Origin(Server):
    """The origin, started like the peers."""

    name = "origin"
    paths: ClassVar = {}
    certificate: Path = Path()

    def command(self) -> list[str]:
        return [sys.executable, "-m", "bench.origin", str(self.port), str(self.certificate)]
