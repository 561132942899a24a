"""TLS handshakes that fail: why, in words that say where to mend it, and not more often than anyone reads."""

import ssl
import time
from collections.abc import Callable

import structlog

from icapd.server.telemetry.log_limit import LogLimit

log = structlog.get_logger()


class NothingSent(ConnectionError):
    """The client closed the connection behind the handshake without a byte.

    In TLS 1.3 the server has its end of the handshake before the client has looked at the certificate.
    """


class HandshakeFailures:
    """Counts all of them, and logs each cause of each address once a minute."""

    def __init__(self, count: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._log_limit = LogLimit(clock)

    def note(self, address: str, error: BaseException) -> None:
        """A handshake with that address ended in `error`."""
        self._count()
        problem = handshake_problem(error)
        if self._log_limit.admits((address, problem)):
            log.warning("tls-handshake-failed", address=address, problem=problem)


def handshake_problem(error: BaseException) -> str:
    """Why a handshake failed, in words that say where to mend it. Quotes nothing that the client sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the client's certificate is not one of [tls] client_ca: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        # Only those that OpenSSL raised have a reason.
        reason = getattr(error, "reason", None) or type(error).__name__
        return _HINTS.get(reason, reason)
    if isinstance(error, NothingSent):
        return (
            "the client went without a word behind the handshake: it may not take [tls] certificate, or "
            "does not know who issued it; Squid: tls-cafile"
        )
    return "it ended, or took too long, within the handshake"


_HINTS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client showed no certificate, and [tls] requires one",
    "TLSV1_ALERT_UNKNOWN_CA": "the client does not know who issued [tls] certificate; Squid: tls-cafile",
    # OpenSSL's word for a callback that failed, which in Squid is the one that compares names.
    "TLSV1_ALERT_INTERNAL_ERROR": "the client misses the name it wants in [tls] certificate; Squid 5.7 "
    "compares DNS names only: tls-domain",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the client does not take [tls] certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the client finds [tls] certificate expired",
    "UNSUPPORTED_PROTOCOL": "the client's versions of TLS are older than [tls] minimum_version",
    "NO_SHARED_CIPHER": "the client has no cipher in common with us",
    "WRONG_VERSION_NUMBER": "the client does not speak TLS here; is its service icap:// instead of icaps://?",
    "HTTP_REQUEST": "the client speaks HTTP here",
}
