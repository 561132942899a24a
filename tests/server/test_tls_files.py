"""The files that [tls] names: each fault is told by its key, and what only smells is warned of."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from structlog.testing import capture_logs
from support.tls_ends import client_context, close, connect
from support.tls_settings import FAULTS, HOST, with_client_ca, write_certificate

from icapd.errors import ConfigurationError
from icapd.server.listening.tls import Credentials, TlsContext, server_context
from icapd.settings import Tls


def test_certificate_and_key_may_share_a_file(tmp_path: Path, ca: trustme.CA) -> None:
    settings = write_certificate(tmp_path, ca)
    both = tmp_path / "both.pem"
    both.write_bytes(Path(settings.key).read_bytes() + Path(settings.certificate).read_bytes())
    close(connect(server_context(Tls(certificate=str(both))), client_context(ca)))


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
