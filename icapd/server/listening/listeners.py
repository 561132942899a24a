"""The sockets that the server listens on: bound from the settings, or taken over from the server before."""

import errno
import socket
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from icapd.errors import ConfigurationError
from icapd.server.listening import unix_socket
from icapd.settings import Server, split_address

Setting = Literal["listen", "listen_tls", "listen_unix", "http_listen", "control"]

#: Connections that may wait to be accepted: while all workers are busy, or new ones start.
BACKLOG = 1024
#: Who may connect to the Unix sockets: Squid's user, in icapd's group; and icapd's own, who may command it.
_MODES: dict[Setting, int] = {"listen_unix": 0o660, "control": 0o600}

_NAMES = {
    "listen": "icap",
    "listen_tls": "icaps",
    "listen_unix": "icap",
    "http_listen": "http",
    "control": "control",
}
_REMEDIES = {
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE; choose another, or give icapd that right",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose one of its own",
}


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket, and the setting that it comes from."""

    setting: Setting
    #: As the setting has it.
    address: str
    socket: socket.socket

    def __str__(self) -> str:
        return f"{_NAMES[self.setting]} {self.bound}"

    @property
    def bound(self) -> str:
        """Where it really listens: the port is known only here when the setting has 0."""
        if self.socket.family == socket.AF_UNIX:
            return self.address
        host, port = self.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def close(self) -> None:
        """Listen no more; a Unix socket's file goes as well."""
        if self.socket.family == socket.AF_UNIX:
            with suppress(OSError):
                Path(self.address).unlink()
        self.socket.close()


class Listeners:
    """All of a server's listening sockets."""

    def __init__(self, settings: Server, inherited: Mapping[tuple[Setting, str], list[int]]) -> None:
        """Bind what the settings say. Raises ConfigurationError, and then nothing new is bound.

        `inherited`: by setting and address, descriptors of the server before; what the settings still have
        is used, the others are closed.
        """
        self.all: list[Listener] = []
        rest = dict(inherited)
        fresh: list[Listener] = []
        try:
            for setting, address in _wanted(settings):
                if descriptors := rest.pop((setting, address), None):
                    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
                else:
                    sockets = list(_bind(setting, address))
                    fresh += [Listener(setting, address, bound) for bound in sockets]
                self.all += [Listener(setting, address, bound) for bound in sockets]
        except ConfigurationError:
            for listener in fresh:
                listener.close()
            raise
        for (setting, address), descriptors in rest.items():
            for descriptor in descriptors:
                Listener(setting, address, socket.socket(fileno=descriptor)).close()
        for listener in self.all:
            listener.socket.setblocking(False)
            listener.socket.set_inheritable(False)

    @property
    def icap(self) -> list[Listener]:
        """Those for Squid."""
        return [listener for listener in self.all if listener.setting not in ("http_listen", "control")]

    def sockets(self, setting: Setting) -> list[socket.socket]:
        return [listener.socket for listener in self.all if listener.setting == setting]

    @property
    def held(self) -> dict[tuple[Setting, str], list[int]]:
        """By setting and address: the descriptors."""
        held: dict[tuple[Setting, str], list[int]] = {}
        for listener in self.all:
            held.setdefault((listener.setting, listener.address), []).append(listener.socket.fileno())
        return held


def check(settings: Server, held: Collection[tuple[Setting, str]]) -> None:
    """ConfigurationError when a server that has `held` already could not listen as the settings say."""
    for setting, address in _wanted(settings):
        if (setting, address) not in held:
            for bound in _bind(setting, address):
                Listener(setting, address, bound).close()


def _wanted(settings: Server) -> Iterator[tuple[Setting, str]]:
    names: tuple[Setting, ...] = ("listen", "listen_tls", "listen_unix", "http_listen", "control")
    for setting in names:
        if address := getattr(settings, setting):
            yield setting, address


def _bind(setting: Setting, address: str) -> list[socket.socket]:
    if mode := _MODES.get(setting):
        return [unix_socket.bind(Path(address), f"server.{setting}", mode)]
    parts = split_address(address)
    assert parts is not None
    bound: list[socket.socket] = []
    try:
        # A name may stand for several addresses, such as localhost's two.
        for family, _, _, _, place in socket.getaddrinfo(*parts, type=socket.SOCK_STREAM):
            bound.append(_bind_one(family, place))
    except OSError as error:
        for one in bound:
            one.close()
        remedy = _REMEDIES.get(error.errno or 0, "choose another address, or stop what holds it")
        raise ConfigurationError(
            f"server.{setting}: can't listen on {address}: {error.strerror or error}; {remedy}"
        ) from None
    return bound


def _bind_one(family: int, place: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        # What the kernel remembers of the connections of a server that ended is no reason not to start.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # [::] means every address, IPv4's as well (RFC 3493 section 5.3); any other means itself.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, place[0] != "::")
        listening.bind(place)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
