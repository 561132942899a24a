"""The ICAPS listener's handshakes: what they take, what they refuse, and what is told of a failure."""

import socket
import ssl
from pathlib import Path

import msgspec
import pytest
import trustme
from structlog.testing import capture_logs
from support.tls_ends import assert_talk, client_context, close, connect
from support.tls_settings import Clock, with_client_ca, write_certificate

from icapd.server.listening.handshakes import HandshakeFailures, handshake_problem
from icapd.server.listening.tls import server_context
from icapd.server.telemetry.log_limit import INTERVAL


@pytest.mark.parametrize(
    ("minimum", "offered", "taken"),
    [
        ("1.2", ssl.TLSVersion.TLSv1_1, False),
        ("1.2", ssl.TLSVersion.TLSv1_2, True),
        ("1.2", ssl.TLSVersion.TLSv1_3, True),
        ("1.3", ssl.TLSVersion.TLSv1_2, False),
        ("1.3", ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_versions(tmp_path: Path, ca: trustme.CA, minimum: str, offered: ssl.TLSVersion, taken: bool) -> None:
    settings = msgspec.structs.replace(write_certificate(tmp_path, ca), minimum_version=minimum)
    client = client_context(ca)
    client.set_ciphers("DEFAULT:@SECLEVEL=0")
    client.maximum_version = offered
    client.minimum_version = offered
    if taken:
        ends = connect(server_context(settings), client)
        assert_talk(ends)
        close(ends)
        return
    with pytest.raises(ssl.SSLError) as refused:
        connect(server_context(settings), client)
    assert "minimum_version" in handshake_problem(refused.value)


@pytest.mark.parametrize(
    ("required", "shown", "problem"),
    [
        pytest.param(None, None, "", id="none-asked"),
        pytest.param(None, "ca", "", id="none-asked-one-shown"),
        pytest.param(False, None, "", id="optional-none-shown"),
        pytest.param(False, "ca", "", id="optional-shown"),
        pytest.param(False, "stranger", "not one of [tls] client_ca", id="optional-of-another-ca"),
        pytest.param(True, None, "showed no certificate", id="required-none-shown"),
        pytest.param(True, "ca", "", id="required-shown"),
        pytest.param(True, "stranger", "not one of [tls] client_ca", id="required-of-another-ca"),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificates(
    tmp_path: Path,
    ca: trustme.CA,
    stranger: trustme.CA,
    required: bool | None,
    shown: str | None,
    problem: str,
    version: ssl.TLSVersion,
) -> None:
    settings = write_certificate(tmp_path, ca)
    if required is not None:
        settings = with_client_ca(settings, tmp_path, ca, required=required)
    client = client_context(ca, {"ca": ca, "stranger": stranger, None: None}[shown])
    client.maximum_version = version
    if not problem:
        ends = connect(server_context(settings), client)
        assert_talk(ends)
        assert bool(ends[0].getpeercert()) is (required is not None and shown is not None)
        close(ends)
        return
    with pytest.raises(ssl.SSLError) as refused:
        connect(server_context(settings), client)
    assert problem in handshake_problem(refused.value)


def test_intermediate_alone_admits_its_own_clients_only(tmp_path: Path, ca: trustme.CA) -> None:
    intermediate = ca.create_child_ca(key_type=trustme.KeyType.ECDSA)
    settings = with_client_ca(write_certificate(tmp_path, ca), tmp_path, intermediate)
    context = server_context(settings)
    close(connect(context, client_context(ca, intermediate)))
    with pytest.raises(ssl.SSLError):
        connect(context, client_context(ca, ca))


def test_client_that_does_not_know_our_issuer_is_told_apart(
    tmp_path: Path, ca: trustme.CA, stranger: trustme.CA
) -> None:
    with pytest.raises(ssl.SSLError) as refused:
        connect(server_context(write_certificate(tmp_path, ca)), client_context(stranger))
    assert "tls-cafile" in handshake_problem(refused.value)


def test_plain_icap_is_told_apart(tmp_path: Path, ca: trustme.CA) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"OPTIONS icap://127.0.0.1:11344/reqmod ICAP/1.0\r\n\r\n")
    with ours, theirs, pytest.raises(ssl.SSLError) as refused:
        server_context(write_certificate(tmp_path, ca)).wrap_socket(ours, server_side=True)
    assert "icap://" in handshake_problem(refused.value)


def test_failures_are_all_counted_and_each_cause_is_logged_once_a_minute() -> None:
    counted: list[None] = []
    clock = Clock()
    failures = HandshakeFailures(lambda: counted.append(None), clock)
    with capture_logs() as lines:
        for _ in range(3):
            failures.note("192.0.2.7", TimeoutError())
            failures.note("192.0.2.7", ssl.SSLError("no reason known"))
        failures.note("192.0.2.8", TimeoutError())
        clock.now += INTERVAL
        failures.note("192.0.2.7", TimeoutError())
    assert len(counted) == 8
    late = "it ended, or took too long, within the handshake"
    assert [(line["address"], line["problem"]) for line in lines] == [
        ("192.0.2.7", late),
        ("192.0.2.7", "SSLError"),
        ("192.0.2.8", late),
        ("192.0.2.7", late),
    ]


def test_nothing_follows_the_handshake_of_tls_1_3_by_itself(tmp_path: Path, ca: trustme.CA) -> None:
    ends = connect(server_context(write_certificate(tmp_path, ca)), client_context(ca))
    assert_talk(ends)
    session = ends[1].session
    assert session is None or not session.has_ticket
    close(ends)
