"""Who may connect, how many at a time, and whom to believe: decided when a connection is accepted.

No sockets here: the caller asks `is_full` before it accepts, and calls `leave` when a connection has ended.
"""

import ipaddress
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import structlog

from icapd.server.engine import Peer
from icapd.server.telemetry.log_limit import LogLimit
from icapd.settings import Server

log = structlog.get_logger()

#: Addresses whose networks are remembered; a fleet of proxies has fewer.
CACHED_ADDRESSES = 4096

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_REMEDIES = {
    "network": "if it is a proxy of yours, add its network to [server] allow_from",
    "connections": "lower its Max-Connections, or raise [server] max_connections_per_peer",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A connection to close without a byte."""

    address: str
    #: `network`: it is not in allow_from; `connections`: this address has too many already.
    reason: Literal["network", "connections"]


@dataclass(slots=True)
class _Count:
    """Connections that are open."""

    inspected: int = 0
    overloaded: int = 0

    @property
    def total(self) -> int:
        return self.inspected + self.overloaded


class Admission:
    """Counts the connections of all workers, and decides about each new one.

    Over the capacity as many connections again are taken, and meet the services' fail mode: a refused one
    Squid counts as a failure of the service, and its clients see an error page. The share of one address is
    treated alike, only that what is over twice the share is refused: it can't wait without the others.
    """

    def __init__(self, settings: Server, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`capacity`: connections whose traffic can be inspected at one time."""
        self._capacity = capacity
        self._share = settings.max_connections_per_peer
        self._allowed = _networks(settings.allow_from)
        self._trusted = _networks(settings.trust_identity_from)
        self._trusts_unix = "unix" in settings.trust_identity_from
        self._judge = lru_cache(CACHED_ADDRESSES)(self._judge_uncached)
        self._all = _Count()
        self._of_address: dict[str, _Count] = {}
        self._log_limit = LogLimit(clock)

    @property
    def connections(self) -> int:
        """Connections that have arrived and not left."""
        return self._all.total

    @property
    def overloaded(self) -> int:
        """Those of them that are not inspected."""
        return self._all.overloaded

    @property
    def is_full(self) -> bool:
        """Whether to accept no more until someone leaves; meanwhile new connections wait in the backlog."""
        return self._all.total >= 2 * self._capacity

    def arrive(self, address: str) -> Peer | Refusal:
        """Decide about a new connection, and count it unless it is refused.

        `address`: as the socket tells it, without the port; "" for the Unix socket, whose file's mode has
        decided already who may connect.
        """
        address, allowed, trusted = self._judge(address)
        if not allowed:
            return self._refuse(address, "network")
        own = self._of_address.get(address) or _Count()
        share = self._share if address else 0
        if share and own.total >= 2 * share:
            return self._refuse(address, "connections")
        overloaded = self._all.inspected >= self._capacity or bool(share and own.inspected >= share)
        peer = Peer(address, trusted, overloaded)
        self.count(peer)
        return peer

    def count(self, peer: Peer) -> None:
        """Count a connection that was admitted already, by the supervisor before a restart."""
        for count in (self._of_address.setdefault(peer.address, _Count()), self._all):
            if peer.overloaded:
                count.overloaded += 1
            else:
                count.inspected += 1

    def leave(self, peer: Peer) -> None:
        """The connection of a peer that `arrive` gave has ended."""
        own = self._of_address[peer.address]
        for count in (own, self._all):
            if peer.overloaded:
                count.overloaded -= 1
            else:
                count.inspected -= 1
        assert own.inspected >= 0 and own.overloaded >= 0, "a connection has left twice"
        if not own.total:
            del self._of_address[peer.address]

    def _refuse(self, address: str, reason: Literal["network", "connections"]) -> Refusal:
        if self._log_limit.admits((address, reason)):
            log.warning("connection-refused", address=address, reason=reason, remedy=_REMEDIES[reason])
        return Refusal(address, reason)

    def _judge_uncached(self, address: str) -> tuple[str, bool, bool]:
        """The address in its plain form, whether it may connect, and whether it is believed."""
        if not address:
            return "", True, self._trusts_unix
        # A link-local address comes with its interface, which no network has.
        ip = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            # How an IPv6 socket that takes IPv4 as well sees it (RFC 4291 section 2.5.5.2).
            ip = ip.ipv4_mapped
        allowed = any(ip in network for network in self._allowed)
        return str(ip), allowed, any(ip in network for network in self._trusted)


def _networks(texts: Iterable[str]) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts if text != "unix")
