"""One soak from its set-up to its result: Squid, icapd and the origin, the mix, and what the logs say."""

import asyncio
import contextlib
import dataclasses
import json
import logging
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from soak.clients import Proxy
from soak.evidence import AuditRow, Evidence, failures, misrecorded, unjoined
from soak.mix import Ledger, run_mix
from soak.origin import SPLICED_HOST, Origin
from support.places import free_ports, state_directory

from icapd.fleet import demo
from icapd.fleet.demo_origin import HOST, LOOPBACK
from icapd.fleet.demo_state import DemoOptions, prepare
from icapd.fleet.squid_conf import Destination

#: squid.conf as it is shipped, but for what a soak must see: the first failure instead of none, answers from
#: the cache, and WebSockets that are let through.
CHANGES = {
    "icap_service_failure_limit -1": "icap_service_failure_limit 0",
    "cache deny all": "acl cached urlpath_regex ^/soak/[0-9]+/cached_\ncache deny !cached",
    "http_access deny manager": (
        "acl upgradable urlpath_regex ^/soak/[0-9]+/upgrade_taken\n"
        "http_upgrade_request_protocols websocket allow upgradable\nhttp_access deny manager"
    ),
}
#: Seconds in which logs and rows must agree once the last client is done.
SETTLING = 30.0


@dataclass(slots=True)
class Result:
    """What a soak found; all is well when there are no problems."""

    ledger: Ledger
    transactions: int = 0
    rows: int = 0
    #: What is no single visit's fault.
    problems: list[str] = field(default_factory=list)

    @property
    def all_problems(self) -> list[str]:
        return self.problems + [
            problem for tally in self.ledger.tallies.values() for problem in tally.problems
        ]


def soak(
    *,
    seed: int,
    seconds: float,
    workers: int,
    kinds: str = "",
    keep: Path | None = None,
    progress: Callable[[Ledger], None] = lambda _: None,
) -> Result:
    """Run one. `keep`: a directory that stays, with Squid's and icapd's logs and the audit tables."""
    # It complains of each write to an end that has gone, which is what some visits are about.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    origin = Origin()
    with contextlib.ExitStack() as stack:
        state = keep or stack.enter_context(state_directory())
        options = _options(state, workers)
        (state / "origin-ca.pem").write_bytes(origin.ca_pem)
        return asyncio.run(_soak(options, origin, seed, seconds, kinds, progress))


def _options(state: Path, workers: int) -> DemoOptions:
    proxy_port, icap_port, http_port = free_ports(3)
    return DemoOptions(
        state=state,
        proxy_port=proxy_port,
        icap_port=icap_port,
        http_port=http_port,
        workers=workers,
        origin_cas=(state / "origin-ca.pem",),
    )


async def _soak(
    options: DemoOptions,
    origin: Origin,
    seed: int,
    seconds: float,
    kinds: str,
    progress: Callable[[Ledger], None],
) -> Result:
    async with origin.serving():
        destinations = tuple(Destination(host, origin.port) for host in (HOST, SPLICED_HOST))
        with _squid_and_icapd(dataclasses.replace(options, allowed_destinations=destinations)):
            proxy = Proxy(LOOPBACK, options.proxy_port, options.ca_certificate)
            ledger = await run_mix(origin, proxy, seed=seed, seconds=seconds, kinds=kinds, progress=progress)
            await _settle(options)
    evidence = Evidence.read(options.log, _rows(options))
    result = Result(ledger, len(evidence.transactions), len(evidence.rows))
    result.problems += [*failures(evidence), *unjoined(evidence)]
    if ledger.dropped > 2 + ledger.uploads // 50:
        result.problems.append(f"Squid dropped {ledger.dropped} of about {ledger.uploads} large uploads")
    for path, problem in misrecorded(evidence, ledger.rows):
        kind = path.rpartition("/")[2]
        ledger.of(kind).problems.append(f"{path}: {problem}")
    return result


@contextmanager
def _squid_and_icapd(options: DemoOptions) -> Iterator[None]:
    (options.state / "splice.txt").write_text(f"{SPLICED_HOST}\n")
    prepare(options)
    conf = options.squid_conf.read_text()
    for shipped, changed in CHANGES.items():
        assert shipped in conf, f"squid.conf has no line {shipped!r} any more"
        conf = conf.replace(shipped, changed)
    options.squid_conf.write_text(conf)
    # The disk may have much else to do; and Squid asks for OPTIONS several times in a short run too.
    with options.icapd_toml.open("a") as settings:
        settings.write("patience = 30.0\n\n[services]\noptions_ttl = 60\n")
    with demo.running(options):
        yield


async def _settle(options: DemoOptions) -> None:
    """Until each transaction that Squid has logged has its row, or time is up: the check then says which."""
    deadline = time.monotonic() + SETTLING
    while time.monotonic() < deadline:
        rows = await asyncio.to_thread(_rows, options)
        evidence = Evidence.read(options.log, rows)
        if not any(unjoined(evidence)):
            return
        await asyncio.sleep(0.5)


def _rows(options: DemoOptions) -> list[AuditRow]:
    command = [demo.ICAPD, "--config", options.icapd_toml, "audit", "search", "--format", "jsonl"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in found.stdout.splitlines()]
