"""Who sent a request, by the headers of its ICAP request."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icapd.http.headers import Headers
from icapd.services.identity import MAX_GROUPS, MAX_NAME, Identity, identity_of

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def encoded(text: str) -> bytes:
    return base64.b64encode(text.encode())


def identity_by(name: bytes, value: bytes) -> Identity:
    return identity_of(Headers(((b"Host", b"icap.example"), (name, value))))


@pytest.mark.parametrize(
    ("value", "address"),
    [
        pytest.param(b"192.0.2.7", "192.0.2.7", id="ipv4"),
        pytest.param(b"2001:DB8:0::1", "2001:db8::1", id="ipv6-in-its-short-form"),
        pytest.param(b"::ffff:192.0.2.7", "192.0.2.7", id="mapped-ipv4"),
        pytest.param(b"fe80::1%eth0", "fe80::1", id="link-local-without-its-interface"),
        pytest.param(b"fe80::1%<script>", "fe80::1", id="interface-of-any-text"),
        pytest.param(b"192.0.2.7, 10.0.0.1", "", id="list"),
        pytest.param(b"192.0.2.7:4711", "", id="port"),
        pytest.param(b"192.0.2", "", id="too-short"),
        pytest.param(b"192.0.2.256", "", id="too-large"),
        pytest.param(b"192.0.02.7", "", id="leading-zero"),
        pytest.param(b"192.0.2.0/24", "", id="network"),
        pytest.param(b"-", "", id="dash"),
        pytest.param(b"", "", id="empty"),
        pytest.param(b"<script>", "", id="no-address"),
        pytest.param(b"\xff", "", id="not-ascii"),
    ],
)
def test_client_ip_is_an_address_or_nothing(value: bytes, address: str) -> None:
    assert identity_by(b"X-Client-IP", value) == Identity(client_ip=address)


@pytest.mark.parametrize(
    ("value", "user"),
    [
        pytest.param(encoded("ann"), "ann", id="base64"),
        pytest.param(encoded("rik"), "rik", id="base64-of-small-letters-alone"),
        pytest.param(encoded("Jürgen Müller"), "Jürgen Müller", id="base64-utf8"),
        pytest.param(encoded("山田太郎"), "山田太郎", id="base64-utf8-of-another-script"),
        pytest.param(encoded("EXAMPLE\\ann"), "EXAMPLE\\ann", id="base64-domain"),
        pytest.param(encoded("ann@EXAMPLE.COM"), "ann@EXAMPLE.COM", id="base64-realm"),
        pytest.param(b"ann", "ann", id="raw"),
        pytest.param(b"adam", "adam", id="raw-though-base64-by-chance"),
        pytest.param(b"EXAMPLE\\ann", "EXAMPLE\\ann", id="raw-domain"),
        pytest.param(b"ann@EXAMPLE", "ann@EXAMPLE", id="raw-realm"),
        pytest.param("Jürgen".encode(), "Jürgen", id="raw-utf8"),
        pytest.param("Jürgen".encode("latin-1"), "J\ufffdrgen", id="raw-latin-1"),
        pytest.param(b"7769", "7769", id="raw-number"),
        pytest.param(b"12345678", "12345678", id="raw-long-number"),
        pytest.param(b"YW5u=", "YW5u=", id="wrong-padding"),
        pytest.param(b"YW5=", "YW5=", id="spare-bits-not-zero"),
        pytest.param(b"\xff\xfe", "\ufffd\ufffd", id="no-utf8"),
        pytest.param(b"ann\tevent=ready\x1b[2J", "ann\ufffdevent=ready\ufffd[2J", id="control-characters"),
        pytest.param("ann\u202egnp".encode(), "ann\ufffdgnp", id="turned-text"),
        pytest.param(encoded("ann\nevent=ready"), encoded("ann\nevent=ready").decode(), id="base64-of-lines"),
        pytest.param(b"n" * MAX_NAME + b"-", "n" * (MAX_NAME - 1) + ELLIPSIS, id="too-long"),
        pytest.param(encoded("é" * MAX_NAME), "é" * MAX_NAME, id="as-long-as-may-be"),
        pytest.param(encoded("é" * 300), "é" * (MAX_NAME - 1) + ELLIPSIS, id="base64-too-long"),
        pytest.param(b"-" * 70_000, "-" * (MAX_NAME - 1) + ELLIPSIS, id="absurdly-long"),
        pytest.param(b"", "", id="empty"),
    ],
)
def test_squids_username_is_raw_or_base64(value: bytes, user: str) -> None:
    assert identity_by(b"X-Client-Username", value) == Identity(user=user)


URIS = [
    pytest.param("WinNT://EXAMPLE/ann", "EXAMPLE\\ann", id="winnt"),
    pytest.param("winnt://example/Jürgen", "example\\Jürgen", id="winnt-small-letters"),
    pytest.param("WINNT://EXAMPLE\\ann", "EXAMPLE\\ann", id="winnt-with-backslash"),
    pytest.param("WinNT:///ann", "ann", id="winnt-without-domain"),
    pytest.param(
        "LDAP://ldap.example/cn=Müller\\, Ann,ou=A/B,dc=example",
        "cn=Müller\\, Ann,ou=A/B,dc=example",
        id="ldap",
    ),
    pytest.param("ldap:///cn=ann", "cn=ann", id="ldap-without-host"),
    pytest.param("LDAP://cn=ann", "cn=ann", id="ldap-without-slash"),
    pytest.param("Radius://radius.example/ann@EXAMPLE", "ann@EXAMPLE", id="radius"),
    pytest.param("RADIUS://ann", "ann", id="radius-without-server"),
    pytest.param("Local://ann", "ann", id="local"),
    pytest.param("lOcAl://HTTP/host@EXAMPLE", "HTTP/host@EXAMPLE", id="local-with-slash"),
    pytest.param("WinNT://", "WinNT://", id="nothing-behind-it"),
    pytest.param("WinNT://EXAMPLE/", "WinNT://EXAMPLE/", id="no-user-behind-it"),
    pytest.param("SAML://idp.example/ann", "SAML://idp.example/ann", id="another-scheme"),
    pytest.param("ann", "ann", id="no-uri"),
]


@pytest.mark.parametrize(("uri", "name"), URIS)
def test_authenticated_user_is_named_as_people_write_it(uri: str, name: str) -> None:
    assert identity_by(b"X-Authenticated-User", encoded(uri)) == Identity(user=name)
    assert identity_by(b"X-Authenticated-Groups", encoded(uri)) == Identity(groups=(name,))


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        pytest.param(
            encoded("WinNT://EXAMPLE/staff\nLDAP://h/cn=dev,dc=x\nlocal://ops\nplain"),
            ("EXAMPLE\\staff", "cn=dev,dc=x", "ops", "plain"),
            id="several-schemes",
        ),
        pytest.param(encoded("b\na\nb\n"), ("b", "a"), id="each-once-in-order"),
        pytest.param(encoded("a\r\n\r\n b \n"), ("a", "b"), id="empty-lines-and-spaces"),
        pytest.param(encoded("Büro\n漢"), ("Büro", "漢"), id="utf8"),
        pytest.param(b"WinNT://EXAMPLE/staff", ("EXAMPLE\\staff",), id="raw"),
        pytest.param(encoded("a\x00b\nc\x1b"), ("a\ufffdb", "c\ufffd"), id="control-characters"),
        pytest.param(
            encoded("\n".join(f"g{n}" for n in range(5000))),
            tuple(f"g{n}" for n in range(MAX_GROUPS)),
            id="too-many",
        ),
        pytest.param(encoded("g" * 300), ("g" * (MAX_NAME - 1) + ELLIPSIS,), id="too-long"),
        pytest.param(b"", (), id="empty"),
    ],
)
def test_groups_are_separated_by_line_feeds(value: bytes, groups: tuple[str, ...]) -> None:
    assert identity_by(b"X-Authenticated-Groups", value) == Identity(groups=groups)


def test_names_of_headers_are_case_insensitive_and_the_first_counts() -> None:
    headers = Headers(
        (
            (b"x-client-ip", b"192.0.2.7"),
            (b"X-CLIENT-USERNAME", b"ann"),
            (b"x-Authenticated-Groups", encoded("staff")),
            (b"X-Client-IP", b"192.0.2.8"),
        )
    )
    assert identity_of(headers) == Identity("192.0.2.7", "ann", ("staff",))


def test_squids_header_comes_before_the_drafts_unless_it_is_empty() -> None:
    draft = (b"X-Authenticated-User", encoded("draft.name"))
    assert identity_of(Headers((draft, (b"X-Client-Username", b"squid.name")))).user == "squid.name"
    assert identity_of(Headers((draft, (b"X-Client-Username", b"")))).user == "draft.name"


def test_other_headers_say_nothing_of_a_user() -> None:
    headers = Headers(((b"X-Other", b"ann"), (b"X-Client-ID", b"192.0.2.7"), (b"Proxy-Authorization", b"x")))
    assert identity_of(headers) == Identity()


HEADER_NAMES = [b"X-Client-IP", b"X-Client-Username", b"X-Authenticated-User", b"X-Authenticated-Groups"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(HEADER_NAMES),
            st.binary(max_size=60)
            | st.text(max_size=60).map(encoded)
            | st.binary(max_size=60).map(base64.b64encode),
        ),
        max_size=4,
    )
)
def test_whatever_was_sent_what_comes_out_can_be_logged(fields: list[tuple[bytes, bytes]]) -> None:
    identity = identity_of(Headers(tuple(fields)))
    for text in (identity.client_ip, identity.user, *identity.groups):
        assert text.isprintable()
        assert len(text) <= MAX_NAME
