"""Where the server is: an ICAP URL taken apart."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from icapd.errors import ConfigurationError, IcapdError

#: RFC 3507 section 4.2, and the port that Squid takes for icaps.
_PORTS = {"icap": 1344, "icaps": 11344}


class TargetError(IcapdError):
    """A URL that is none of an ICAP service."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Target:
    """One ICAP server."""

    scheme: str
    host: str
    port: int
    #: "" where the URL names no service.
    path: str
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str, ca_file: Path | None = None) -> "Target":
        """From icap://host[:port][/service] or icaps://; TargetError when it is neither.

        `ca_file`: the authorities that may have signed the server's certificate, instead of the system's.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise TargetError(f"{url}: {error}") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise TargetError(f"{url}: an ICAP URL is icap://HOST[:PORT]/SERVICE or icaps://...")
        context = _client_context(ca_file) if parts.scheme == "icaps" else None
        return cls(parts.scheme, parts.hostname, port or _PORTS[parts.scheme], parts.path, context)

    @property
    def authority(self) -> str:
        """HOST:PORT as it stands in a URI."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def uri(self, path: str) -> str:
        """The URI of a service on this server."""
        return f"{self.scheme}://{self.authority}{path}"


def _client_context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{ca_file}: no file of certificates in PEM: {error}") from None
