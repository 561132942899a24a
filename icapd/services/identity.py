"""Who sent the message that Squid adapts: the identity headers of its ICAP request.

Squid sends X-Client-IP and X-Client-Username. Others send what draft-stecher-icap-subid-00 has: X-Client-IP,
and X-Authenticated-User and X-Authenticated-Groups, base64 of URIs such as `WinNT://DOMAIN/user`.
"""

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from icapd.http.headers import Headers

#: Characters of a user's or a group's name: the width of the audit column. Squid sends at most 128 bytes.
MAX_NAME = 255
#: Groups of one user; Active Directory lets nobody log on who is in more than 1015.
MAX_GROUPS = 1024
#: Bytes of a user's header; base64 needs 1364 for the longest name.
MAX_USER_VALUE = 2048
#: Bytes of the groups' header; an ICAP head has 64 KiB in all.
MAX_GROUPS_VALUE = 64 * 1024
#: Identities remembered; they repeat with every request of a page.
CACHED_IDENTITIES = 1024
#: Bytes of the headers of one that is remembered, so that all of them together stay small.
MAX_CACHED_VALUE = 1024

_NAMES = (b"x-client-ip", b"x-client-username", b"x-authenticated-user", b"x-authenticated-groups")
_LENGTHS = frozenset(map(len, _NAMES))
# Auth-User-URI; the scheme says where the user is known, and is written in any case.
_URI = re.compile(r"(?P<scheme>winnt|ldap|radius|local)://(?P<path>.+)", re.IGNORECASE | re.DOTALL)
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the ICAP client said of its user; "" or () where it did not."""

    client_ip: str = ""
    #: `user`, `DOMAIN\\user`, `user@REALM` or a distinguished name; printable.
    user: str = ""
    #: In the client's order, written as users are, each once.
    groups: tuple[str, ...] = ()


def identity_of(headers: Headers) -> Identity:
    """The identity that an ICAP request carries; what is no address is no client_ip. Never raises."""
    values: dict[bytes, bytes] = {}
    for name, value in headers.items:
        # Most names are told apart by their length alone: this runs for each transaction.
        if len(name) in _LENGTHS and (key := name.lower()) in _NAMES:
            values.setdefault(key, value)
    if not values:
        return _ANONYMOUS
    ip, squid_user, user, groups = map(values.get, _NAMES, (b"", b"", b"", b""))
    user = squid_user or user
    if len(user) + len(groups) > MAX_CACHED_VALUE:
        return _identity(ip, user, groups)
    return _cached_identity(ip, user, groups)


def _identity(ip: bytes, user: bytes, groups: bytes) -> Identity:
    return Identity(_address(ip), _user(user), _groups(groups))


_cached_identity = lru_cache(CACHED_IDENTITIES)(_identity)
_ANONYMOUS = Identity()


def _address(value: bytes) -> str:
    try:
        # An interface (`fe80::1%eth0`) says nothing here, and may be any text.
        address = ipaddress.ip_address(value.decode("ascii").partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _user(value: bytes) -> str:
    value = value[:MAX_USER_VALUE]
    text = _from_base64(value)
    return _name(text if text and text.isprintable() else value.decode("utf-8", "replace"))


def _groups(value: bytes) -> tuple[str, ...]:
    """Groups are separated by line feeds inside the base64; without base64 there is but one."""
    value = value[:MAX_GROUPS_VALUE]
    text = _from_base64(value) or value.decode("utf-8", "replace")
    names = (_name(line.strip()) for line in text.split("\n", MAX_GROUPS)[:MAX_GROUPS])
    return tuple(dict.fromkeys(name for name in names if name))


def _from_base64(value: bytes) -> str:
    """The text that `value` encodes; "" when it is plain text itself, as Squid sends unless told otherwise.

    Some names are base64 by chance, and nothing tells them apart for certain: of those of four small letters
    one in 500 is taken for base64, of others fewer.
    """
    if value.isdigit():
        return ""
    try:
        data = base64.b64decode(value, validate=True)
        text = data.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    if base64.b64encode(data) != value:
        return ""
    if value.isalpha() and value.islower() and not (text.isascii() and text.isalpha() and text.islower()):
        return ""
    return text


def _name(text: str) -> str:
    """A name as people write it: of an Auth-User-URI what is behind the server."""
    if uri := _URI.fullmatch(text):
        text = _path_name(uri["scheme"].lower(), uri["path"]) or text
    if not text.isprintable():
        text = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + _ELLIPSIS


def _path_name(scheme: str, path: str) -> str:
    if scheme == "local":
        return path.strip("/")
    server, slash, name = path.partition("/")
    if not slash:
        return path
    return f"{server}\\{name}" if scheme == "winnt" and server and name else name
