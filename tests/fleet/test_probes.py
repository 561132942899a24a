"""Probes against small peers of the test's own."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from icapd.fleet import probes


@contextmanager
def peer(answer: bytes) -> Iterator[probes.Address]:
    """Takes one connection, reads a head, gives `answer` and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as request:
                while request.readline().strip():
                    pass
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()
        thread.join()


@contextmanager
def nobody() -> Iterator[probes.Address]:
    """An address that is bound, so that no other can listen there, but does not."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        pytest.param(b"ICAP/1.0 200 OK\r\nMethods: REQMOD\r\n\r\n", True, id="200"),
        pytest.param(b"ICAP/1.0 404 Not Found\r\n\r\n", False, id="404"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", False, id="HTTP"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_service_answers_options(answer: bytes, good: bool) -> None:
    with peer(answer) as address:
        assert probes.answers_options(address, "reqmod") is good


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True, id="200"),
        pytest.param(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False, id="503"),
        pytest.param(b"ICAP/1.0 200 OK\r\n\r\n", False, id="ICAP"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_readiness_is_a_200(answer: bytes, ready: bool) -> None:
    with peer(answer) as address:
        assert probes.is_ready(address) is ready


def test_nobody_is_neither_ready_nor_a_service() -> None:
    with nobody() as address:
        assert not probes.is_ready(address)
        assert not probes.answers_options(address, "reqmod")
        assert not probes.accepts_connections(address)


def test_port_in_use_takes_connections_and_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert probes.accepts_connections(server.getsockname())
        assert not probes.is_free(server.getsockname())


def test_port_that_was_in_use_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    assert probes.is_free(address)
