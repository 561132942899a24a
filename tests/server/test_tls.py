"""The ICAPS listener's contexts: what they take, what they refuse, and what becomes of changed files."""

import shutil
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from structlog.testing import capture_logs

from icapd.errors import ConfigurationError
from icapd.server.listening.handshakes import HandshakeFailures, handshake_problem
from icapd.server.listening.tls import STAT_INTERVAL, Credentials, TlsContext, server_context
from icapd.server.telemetry.log_limit import INTERVAL
from icapd.settings import Tls

HOST = "icap.example"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture(scope="module")
def stranger() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


class Clock:
    """A clock that the test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def write_certificate(directory: Path, ca: trustme.CA, **options: datetime) -> Tls:
    """A server's certificate and key, each in the file that [tls] names."""
    leaf = ca.issue_cert(HOST, key_type=trustme.KeyType.ECDSA, **options)
    certificate, key = directory / "server.pem", directory / "server.key"
    certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    key.write_bytes(leaf.private_key_pem.bytes())
    key.chmod(0o600)
    return Tls(certificate=str(certificate), key=str(key))


def with_client_ca(settings: Tls, directory: Path, ca: trustme.CA, *, required: bool = True) -> Tls:
    file = directory / "clients.pem"
    file.write_bytes(ca.cert_pem.bytes())
    return msgspec.structs.replace(settings, client_ca=str(file), require_client_certificate=required)


def client_context(ca: trustme.CA, client_ca: trustme.CA | None = None) -> ssl.SSLContext:
    """A client that trusts `ca` and shows a certificate of `client_ca`, if any."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if client_ca is not None:
        client_ca.issue_cert("squid.example", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


def connect(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Both ends of a connection after their handshake; when it fails, the server's error comes first."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(30)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.wrap_socket, ours, server_side=True)
        try:
            connected = client.wrap_socket(theirs, server_hostname=HOST)
        except OSError:
            theirs.close()
            error = answer.exception()
            ours.close()
            if error is not None:
                raise error from None
            raise
        try:
            return answer.result(), connected
        except OSError:
            # The client of TLS 1.3 is done before the server has looked at its certificate.
            connected.close()
            ours.close()
            raise


def assert_talk(ends: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    for source, target in (ends, ends[::-1]):
        source.sendall(b"OPTIONS")
        assert target.recv(100) == b"OPTIONS"


def close(ends: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    for end in ends:
        end.close()


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


def test_certificate_and_key_may_share_a_file(tmp_path: Path, ca: trustme.CA) -> None:
    settings = write_certificate(tmp_path, ca)
    both = tmp_path / "both.pem"
    both.write_bytes(Path(settings.key).read_bytes() + Path(settings.certificate).read_bytes())
    close(connect(server_context(Tls(certificate=str(both))), client_context(ca)))


def spoil_missing(settings: Tls) -> None:
    Path(settings.certificate).unlink()


def spoil_missing_key(settings: Tls) -> None:
    Path(settings.key).unlink()


def spoil_directory(settings: Tls) -> None:
    Path(settings.key).unlink()
    Path(settings.key).mkdir()


def spoil_certificate(settings: Tls) -> None:
    Path(settings.certificate).write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def spoil_key(settings: Tls) -> None:
    Path(settings.key).write_text("no key")


def spoil_match(settings: Tls) -> None:
    leaf = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert(HOST, key_type=trustme.KeyType.ECDSA)
    Path(settings.key).write_bytes(leaf.private_key_pem.bytes())


def spoil_by_password(settings: Tls) -> None:
    key = serialization.load_pem_private_key(Path(settings.key).read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    Path(settings.key).write_bytes(key.private_bytes(*form, encryption))


def spoil_client_ca(settings: Tls) -> None:
    Path(settings.client_ca).write_text("\n")


FAULTS = [
    pytest.param(spoil_missing, "tls.certificate: {certificate}: can't be read", id="certificate-missing"),
    pytest.param(spoil_missing_key, "tls.key: {key}: can't be read", id="key-missing"),
    pytest.param(spoil_directory, "tls.key: {key}: can't be read", id="key-is-a-directory"),
    pytest.param(spoil_certificate, "tls.certificate: {certificate}: holds no cert", id="certificate-broken"),
    pytest.param(spoil_key, "tls.key: {key}: holds no private key", id="key-broken"),
    pytest.param(spoil_match, "tls.key: {key}: is not the key of the first certificate", id="key-of-another"),
    pytest.param(spoil_by_password, "tls.key: {key}: is encrypted", id="key-encrypted"),
    pytest.param(spoil_client_ca, "tls.client_ca: {client_ca}: holds no certificate", id="client-ca-empty"),
]


@pytest.mark.parametrize(("spoil", "message"), FAULTS)
def test_fault_names_the_key_and_the_file(
    tmp_path: Path, ca: trustme.CA, spoil: Callable[[Tls], None], message: str
) -> None:
    settings = with_client_ca(write_certificate(tmp_path, ca), tmp_path, ca)
    spoil(settings)
    with pytest.raises(ConfigurationError) as fault:
        server_context(settings)
    expected = message.format(
        certificate=settings.certificate, key=settings.key, client_ca=settings.client_ca
    )
    assert str(fault.value).startswith(expected)


def test_key_too_weak_for_openssl_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    ).sign(key, hashes.SHA256())
    file = tmp_path / "weak.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(key.private_bytes(*form) + certificate.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(ConfigurationError, match=r"OpenSSL does not take it: .*(?i:key too small)"):
        server_context(Tls(certificate=str(file)))


def test_expired_certificate_serves_with_a_warning(tmp_path: Path, ca: trustme.CA) -> None:
    settings = write_certificate(tmp_path, ca, not_after=datetime(2020, 1, 1, tzinfo=UTC))
    with capture_logs() as lines:
        context = TlsContext(settings).current()
    client = client_context(ca)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    close(connect(context, client))
    assert [(line["event"], line["file"]) for line in lines] == [("tls-certificate", settings.certificate)]
    assert "expired at 2020-01-01" in lines[0]["problem"]


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_key_that_anyone_may_read_is_warned_of(
    tmp_path: Path, ca: trustme.CA, mode: int, warned: bool
) -> None:
    settings = write_certificate(tmp_path, ca)
    Path(settings.key).chmod(mode)
    assert (settings.key in (Credentials.read(settings).exposure() or "")) is warned


def test_certificate_of_tomorrow_is_warned_of(tmp_path: Path, ca: trustme.CA) -> None:
    credentials = Credentials.read(write_certificate(tmp_path, ca))
    assert "not valid before" in (credentials.validity_problem(datetime(1999, 1, 1, tzinfo=UTC)) or "")
    assert credentials.validity_problem(datetime.now(UTC)) is None


def renewed(tmp_path: Path, settings: Tls, ca: trustme.CA) -> None:
    """A new certificate in the place of the old, put there as renewal programs do: by renaming."""
    (new := tmp_path / "new").mkdir()
    fresh = write_certificate(new, ca)
    shutil.move(fresh.certificate, settings.certificate)
    shutil.move(fresh.key, settings.key)


def test_new_connections_see_a_renewed_certificate_and_an_old_one_goes_on(
    tmp_path: Path, ca: trustme.CA
) -> None:
    settings, clock = write_certificate(tmp_path, ca), Clock()
    tls, client = TlsContext(settings, clock), client_context(ca)
    old = connect(tls.current(), client)
    renewed(tmp_path, settings, ca)
    # Within the interval nobody looks at the files.
    context = tls.current()
    clock.now += STAT_INTERVAL
    assert tls.current() is not context
    new = connect(tls.current(), client)
    assert new[1].getpeercert(binary_form=True) != old[1].getpeercert(binary_form=True)
    for ends in (old, new):
        assert_talk(ends)
        close(ends)


@pytest.mark.parametrize(("spoil", "message"), FAULTS)
def test_broken_replacement_keeps_the_old_certificate_and_says_so_once(
    tmp_path: Path, ca: trustme.CA, spoil: Callable[[Tls], None], message: str
) -> None:
    settings, clock = with_client_ca(write_certificate(tmp_path, ca), tmp_path, ca), Clock()
    tls = TlsContext(settings, clock)
    context = tls.current()
    spoil(settings)
    with capture_logs() as lines:
        for _ in range(3):
            clock.now += STAT_INTERVAL
            assert tls.current() is context
    (line,) = lines
    assert line["event"] == "tls-reload-refused"
    assert line["problem"].startswith(message.partition(":")[0])
    if Path(settings.key).is_dir():
        Path(settings.key).rmdir()
    renewed(tmp_path, settings, ca)
    Path(settings.client_ca).write_bytes(ca.cert_pem.bytes())
    clock.now += STAT_INTERVAL
    assert tls.current() is not context
    close(connect(tls.current(), client_context(ca, ca)))


def test_certificate_renewed_before_its_key_is_taken_once_both_are_there(
    tmp_path: Path, ca: trustme.CA
) -> None:
    settings, clock = write_certificate(tmp_path, ca), Clock()
    tls = TlsContext(settings, clock)
    context = tls.current()
    (new := tmp_path / "new").mkdir()
    fresh = write_certificate(new, ca)
    shutil.move(fresh.certificate, settings.certificate)
    clock.now += STAT_INTERVAL
    assert tls.current() is context
    shutil.move(fresh.key, settings.key)
    clock.now += STAT_INTERVAL
    close(connect(tls.current(), client_context(ca)))
    assert tls.current() is not context


def test_reload_does_not_wait_for_the_interval(tmp_path: Path, ca: trustme.CA) -> None:
    settings = write_certificate(tmp_path, ca)
    tls = TlsContext(settings, Clock())
    context = tls.current()
    assert tls.reload() is None
    assert tls.current() is not context
    spoil_key(settings)
    assert "tls.key" in (tls.reload() or "")


def test_nothing_follows_the_handshake_of_tls_1_3_by_itself(tmp_path: Path, ca: trustme.CA) -> None:
    ends = connect(server_context(write_certificate(tmp_path, ca)), client_context(ca))
    assert_talk(ends)
    session = ends[1].session
    assert session is None or not session.has_ticket
    close(ends)


def test_client_of_a_ca_that_was_withdrawn_does_not_return_by_its_session(
    tmp_path: Path, ca: trustme.CA, stranger: trustme.CA
) -> None:
    settings, clock = with_client_ca(write_certificate(tmp_path, ca), tmp_path, ca), Clock()
    tls, client = TlsContext(settings, clock), client_context(ca, ca)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    ends = connect(tls.current(), client)
    session = ends[1].session
    close(ends)
    with_client_ca(settings, tmp_path, stranger)
    clock.now += STAT_INTERVAL
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(tls.current().wrap_socket, ours, server_side=True)
        with pytest.raises(ssl.SSLError):
            client.wrap_socket(theirs, server_hostname=HOST, session=session)
        assert isinstance(answer.exception(), ssl.SSLCertVerificationError)
