"""The certificate authority whose leaves Squid shows to clients of bumped connections.

Python 3.13 and others verify strictly (RFC 5280 section 4.2): without critical basicConstraints, keyUsage and
a subject key identifier in the CA, every client of the proxy refuses every site.
"""

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from icapd.errors import ConfigurationError
from icapd.fleet.files import write_atomically

CERTIFICATE_FILE = "ca.pem"
KEY_FILE = "ca.key"

#: Long enough for a roll-out to every client, short for a key whose holder can be anybody to them.
DEFAULT_LIFETIME = timedelta(days=365)

#: Valid from a little before now: a client's clock may be behind.
CLOCK_SKEW = timedelta(hours=1)

#: Mint for these hosts, but for no address: a name constraint that lists names alone leaves addresses free.
_ALL_ADDRESSES = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))

_SIGNS_ONLY = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A CA certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(
        cls, *, now: datetime, lifetime: timedelta, name: str = "", permitted_dns: Sequence[str] = ()
    ) -> Self:
        """A new self-signed CA that may sign leaves only, and only for `permitted_dns` when there are any.

        Without a `name` it gets one of its own: two CAs of one name confuse clients that trust both, and
        Squid tells by the name whether a leaf in its store still comes from the CA in use.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        common_name = name or f"icapd inspection CA {secrets.token_hex(4)}"
        try:
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
            constraints = _name_constraints(permitted_dns)
        except ValueError as error:
            raise ConfigurationError(f"the CA can't be made: {error}") from None
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS_ONLY, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if constraints is not None:
            builder = builder.add_extension(constraints, critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The CA that `write` left in `directory`; ConfigurationError when it isn't there or isn't whole."""
        certificate = load_certificate(directory / CERTIFICATE_FILE)
        path = directory / KEY_FILE
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise ConfigurationError(f"{path}: can't be read: {error.strerror}") from None
        except (ValueError, TypeError):
            raise ConfigurationError(f"{path}: is not a PEM private key without a password") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ConfigurationError(f"{path}: is not the key of {CERTIFICATE_FILE} beside it")
        return cls(certificate, key)

    def write(self, directory: Path, *, replace: bool = False) -> None:
        """Write ca.key, readable by its owner only from its first moment, then ca.pem.

        ConfigurationError when one of them is there and `replace` is not set.
        """
        files = {
            KEY_FILE: (_private_pem(self.key), 0o600),
            CERTIFICATE_FILE: (self.certificate.public_bytes(serialization.Encoding.PEM), 0o644),
        }
        for name in files if not replace else ():
            if (directory / name).exists():
                raise ConfigurationError(
                    f"{directory / name}: exists, and clients may trust it; --force replaces it"
                )
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name, (data, mode) in files.items():
                write_atomically(directory / name, data, mode)
        except OSError as error:
            raise ConfigurationError(f"{directory}: the CA can't be written: {error.strerror}") from None


def load_certificate(path: Path) -> x509.Certificate:
    """The first certificate of a PEM file; ConfigurationError when there is none."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: can't be read: {error.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"{path}: is not a PEM certificate") from None


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 over the DER form, as browsers and openssl show it: `3A:0F:...`."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _name_constraints(permitted_dns: Sequence[str]) -> x509.NameConstraints | None:
    """RFC 5280 section 4.2.1.10: a permitted name admits itself and everything below it."""
    if not permitted_dns:
        return None
    names = [name.removeprefix("*").removeprefix(".") for name in permitted_dns]
    if not all(names):
        raise ValueError("a permitted DNS name is empty")
    return x509.NameConstraints(
        permitted_subtrees=[x509.DNSName(name) for name in names],
        excluded_subtrees=[x509.IPAddress(network) for network in _ALL_ADDRESSES],
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
