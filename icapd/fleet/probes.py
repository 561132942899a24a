"""Whether something at an address answers as it should, now."""

import contextlib
import socket
from http.client import HTTPConnection, HTTPException

_TIMEOUT = 5.0  # seconds

Address = tuple[str, int]


def accepts_connections(address: Address) -> bool:
    """A TCP connection is taken."""
    try:
        socket.create_connection(address, _TIMEOUT).close()
    except OSError:
        return False
    return True


def answers_options(address: Address, service: str) -> bool:
    """An ICAP service gives its OPTIONS (RFC 3507 section 4.10): what Squid asks before it sends traffic."""
    host, port = address
    request = f"OPTIONS icap://{host}:{port}/{service} ICAP/1.0\r\nHost: {host}:{port}\r\n\r\n"
    status_line = b""
    with contextlib.suppress(OSError), socket.create_connection(address, _TIMEOUT) as connection:
        connection.sendall(request.encode())
        with connection.makefile("rb") as answer:
            status_line = answer.readline(1024)
    return status_line.startswith(b"ICAP/1.0 200 ")


def is_ready(address: Address) -> bool:
    """icapd's /readyz says so: its policy is loaded and its audit database takes rows."""
    connection = HTTPConnection(*address, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def is_free(address: Address) -> bool:
    """Nobody listens there, and we may."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as candidate:
        # As servers do: the remains of closed connections are no hindrance.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(address)
        except OSError:
            return False
    return True
