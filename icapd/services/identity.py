"""Who sent the request that Squid adapts: the identity headers of its ICAP request."""

import base64
import binascii
import ipaddress
from dataclasses import dataclass

from icapd.http.headers import Headers

# Squid's default header, and that of draft-stecher-icap-subid-00, which other clients send.
_USER_HEADERS = (b"X-Client-Username", b"X-Authenticated-User")


@dataclass(frozen=True, slots=True)
class Identity:
    """Both "" when the ICAP client did not say."""

    client_ip: str = ""
    user: str = ""


def identity_of(headers: Headers) -> Identity:
    """The identity an ICAP request carries; what is no address is no client_ip."""
    user = next((value for name in _USER_HEADERS if (value := headers.get(name))), b"")
    return Identity(_address(headers.get(b"X-Client-IP") or b""), _user(user))


def _address(value: bytes) -> str:
    try:
        return str(ipaddress.ip_address(value.decode("ascii")))
    except ValueError:
        return ""


def _user(value: bytes) -> str:
    """The user's name, from base64 (`icap_client_username_encode on`) where it is that, else as it stands."""
    if value.isdigit():
        # Numbers are names as well, and some of them would decode to a letter or two.
        return value.decode("ascii")
    try:
        # A plain name may be base64 by chance; it hardly ever decodes to printable UTF-8 then.
        decoded = base64.b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    return decoded if decoded and decoded.isprintable() else value.decode("utf-8", "replace")
