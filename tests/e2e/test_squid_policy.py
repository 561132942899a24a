"""What Squid decrypts, whom it believes, and where it lets nobody go."""

import socket
import ssl
from http.client import HTTPSConnection

import pytest
from stack import CLIENT_TIMEOUT, SPLICED_HOST, Stack

from icapd.fleet.demo_origin import HOST, LOOPBACK

pytestmark = pytest.mark.squid


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://169.254.169.254/latest/meta-data/", id="cloud metadata"),
        pytest.param("http://[fd00:ec2::254]/latest/meta-data/", id="cloud metadata, IPv6"),
        pytest.param("http://127.0.0.1/", id="loopback"),
        pytest.param("http://localhost/", id="loopback by name"),
        pytest.param("http://2130706433/", id="loopback as a number"),
        pytest.param("http://[::1]/", id="loopback, IPv6"),
        pytest.param("http://[::ffff:127.0.0.1]/", id="loopback, IPv4 in IPv6"),
        pytest.param("http://0.0.0.0/", id="this host"),
        pytest.param("http://10.0.0.1/", id="private network"),
        pytest.param("http://192.168.1.1/", id="another private network"),
        pytest.param("http://192.0.2.1:22/", id="unsafe port"),
        pytest.param("http://demo.icapd.test/", id="allowed host, another port"),
    ],
)
def test_internal_destination_is_denied(stack: Stack, url: str) -> None:
    answer = stack.curl("--globoff", "--output", "/dev/null", "--write-out", "%{http_code}", url)
    assert answer.stdout == "403"


def test_address_of_an_allowed_host_is_not_allowed_itself(stack: Stack) -> None:
    url = f"https://{LOOPBACK}:{stack.origin.port}/clean"
    answer = stack.curl("--insecure", "--output", "/dev/null", "--write-out", "%{http_code}", url)
    assert answer.stdout == "403"


def test_cache_manager_is_denied(stack: Stack) -> None:
    url = f"{stack.proxy}/squid-internal-mgr/menu"
    assert stack.curl("--output", "/dev/null", "--write-out", "%{http_code}", url).stdout == "403"


def test_leaf_of_squid_passes_the_strictest_python(stack: Stack) -> None:
    context = ssl.create_default_context(cafile=stack.options.ca_certificate)
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    connection = HTTPSConnection(LOOPBACK, stack.options.proxy_port, context=context, timeout=CLIENT_TIMEOUT)
    connection.set_tunnel(HOST, stack.origin.port)
    connection.request("GET", "/clean")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_old_tls_is_refused_to_clients(stack: Stack, version: str) -> None:
    answer = stack.curl(
        f"--tlsv{version}", "--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0", stack.url("/clean")
    )
    assert answer.returncode == 35
    assert "alert protocol version" in answer.stderr


def test_origin_of_an_unknown_ca_is_refused_even_where_the_client_would_take_it(stack: Stack) -> None:
    url = f"https://{HOST}:{stack.stranger.port}/clean"
    answer = stack.curl("--insecure", "--output", "/dev/null", "--write-out", "%{http_code}", url)
    assert answer.stdout == "503"


@pytest.mark.parametrize(
    ("connect_host", "server_name", "decrypted"),
    [
        pytest.param(HOST, HOST, True, id="host not on the list"),
        pytest.param(SPLICED_HOST, SPLICED_HOST, False, id="host on the list"),
        pytest.param(HOST, SPLICED_HOST, True, id="only the SNI is on the list"),
        pytest.param(SPLICED_HOST, HOST, True, id="only the CONNECT host is on the list"),
    ],
)
def test_only_a_host_on_the_splice_list_is_not_decrypted(
    stack: Stack, connect_host: str, server_name: str, decrypted: bool
) -> None:
    issuer = issuer_seen_by_client(stack, connect_host, server_name)
    assert ("icapd inspection CA" in issuer) is decrypted
    assert ("origin CA" in issuer) is not decrypted


def issuer_seen_by_client(stack: Stack, connect_host: str, server_name: str) -> str:
    """Who signed the certificate that a client gets through the proxy."""
    context = ssl.create_default_context(cafile=stack.options.ca_certificate)
    context.load_verify_locations(cadata=stack.origin.ca_pem.decode())
    with socket.create_connection((LOOPBACK, stack.options.proxy_port), CLIENT_TIMEOUT) as connection:
        authority = f"{connect_host}:{stack.origin.port}"
        connection.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
        with context.wrap_socket(connection, server_hostname=server_name) as tunnel:
            return str(tunnel.getpeercert()["issuer"])
