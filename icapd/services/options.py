"""The answer to OPTIONS (RFC 3507 section 4.10.2): what Squid needs to know to send us the right things."""

import email.utils
from dataclasses import dataclass

from icapd.http.headers import Headers
from icapd.icap import Method


@dataclass(frozen=True, slots=True)
class ServiceDescription:
    """One ICAP service as OPTIONS describes it."""

    #: The path of its URI.
    path: str
    method: Method
    name: str
    #: Bytes of body to send before a verdict is waited for.
    preview: int
    options_ttl: int
    max_connections: int


def options_headers(
    service: ServiceDescription, istag: str, now: float, offered: frozenset[bytes]
) -> Headers:
    """`now`: seconds since the epoch; Squid counts the time to live from our Date.

    `offered`: the tokens of the request's Allow.
    """
    # g3proxy takes no other token than 204; the others are only named to those who know them.
    allowed = [b"204", *(token for token in (b"206", b"trailers") if token in offered)]
    return Headers(
        (
            (b"Methods", service.method.value.encode()),
            (b"Service", service.name.encode()),
            (b"Service-ID", service.path.strip("/").encode()),
            (b"ISTag", quoted(istag)),
            (b"Date", email.utils.formatdate(now, usegmt=True).encode()),
            (b"Options-TTL", b"%d" % service.options_ttl),
            (b"Max-Connections", b"%d" % service.max_connections),
            (b"Allow", b", ".join(allowed)),
            (b"Preview", b"%d" % service.preview),
            # Without it Squid never sends a preview (its default for a type is "complete").
            (b"Transfer-Preview", b"*"),
            (b"X-Include", b"X-Client-IP, X-Client-Username, X-Authenticated-User, X-Authenticated-Groups"),
        )
    )


def quoted(istag: str) -> bytes:
    """The ISTag value as a quoted-string (RFC 3507 section 4.7)."""
    return f'"{istag}"'.encode()
