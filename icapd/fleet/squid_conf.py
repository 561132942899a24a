"""squid.conf: the packaged template, filled in."""

import dataclasses
import ipaddress
import string
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Self

from icapd.errors import ConfigurationError
from icapd.settings import split_address

TEMPLATE = resources.files("icapd.squid") / "squid.conf.in"

#: squid.conf separates values by white space, `#` begins a comment, quotes and % have meanings of their own.
_FORBIDDEN = frozenset(" \t\r\n\v\f#\"'%$")


@dataclass(frozen=True, slots=True)
class Destination:
    """One host and one port that clients may reach though it is internal or not a web port."""

    #: As in a URL: lower case, IPv6 in brackets.
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`HOST:PORT` or `[IPV6]:PORT`; ConfigurationError for anything else."""
        address = split_address(text)
        host = address and _normal_host(address[0])
        if not address or not host or not address[1]:
            raise ConfigurationError(f"{text!r} is not a destination; write HOST:PORT, as in localhost:8443")
        return cls(host, address[1])

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def access_lines(self, number: int) -> Iterator[str]:
        """`dstdomain -n` compares the host of the URL: another name of the same address does not pass."""
        yield f"acl destination_{number}_host dstdomain -n {self.host}"
        yield f"acl destination_{number}_port port {self.port}"
        yield f"http_access allow destination_{number}_host destination_{number}_port"


@dataclass(frozen=True, slots=True, kw_only=True)
class SquidParameters:
    """The fields of the template; the defaults fit Debian's squid-openssl and a CA in /etc/squid/icapd."""

    proxy_address: str = "127.0.0.1:3128"
    icap_address: str = "127.0.0.1:1344"
    #: What icapd's certificate is verified by; Squid speaks icaps:// then.
    icap_tls_ca: Path | None = None
    #: Squid's own certificate for icapd, its key in the same file.
    icap_tls_certificate: Path | None = None
    #: The name in icapd's certificate, where `icap_address` is not that: Squid 5.7 verifies no addresses.
    icap_tls_name: str | None = None
    #: Networks that may use the proxy.
    clients: tuple[str, ...] = ("127.0.0.0/8", "::1")
    #: Internal or unusual destinations that may be reached all the same.
    allowed_destinations: tuple[Destination, ...] = ()
    ca_certificate: Path = Path("/etc/squid/icapd/ca.pem")
    ca_key: Path = Path("/etc/squid/icapd/ca.key")
    #: Private CAs of upstreams, trusted besides the system's.
    origin_cas: tuple[Path, ...] = ()
    splice_list: Path = Path("/etc/squid/icapd/splice.txt")
    certgen: Path = Path("/usr/lib/squid/security_file_certgen")
    #: What certgen keeps the minted certificates in; see `icapd.fleet.squid.create_certificate_store`.
    certificate_store: Path = Path("/var/spool/squid/icapd-certificates")
    #: Squid's working directory, where a core file would go.
    run_directory: Path = Path("/var/spool/squid")
    log_directory: Path = Path("/var/log/squid")
    pid_file: Path = Path("/run/squid.pid")
    hosts_file: Path = Path("/etc/hosts")
    visible_hostname: str = "icapd-proxy"
    #: How long transactions under way may take at a stop.
    shutdown_seconds: int = 30


def render_squid_conf(parameters: SquidParameters) -> str:
    """The text of squid.conf; ConfigurationError for a value that squid.conf can't hold."""
    values = {field.name: getattr(parameters, field.name) for field in dataclasses.fields(parameters)}
    for name, value in values.items():
        for part in value if isinstance(value, tuple) else (value,):
            if part is not None:
                _check(name, str(part))
    values["clients"] = " ".join(parameters.clients)
    values["origin_cas"] = "".join(f" cafile={path}" for path in parameters.origin_cas)
    values["icap_scheme"] = "icaps" if parameters.icap_tls_ca else "icap"
    values["icap_tls"] = "".join(_icap_tls_options(parameters))
    values["allowed_destinations"] = "\n".join(_access_lines(parameters.allowed_destinations))
    return string.Template(TEMPLATE.read_text("utf-8")).substitute(values)


def _check(name: str, value: str) -> None:
    if not value or not _FORBIDDEN.isdisjoint(value):
        raise ConfigurationError(
            f"squid.conf: {name}: {value!r} can't stand there; it must have no white space, quote, #, % or $"
        )


def _icap_tls_options(parameters: SquidParameters) -> Iterator[str]:
    """Of each icap_service; nothing where icapd is spoken to in plain."""
    certificate, name = parameters.icap_tls_certificate, parameters.icap_tls_name
    if parameters.icap_tls_ca is None:
        if certificate or name:
            raise ConfigurationError("squid.conf: icap_tls_ca: is needed where the other icap_tls are set")
        return
    yield f" tls-cafile={parameters.icap_tls_ca} tls-default-ca=off tls-min-version=1.2 tls-options=NO_SSLv3"
    if certificate:
        yield f" tls-cert={certificate}"
    if name:
        yield f" tls-domain={name}"


def _access_lines(destinations: tuple[Destination, ...]) -> Iterator[str]:
    if not destinations:
        yield "# (none)"
    for number, destination in enumerate(destinations, start=1):
        yield from destination.access_lines(number)


def _normal_host(host: str) -> str | None:
    """A DNS name or an address as Squid writes it in a URL; None for neither.

    A name with a leading dot is neither: to dstdomain it would be a whole domain.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        named = all(label.isascii() and label.replace("-", "").replace("_", "").isalnum() for label in labels)
        return host.lower() if named else None
    return str(address) if address.version == 4 else f"[{address.compressed}]"
