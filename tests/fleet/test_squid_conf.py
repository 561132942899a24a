"""squid.conf: filled in, refused, and taken by Squid itself."""

import dataclasses
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest

from icapd.errors import ConfigurationError
from icapd.fleet.ca import CertificateAuthority
from icapd.fleet.squid import check_squid_conf
from icapd.fleet.squid_conf import Destination, SquidParameters, render_squid_conf


def directives(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_ready_squid_conf_is_the_template_with_its_defaults() -> None:
    ready = (resources.files("icapd.squid") / "squid.conf").read_text()
    assert ready == render_squid_conf(SquidParameters()), (
        "write it anew: icapd squid config > squid/squid.conf"
    )


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        pytest.param("localhost:8443", "localhost", 8443, id="name"),
        pytest.param("API.Example.com:443", "api.example.com", 443, id="upper case"),
        pytest.param("my_service:80", "my_service", 80, id="underscore"),
        pytest.param("10.1.2.3:8443", "10.1.2.3", 8443, id="IPv4"),
        pytest.param("[::1]:8443", "[::1]", 8443, id="IPv6"),
        pytest.param("[0:0::1]:8443", "[::1]", 8443, id="IPv6, long form"),
    ],
)
def test_destination_is_one_host_and_one_port(text: str, host: str, port: int) -> None:
    destination = Destination.parse(text)
    assert (destination.host, destination.port) == (host, port)
    assert str(destination) == f"{host}:{port}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("localhost", id="no port"),
        pytest.param("localhost:", id="empty port"),
        pytest.param("localhost:0", id="port 0"),
        pytest.param("localhost:65536", id="port too large"),
        pytest.param("localhost:https", id="port by name"),
        pytest.param(":8443", id="no host"),
        pytest.param(".example.com:443", id="a whole domain"),
        pytest.param("*.example.com:443", id="wildcard"),
        pytest.param("10.0.0.0/8:443", id="network"),
        pytest.param("a b:443", id="space"),
        pytest.param("a\nhttp_access allow all:443", id="line break"),
        pytest.param("https://localhost:443", id="URL"),
    ],
)
def test_anything_else_is_no_destination(text: str) -> None:
    with pytest.raises(ConfigurationError, match="write HOST:PORT"):
        Destination.parse(text)


def test_allowed_destinations_come_after_the_denials_of_strangers_and_before_those_of_places() -> None:
    text = render_squid_conf(
        SquidParameters(allowed_destinations=(Destination("localhost", 8443), Destination("[::1]", 80)))
    )
    access = [line for line in directives(text) if line.startswith("http_access ")]
    assert access == [
        "http_access deny manager",
        "http_access deny !clients",
        "http_access allow destination_1_host destination_1_port",
        "http_access allow destination_2_host destination_2_port",
        "http_access deny !Safe_ports",
        "http_access deny CONNECT !SSL_ports",
        "http_access deny internal_destination",
        "http_access allow clients",
        "http_access deny all",
    ]
    assert "acl destination_2_host dstdomain -n [::1]" in text
    assert "acl destination_2_port port 80" in text


def test_origin_cas_are_trusted_besides_the_systems() -> None:
    text = render_squid_conf(SquidParameters(origin_cas=(Path("/a.pem"), Path("/b.pem"))))
    [line] = [line for line in directives(text) if line.startswith("tls_outgoing_options ")]
    assert line.endswith(" cafile=/a.pem cafile=/b.pem")
    assert "default-ca" not in line


@pytest.mark.parametrize("value", ["with space", "line\nbreak", "hash#", 'quote"', "$field", "%code", ""])
def test_value_that_squid_conf_cannot_hold_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"squid.conf: visible_hostname: .* can't stand there"):
        render_squid_conf(SquidParameters(visible_hostname=value))


@pytest.mark.parametrize("field", dataclasses.fields(SquidParameters), ids=lambda field: field.name)
def test_every_parameter_is_checked_and_named(field: dataclasses.Field[object]) -> None:
    value = ("a b",) if isinstance(field.default, tuple) else "a b"
    with pytest.raises(ConfigurationError, match=rf"squid.conf: {field.name}: 'a b' can't stand there"):
        render_squid_conf(dataclasses.replace(SquidParameters(), **{field.name: value}))


def icap_services(text: str) -> list[str]:
    return [line for line in directives(text) if line.startswith("icap_service ")]


def test_icapd_is_spoken_to_by_tls_where_its_ca_is_given() -> None:
    assert all(
        " icap://" in line and "tls-" not in line
        for line in icap_services(render_squid_conf(SquidParameters()))
    )
    parameters = SquidParameters(
        icap_address="icapd.example:11344",
        icap_tls_ca=Path("/etc/squid/icapd/icapd-ca.pem"),
        icap_tls_certificate=Path("/etc/squid/icapd/client.pem"),
        icap_tls_name="icapd.internal",
    )
    services = icap_services(render_squid_conf(parameters))
    assert len(services) == 3
    for line in services:
        assert " icaps://icapd.example:11344/" in line
        assert " tls-cafile=/etc/squid/icapd/icapd-ca.pem tls-default-ca=off tls-min-version=1.2 " in line
        assert line.endswith(" tls-cert=/etc/squid/icapd/client.pem tls-domain=icapd.internal")


def test_certificate_for_icapd_is_of_no_use_without_its_ca() -> None:
    with pytest.raises(ConfigurationError, match="icap_tls_ca: is needed"):
        render_squid_conf(SquidParameters(icap_tls_certificate=Path("client.pem")))


@pytest.fixture
def parameters(tmp_path: Path) -> SquidParameters:
    """Parameters whose files exist, as Squid wants before it takes a configuration."""
    CertificateAuthority.create(now=datetime.now(UTC), lifetime=timedelta(days=1)).write(tmp_path)
    splice_list = tmp_path / "splice.txt"
    splice_list.write_bytes((resources.files("icapd.squid") / "splice.txt").read_bytes())
    return SquidParameters(
        ca_certificate=tmp_path / "ca.pem",
        ca_key=tmp_path / "ca.key",
        origin_cas=(tmp_path / "ca.pem",),
        splice_list=splice_list,
        allowed_destinations=(Destination("localhost", 8443), Destination("[::1]", 8443)),
    )


@pytest.mark.squid
def test_squid_takes_the_configuration_without_a_word(tmp_path: Path, parameters: SquidParameters) -> None:
    conf = tmp_path / "squid.conf"
    conf.write_text(render_squid_conf(parameters))
    assert check_squid_conf(conf) == []


@pytest.mark.squid
def test_squid_takes_icaps_without_a_word(tmp_path: Path, parameters: SquidParameters) -> None:
    client = tmp_path / "client.pem"
    client.write_bytes((tmp_path / "ca.key").read_bytes() + (tmp_path / "ca.pem").read_bytes())
    with_tls = dataclasses.replace(
        parameters,
        icap_tls_ca=tmp_path / "ca.pem",
        icap_tls_certificate=client,
        icap_tls_name="icapd.example",
    )
    conf = tmp_path / "squid.conf"
    conf.write_text(render_squid_conf(with_tls))
    assert check_squid_conf(conf) == []


@pytest.mark.squid
@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        pytest.param("no_such_directive on", "no_such_directive", id="unknown directive"),
        pytest.param("http_access allow nobody_defined_this", "nobody_defined_this", id="unknown ACL"),
        pytest.param("http_port 127.0.0.1:1 ssl-bump tls-cert=/no/such.pem", "/no/such.pem", id="no such CA"),
    ],
)
def test_what_squid_dislikes_is_passed_on(
    tmp_path: Path, parameters: SquidParameters, line: str, complaint: str
) -> None:
    conf = tmp_path / "squid.conf"
    conf.write_text(render_squid_conf(parameters) + line + "\n")
    assert complaint in "\n".join(check_squid_conf(conf))


@pytest.mark.squid
def test_conf_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"squid\.conf: is not a file"):
        check_squid_conf(tmp_path / "squid.conf")
