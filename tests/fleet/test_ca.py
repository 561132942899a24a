"""The CA: what its certificate says, who accepts its leaves, and how its files come and go."""

import ipaddress
import os
import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from icapd.errors import ConfigurationError
from icapd.fleet.ca import CertificateAuthority, fingerprint, load_certificate

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
YEAR = timedelta(days=365)


def make_ca(**options: object) -> CertificateAuthority:
    return CertificateAuthority.create(now=datetime.now(UTC), lifetime=YEAR, **options)


@pytest.mark.parametrize(
    ("extension", "critical", "value"),
    [
        pytest.param(
            x509.BasicConstraints, True, x509.BasicConstraints(ca=True, path_length=0), id="signs leaves only"
        ),
        pytest.param(
            x509.KeyUsage,
            True,
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            id="signs certificates and revocation lists",
        ),
        pytest.param(x509.SubjectKeyIdentifier, False, None, id="has a subject key identifier"),
    ],
)
def test_certificate_has_what_strict_clients_want(
    extension: type[x509.ExtensionType], critical: bool, value: x509.ExtensionType | None
) -> None:
    found = make_ca().certificate.extensions.get_extension_for_class(extension)
    assert found.critical is critical
    assert value is None or found.value == value


def test_key_is_p256_and_signature_sha256() -> None:
    ca = make_ca()
    assert isinstance(ca.key.curve, ec.SECP256R1)
    assert isinstance(ca.certificate.signature_hash_algorithm, hashes.SHA256)


def test_validity_begins_before_now_and_lasts_as_told() -> None:
    certificate = CertificateAuthority.create(now=NOW, lifetime=timedelta(days=30)).certificate
    assert certificate.not_valid_before_utc < NOW
    assert certificate.not_valid_after_utc == NOW + timedelta(days=30)


def test_two_cas_have_two_names() -> None:
    assert make_ca().certificate.subject != make_ca().certificate.subject


def test_name_is_as_told() -> None:
    assert make_ca(name="Example Ltd inspection").certificate.subject.rfc4514_string() == (
        "CN=Example Ltd inspection"
    )


def test_repr_does_not_show_the_key() -> None:
    assert "key" not in repr(make_ca())


def test_fingerprint_is_written_as_browsers_write_it() -> None:
    shown = fingerprint(make_ca().certificate)
    assert len(shown.split(":")) == 32
    assert shown == shown.upper()


@pytest.mark.parametrize(
    ("permitted", "host", "accepted"),
    [
        pytest.param((), "api.example.com", True, id="no constraint, any host"),
        pytest.param(("example.com",), "api.example.com", True, id="a host below the permitted name"),
        pytest.param(("*.example.com",), "example.com", True, id="a wildcard means the name and all below"),
        pytest.param(("a.test", "b.test"), "b.test", True, id="the second of two names"),
        pytest.param(("example.com",), "bank.test", False, id="another host"),
        pytest.param(("example.com",), "badexample.com", False, id="a host that only ends alike"),
        pytest.param(("example.com",), "127.0.0.1", False, id="an address"),
    ],
)
def test_strict_client_accepts_a_leaf_within_the_constraints(
    tmp_path: Path, permitted: tuple[str, ...], host: str, accepted: bool
) -> None:
    ca = make_ca(permitted_dns=permitted)
    if accepted:
        shake_hands(ca, host, tmp_path)
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
            shake_hands(ca, host, tmp_path)


@pytest.mark.parametrize("name", ["", "*.", "bücher.example"])
def test_permitted_name_that_cannot_be_encoded_is_an_error(name: str) -> None:
    with pytest.raises(ConfigurationError, match="the CA can't be made"):
        make_ca(permitted_dns=[name])


def test_written_key_is_the_owners_alone_under_any_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        make_ca().write(tmp_path)
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644}


def test_written_ca_is_loaded_again(tmp_path: Path) -> None:
    ca = make_ca()
    ca.write(tmp_path / "new" / "directory")
    loaded = CertificateAuthority.load(tmp_path / "new" / "directory")
    assert loaded.certificate == ca.certificate
    assert loaded.key.private_numbers() == ca.key.private_numbers()


@pytest.mark.parametrize("there", ["ca.key", "ca.pem"])
def test_either_file_there_is_not_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    with pytest.raises(ConfigurationError, match=rf"{there}: exists.*--force"):
        make_ca().write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_replacing_leaves_the_new_pair_only(tmp_path: Path) -> None:
    make_ca().write(tmp_path)
    second = make_ca()
    second.write(tmp_path, replace=True)
    assert CertificateAuthority.load(tmp_path).certificate == second.certificate
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.key", "ca.pem"]


def test_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="file/below: the CA can't be written: Not a directory"):
        make_ca().write(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        pytest.param(lambda d: (d / "ca.pem").unlink(), "ca.pem: can't be read", id="no certificate"),
        pytest.param(lambda d: (d / "ca.key").unlink(), "ca.key: can't be read", id="no key"),
        pytest.param(
            lambda d: (d / "ca.pem").write_text("x"), "ca.pem: is not a PEM", id="no PEM certificate"
        ),
        pytest.param(lambda d: (d / "ca.key").write_text("x"), "ca.key: is not a PEM", id="no PEM key"),
        pytest.param(
            lambda d: (d / "ca.key").write_bytes(pem_of(make_ca().key)),
            "is not the key of",
            id="another's key",
        ),
    ],
)
def test_damaged_ca_names_the_file(tmp_path: Path, damage: Callable[[Path], object], problem: str) -> None:
    make_ca().write(tmp_path)
    damage(tmp_path)
    with pytest.raises(ConfigurationError, match=problem):
        CertificateAuthority.load(tmp_path)


def test_certificate_can_be_loaded_without_its_key(tmp_path: Path) -> None:
    ca = make_ca()
    ca.write(tmp_path)
    (tmp_path / "ca.key").unlink()
    assert load_certificate(tmp_path / "ca.pem") == ca.certificate


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def mint_leaf(ca: CertificateAuthority, host: str) -> tuple[bytes, bytes]:
    """Certificate and key for a host, as Squid would mint them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
        )
        .sign(ca.key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), pem_of(key)


def shake_hands(ca: CertificateAuthority, host: str, directory: Path) -> None:
    """A TLS handshake in memory, the client as strict as Python 3.13 is by default."""
    chain = directory / "leaf.pem"
    chain.write_bytes(b"".join(mint_leaf(ca, host)))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(chain)
    client_context = ssl.create_default_context(
        cadata=ca.certificate.public_bytes(serialization.Encoding.PEM).decode()
    )
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.getpeercert()
