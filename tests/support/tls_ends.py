"""Both ends of a TLS connection, without a network between them."""

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import trustme
from support.tls_settings import HOST


def client_context(ca: trustme.CA, client_ca: trustme.CA | None = None) -> ssl.SSLContext:
    """A client that trusts `ca` and shows a certificate of `client_ca`, if any."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if client_ca is not None:
        client_ca.issue_cert("squid.example", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


def connect(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Both ends of a connection after their handshake; when it fails, the server's error comes first."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(30)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.wrap_socket, ours, server_side=True)
        try:
            connected = client.wrap_socket(theirs, server_hostname=HOST)
        except OSError:
            theirs.close()
            error = answer.exception()
            ours.close()
            if error is not None:
                raise error from None
            raise
        try:
            return answer.result(), connected
        except OSError:
            # The client of TLS 1.3 is done before the server has looked at its certificate.
            connected.close()
            ours.close()
            raise


def assert_talk(ends: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    for source, target in (ends, ends[::-1]):
        source.sendall(b"OPTIONS")
        assert target.recv(100) == b"OPTIONS"


def close(ends: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    for end in ends:
        end.close()
