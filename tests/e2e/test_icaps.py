"""Squid speaks ICAPS with icapd: with a client certificate, and with a CA that it or icapd does not know."""

import dataclasses
import os
import re
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import trustme
from recording_origin import RecordingOrigin
from stack import CLIENT_TIMEOUT, Stack
from support.icapd import PATIENT
from support.places import free_ports, state_directory

from icapd.fleet import demo
from icapd.fleet.demo_origin import HOST, LOOPBACK, DemoOrigin
from icapd.fleet.demo_state import DemoOptions, prepare
from icapd.fleet.squid import SQUID_USER
from icapd.fleet.squid_conf import Destination, SquidParameters, render_squid_conf

pytestmark = pytest.mark.squid

#: The name in icapd's certificate; Squid finds icapd by its address.
ICAPD_NAME = "icapd.test"


@dataclasses.dataclass(frozen=True)
class Authorities:
    """Who issued what."""

    icapd: trustme.CA
    squid: trustme.CA
    #: What Squid verifies icapd by, and icapd Squid.
    known_to_squid: trustme.CA
    known_to_icapd: trustme.CA


@contextmanager
def running_icaps(authorities: Authorities) -> Iterator[Stack]:
    """A stack whose Squid reaches icapd by TLS only, with certificates of these authorities."""
    with state_directory() as state, RecordingOrigin() as origin, DemoOrigin() as stranger:
        origin_ca = state / "origin-ca.pem"
        origin_ca.write_bytes(origin.ca_pem)
        proxy_port, icap_port, http_port, icaps_port = free_ports(4)
        options = DemoOptions(
            state=state,
            proxy_port=proxy_port,
            icap_port=icap_port,
            http_port=http_port,
            origin_cas=(origin_ca,),
            allowed_destinations=(Destination(HOST, origin.port),),
        )
        prepare(options)
        write_certificates(state, authorities)
        listen_by_tls(options.icapd_toml, icaps_port)
        speak_tls(options.squid_conf, icaps_port)
        with patch.dict(os.environ, PATIENT), demo.running(options) as (icapd, squid):
            yield Stack(options, origin, stranger, icapd, squid)


def write_certificates(state: Path, authorities: Authorities) -> None:
    for name, ca, host in (
        ("icapd.pem", authorities.icapd, ICAPD_NAME),
        ("squid-client.pem", authorities.squid, "squid.test"),
    ):
        leaf = ca.issue_cert(host, key_type=trustme.KeyType.ECDSA)
        (state / name).write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
        (state / name).chmod(0o600)
    if os.geteuid() == 0:
        # Unlike ca.key, Squid reads this one after it has become its own user.
        shutil.chown(state / "squid-client.pem", SQUID_USER)
    (state / "icapd-ca.pem").write_bytes(authorities.known_to_squid.cert_pem.bytes())
    (state / "squid-ca.pem").write_bytes(authorities.known_to_icapd.cert_pem.bytes())


def listen_by_tls(icapd_toml: Path, port: int) -> None:
    text = icapd_toml.read_text().replace("[server]\n", f'[server]\nlisten_tls = "{LOOPBACK}:{port}"\n')
    icapd_toml.write_text(f'{text}\n[tls]\ncertificate = "icapd.pem"\nclient_ca = "squid-ca.pem"\n')


def speak_tls(squid_conf: Path, port: int) -> None:
    """The lines that `icapd squid config` writes for TLS, in the place of those without."""
    state = squid_conf.parent
    parameters = SquidParameters(
        icap_address=f"{LOOPBACK}:{port}",
        icap_tls_ca=state / "icapd-ca.pem",
        icap_tls_certificate=state / "squid-client.pem",
        icap_tls_name=ICAPD_NAME,
    )
    by_tls = [line for line in render_squid_conf(parameters).splitlines() if line.startswith("icap_service ")]
    lines = iter(by_tls)
    text = "".join(
        f"{next(lines) if line.startswith('icap_service ') else line}\n"
        for line in squid_conf.read_text().splitlines()
    )
    squid_conf.write_text(text)


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="module")
def other_ca() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="module")
def icaps(ca: trustme.CA, other_ca: trustme.CA) -> Iterator[Stack]:
    with running_icaps(Authorities(ca, other_ca, known_to_squid=ca, known_to_icapd=other_ca)) as running:
        yield running
        assert running.failures() == []


def test_responses_are_redacted_through_tls(icaps: Stack) -> None:
    with icaps.session() as session:
        answer = session.get(icaps.url("/secret"))
    assert answer.json()["keys"][0]["aws_access_key_id"] == "[REDACTED]"


def test_requests_are_blocked_through_tls(icaps: Stack) -> None:
    with icaps.session() as session:
        answer = session.post(
            icaps.url("/echo"),
            data="id=1' UNION SELECT name, password FROM users --",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
    assert answer.status_code == 403
    [row] = icaps.rows_of(answer.headers["X-Icapd-Txn"])
    assert (row["verdict"], row["client_ip"]) == ("blocked", LOOPBACK)


def test_large_body_comes_back_whole_through_tls(icaps: Stack) -> None:
    body = "0123456789abcdef\n" * 200_000
    with icaps.session() as session:
        answer = session.post(icaps.url("/echo"), data=body, headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.text == body) == (200, True)


@pytest.mark.parametrize(
    ("unknown_to", "cause"),
    [
        pytest.param("squid", "does not know who issued it", id="icapd-to-squid"),
        pytest.param("icapd", "the client's certificate is not one of [tls] client_ca", id="squid-to-icapd"),
    ],
)
def test_certificate_of_an_unknown_ca_is_an_error_of_squids_and_one_line_of_ours(
    ca: trustme.CA, other_ca: trustme.CA, unknown_to: str, cause: str
) -> None:
    authorities = Authorities(
        icapd=ca,
        squid=other_ca,
        known_to_squid=other_ca if unknown_to == "squid" else ca,
        known_to_icapd=ca if unknown_to == "icapd" else other_ca,
    )
    with running_icaps(authorities) as stack:
        answers = [stack.curl("--include", stack.url("/secret")).stdout for _ in range(2)]
        assert all("X-Squid-Error: ERR_ICAP_FAILURE" in answer for answer in answers)
        assert all("AKIA" not in answer for answer in answers)

        def failures() -> list[str]:
            return [line for line in stack.log_lines("icapd.log") if "event=tls-handshake-failed" in line]

        # Squid has its own end of the handshake before we have ours.
        stack.icapd.wait_until(lambda: bool(failures()))
        failed = failures()
        assert len(failed) == 1, stack.log_lines("icapd.log")
        assert f"address={LOOPBACK}" in failed[0]
        assert cause in failed[0]
        url = f"http://{LOOPBACK}:{stack.options.http_port}/metrics"
        with urllib.request.urlopen(url, timeout=CLIENT_TIMEOUT) as page:
            metrics = page.read().decode()
        assert re.search(r"^icapd_tls_handshake_failures_total [1-9]", metrics, re.MULTILINE)
        assert stack.audit() == []
