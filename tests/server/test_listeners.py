"""The sockets that a server listens on."""

import os
import socket
import stat
from pathlib import Path

import pytest

from icapd.errors import ConfigurationError
from icapd.server.listening.listeners import Listeners, check
from icapd.settings import Server


def listening(**settings: str) -> Listeners:
    plain = {"listen": "", "http_listen": "", "control": ""}
    return Listeners(Server(**(plain | settings)), {})  # type: ignore[arg-type]


def close(listeners: Listeners) -> None:
    for listener in listeners.all:
        listener.close()


@pytest.mark.parametrize(
    ("address", "reached"),
    [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1"), ("[::]:0", "::1")],
)
def test_addresses_of_both_families_are_listened_on(address: str, reached: str) -> None:
    listeners = listening(listen=address)
    port = listeners.all[0].socket.getsockname()[1]
    socket.create_connection((reached, port)).close()
    assert str(listeners.all[0]).startswith("icap ") and str(listeners.all[0]).endswith(f":{port}")
    close(listeners)


def test_unix_socket_replaces_a_dead_one_and_goes_with_its_server(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 30) / "icap.sock"
    path.parent.mkdir()
    first = listening(listen_unix=str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with pytest.raises(ConfigurationError, match=r"server\.listen_unix: .*a server listens there already"):
        listening(listen_unix=str(path))
    # As after a kill: the file is left, nobody listens.
    first.all[0].socket.close()
    second = listening(listen_unix=str(path))
    close(second)
    assert not path.exists()


def test_next_program_goes_on_with_the_sockets_it_still_wants() -> None:
    first = listening(listen="127.0.0.1:0", http_listen="127.0.0.1:0")
    port = first.all[0].socket.getsockname()[1]
    held = {key: [os.dup(one) for one in descriptors] for key, descriptors in first.held.items()}
    check(Server(listen="127.0.0.1:0", http_listen="", control=""), first.held)
    close(first)
    second = Listeners(Server(listen="127.0.0.1:0", http_listen="", control=""), held)
    assert [one.socket.getsockname()[1] for one in second.all] == [port]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(held["http_listen", "127.0.0.1:0"][0])
    close(second)


def test_what_can_not_be_bound_is_named_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        problem = (
            rf"server\.listen: can't listen on {address}: Address already in use; choose another address"
        )
        with pytest.raises(ConfigurationError, match=problem):
            listening(listen=address)
    with pytest.raises(ConfigurationError, match="this machine has no such address"):
        listening(listen="192.0.2.1:1344")
