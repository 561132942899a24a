"""The TLS side of the ICAPS listener: contexts from the files of [tls], and new ones when the files change.

What is wrong with a file is found out with `cryptography`, whose errors say what; OpenSSL's often don't.
"""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from stat import S_IROTH
from typing import Self

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from icapd.errors import ConfigurationError
from icapd.settings import Tls

log = structlog.get_logger()

#: Seconds between two looks at the files; a renewal takes that long at most to be seen.
STAT_INTERVAL = 1.0

#: How dates are told.
DATE_FORMAT = "%Y-%m-%d %H:%M UTC"

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The server's certificate as its files have it: whole, and with its key."""

    settings: Tls
    certificate: x509.Certificate
    #: Whether anyone on this machine may read the key.
    key_is_exposed: bool

    @classmethod
    def read(cls, settings: Tls) -> Self:
        """Those of [tls]; ConfigurationError names the file and the remedy."""
        certificate_file, key_file = settings.certificate, settings.key or settings.certificate
        certificate = _certificates("tls.certificate", certificate_file)[0]
        if _private_key(key_file).public_key() != certificate.public_key():
            raise ConfigurationError(
                f"tls.key: {key_file}: is not the key of the first certificate in {certificate_file}; "
                "the server's own certificate comes first, its issuers behind it"
            )
        return cls(settings, certificate, bool(Path(key_file).stat().st_mode & S_IROTH))

    def validity_problem(self, now: datetime) -> str | None:
        """Why clients refuse the certificate now, by its dates."""
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        if now < begin:
            return f"it is not valid before {begin:{DATE_FORMAT}}; is the clock right?"
        if now > end:
            return f"it expired at {end:{DATE_FORMAT}}; renew it"
        return None

    def exposure(self) -> str | None:
        """What should be mended about who may read the key."""
        # Not refused: Kubernetes mounts secrets so by default, where nobody else is there to read them.
        key = self.settings.key or self.settings.certificate
        return f"anyone may read {key}; chmod o-r it" if self.key_is_exposed else None

    def context(self) -> ssl.SSLContext:
        """What handshakes need. Raises ConfigurationError."""
        settings = self.settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[settings.minimum_version]
        # Else a client could have us compute handshakes without end on one connection (CVE-2011-1473).
        context.options |= ssl.OP_NO_RENEGOTIATION
        # A ticket of TLS 1.3 follows the handshake by itself. Squid 5.7 reads it and the OPTIONS answer,
        # both before it has noticed that the OPTIONS went out, and counts a failure of the service.
        # Each worker has other keys: the next connection could seldom use a ticket anyway.
        context.num_tickets = 0
        try:
            context.load_cert_chain(settings.certificate, settings.key or None, password="")
        except OSError as error:
            # A key too weak for OpenSSL, say, or files that were changed since they were read.
            raise ConfigurationError(
                f"tls.certificate: {settings.certificate}: OpenSSL does not take it: {error.strerror}"
            ) from None
        if settings.client_ca:
            authorities = _certificates("tls.client_ca", settings.client_ca)
            pem = b"".join(authority.public_bytes(Encoding.PEM) for authority in authorities)
            context.load_verify_locations(cadata=pem.decode())
            # An intermediate may stand in client_ca without its root: only its own clients are taken then.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            required = settings.require_client_certificate
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        return context


def server_context(settings: Tls) -> ssl.SSLContext:
    """The context of the files as they are now. Raises ConfigurationError, naming the file and the remedy."""
    return Credentials.read(settings).context()


class TlsContext:
    """The context for the next connection: that of the files as they are, or as they last were right."""

    def __init__(self, settings: Tls, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigurationError when the files are not right from the start."""
        self._settings = settings
        self._clock = clock
        files = (settings.certificate, settings.key, settings.client_ca)
        self._files = tuple(file for file in files if file)
        self._looked_at = clock()
        # Before they are read: files that change meanwhile differ at the next look.
        self._seen = self._signature()
        self._context = self._load()

    def current(self) -> ssl.SSLContext:
        """For a connection that begins now; files that have changed are read first."""
        now = self._clock()
        if now - self._looked_at >= STAT_INTERVAL:
            self._looked_at = now
            if self._signature() != self._seen:
                self.reload()
        return self._context

    def reload(self) -> str | None:
        """Read the files now; returns why they were not taken (the old context goes on then), or None."""
        self._seen = self._signature()
        try:
            self._context = self._load()
        except ConfigurationError as error:
            log.error("tls-reload-refused", problem=str(error), still="the certificate that was read before")
            return str(error)
        log.info("tls-reloaded", certificate=self._settings.certificate)
        return None

    def _load(self) -> ssl.SSLContext:
        credentials = Credentials.read(self._settings)
        context = credentials.context()
        # A certificate out of its dates is served all the same: a client that does not look still works.
        for problem in (credentials.validity_problem(datetime.now(UTC)), credentials.exposure()):
            if problem:
                log.warning("tls-certificate", file=self._settings.certificate, problem=problem)
        return context

    def _signature(self) -> list[tuple[int, ...] | None]:
        """What differs when a file was replaced, written, renamed or made readable; links are followed."""
        return [_file_signature(file) for file in self._files]


def _private_key(file: str) -> PrivateKeyTypes:
    data = _read("tls.key", file)
    try:
        return load_pem_private_key(data, password=None)
    except TypeError:
        raise ConfigurationError(
            f"tls.key: {file}: is encrypted, and at a start nobody is there to type its password; "
            "write it without one (openssl pkey -in OLD -out NEW), readable by icapd's user only"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(f"tls.key: {file}: holds no private key in PEM") from None


def _certificates(setting: str, file: str) -> list[x509.Certificate]:
    data = _read(setting, file)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        raise ConfigurationError(f"{setting}: {file}: holds no certificate in PEM, or a broken one") from None


def _read(setting: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"{setting}: {file}: can't be read by icapd's user: {error.strerror}"
        ) from None


def _file_signature(file: str) -> tuple[int, ...] | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
