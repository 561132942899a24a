"""Who sent a request, by the headers of its ICAP request."""

import base64

import pytest

from icapd.http.headers import Headers
from icapd.services.identity import Identity, identity_of


def encoded(name: str) -> bytes:
    return base64.b64encode(name.encode())


@pytest.mark.parametrize(
    ("name", "value", "identity"),
    [
        (b"X-Client-IP", b"192.0.2.7", Identity(client_ip="192.0.2.7")),
        (b"x-client-ip", b"2001:DB8::1", Identity(client_ip="2001:db8::1")),
        (b"X-Client-IP", b"192.0.2.7, 10.0.0.1", Identity()),
        (b"X-Client-IP", b"<script>", Identity()),
        (b"X-Client-IP", b"\xff", Identity()),
        (b"X-Client-Username", encoded("ann"), Identity(user="ann")),
        (b"X-Client-Username", encoded("Jürgen Müller"), Identity(user="Jürgen Müller")),
        (b"X-Client-Username", encoded("EXAMPLE\\ann"), Identity(user="EXAMPLE\\ann")),
        (b"X-Client-Username", b"ann@EXAMPLE", Identity(user="ann@EXAMPLE")),
        (b"X-Client-Username", "Jürgen".encode(), Identity(user="Jürgen")),
        (b"X-Client-Username", b"7769", Identity(user="7769")),
        (b"X-Client-Username", b"12345678", Identity(user="12345678")),
        (b"X-Client-Username", b"\xff\xfe", Identity(user="\ufffd\ufffd")),
        (
            b"X-Authenticated-User",
            encoded("LDAP://ldap.example/uid=ann"),
            Identity(user="LDAP://ldap.example/uid=ann"),
        ),
        (b"X-Other", b"ann", Identity()),
    ],
)
def test_identity(name: bytes, value: bytes, identity: Identity) -> None:
    assert identity_of(Headers(((name, value),))) == identity


def test_squids_header_comes_before_the_drafts() -> None:
    headers = Headers(((b"X-Authenticated-User", b"draft.name"), (b"X-Client-Username", b"squid.name")))
    assert identity_of(headers).user == "squid.name"
