"""The [tls] settings of a test: files of certificates and keys, and what may be wrong with them."""

import shutil
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from icapd.settings import Tls

HOST = "icap.example"


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


def renew(tmp_path: Path, settings: Tls, ca: trustme.CA) -> None:
    """A new certificate in the place of the old, put there as renewal programs do: by renaming."""
    (new := tmp_path / "new").mkdir()
    fresh = write_certificate(new, ca)
    shutil.move(fresh.certificate, settings.certificate)
    shutil.move(fresh.key, settings.key)


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
