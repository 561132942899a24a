"""Real Squid and real icapd between clients and an origin of the tests' own, set up as by scripts/run."""

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import httpx
import requests
from click.testing import CliRunner
from recording_origin import RecordingOrigin
from support.icapd import PATIENT
from support.places import free_ports, state_directory

from icapd.cli import main
from icapd.fleet import demo
from icapd.fleet.demo_origin import HOST, LOOPBACK, DemoOrigin
from icapd.fleet.demo_state import DemoOptions, prepare
from icapd.fleet.process import Process
from icapd.fleet.squid_conf import Destination

#: The origin's other name; on the splice list, so never decrypted.
SPLICED_HOST = "localhost"

#: What Squid writes into cache.log when it gives up on an ICAP service.
SUSPENDED = ("suspending ICAP service", "essential ICAP service is down", "optional ICAP service is down")

CLIENT_TIMEOUT = 60.0  # seconds; far above anything measured, below patience


@dataclass(frozen=True, slots=True)
class IcapTransaction:
    """One line of icap.log; the fields are those of `logformat icapd_icap`."""

    outcome: str
    status: int
    method: str
    service: str
    txn_id: str
    verdict: str

    @classmethod
    def parse(cls, line: str) -> "IcapTransaction":
        _time, _took, result, method, service, _sent, _received, txn_id, verdict = line.split()
        outcome, _, status = result.partition("/")
        return cls(outcome, int(status), method, service, txn_id, verdict)


@dataclass(frozen=True, slots=True)
class Stack:
    """One running Squid with its icapd."""

    options: DemoOptions
    origin: RecordingOrigin
    #: An origin that Squid may reach, but whose CA it does not know.
    stranger: DemoOrigin
    icapd: Process
    squid: Process

    @property
    def proxy(self) -> str:
        return f"http://{LOOPBACK}:{self.options.proxy_port}"

    def url(self, path: str) -> str:
        return f"https://{HOST}:{self.origin.port}{path}"

    def curl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """curl as a person calls it; an environment without proxies of its own."""
        ca = str(self.options.ca_certificate)
        command = ["curl", "--silent", "--show-error", "--proxy", self.proxy, "--cacert", ca, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=CLIENT_TIMEOUT, check=False, env={}
        )

    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.proxies = {"http": self.proxy, "https": self.proxy}
        session.verify = str(self.options.ca_certificate)
        return session

    def httpx_client(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=self.options.ca_certificate)
        return httpx.Client(proxy=self.proxy, verify=context, trust_env=False, timeout=CLIENT_TIMEOUT)

    def icapd_command(self, *arguments: str) -> str:
        """What an `icapd` command prints, with this stack's configuration."""
        result = CliRunner().invoke(
            main, ["--config", str(self.options.icapd_toml), *arguments], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.output

    def audit(self, *filters: str) -> list[dict[str, Any]]:
        """Audit rows, newest first."""
        return [
            json.loads(line)
            for line in self.icapd_command("audit", "search", "--format", "jsonl", *filters).splitlines()
        ]

    def rows_of(self, txn_id: str) -> list[dict[str, Any]]:
        """The audit rows of one transaction: of its request, then of its response."""
        return [
            json.loads(line)
            for line in self.icapd_command("audit", "show", "--format", "jsonl", txn_id).splitlines()
        ]

    def log_lines(self, name: str) -> list[str]:
        return (self.options.log / name).read_text().splitlines()

    def icap_transactions(self) -> list[IcapTransaction]:
        """What Squid asked icapd about messages, OPTIONS left out."""
        transactions = map(IcapTransaction.parse, self.log_lines("icap.log"))
        return [transaction for transaction in transactions if transaction.method != "OPTIONS"]

    def failures(self) -> list[str]:
        """What Squid counted as failures of icapd, by both of its logs."""
        failed = [line for line in self.log_lines("icap.log") if "ICAP_ERR" in line]
        return failed + [
            line for line in self.log_lines("cache.log") if any(word in line for word in SUSPENDED)
        ]


@contextmanager
def running_stack(workers: int = 1) -> Iterator[Stack]:
    """A stack on ports and in a directory of its own; `workers`: icapd's processes."""
    with state_directory() as state, RecordingOrigin() as origin, DemoOrigin() as stranger:
        ca_file = state / "origin-ca.pem"
        ca_file.write_bytes(origin.ca_pem)
        (state / "splice.txt").write_text(f"{SPLICED_HOST}\n")
        proxy_port, icap_port, http_port = free_ports(3)
        options = DemoOptions(
            state=state,
            proxy_port=proxy_port,
            icap_port=icap_port,
            http_port=http_port,
            workers=workers,
            origin_cas=(ca_file,),
            allowed_destinations=(
                Destination(HOST, origin.port),
                Destination(SPLICED_HOST, origin.port),
                Destination(HOST, stranger.port),
            ),
        )
        prepare(options)
        with patch.dict(os.environ, PATIENT), demo.running(options) as (icapd, squid):
            yield Stack(options, origin, stranger, icapd, squid)
