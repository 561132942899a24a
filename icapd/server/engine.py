"""What an engine is: it carries the bytes of accepted connections, however they were accepted."""

from dataclasses import dataclass
from socket import socket
from ssl import SSLContext
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection, and what was decided about it when it was accepted."""

    #: The address without its port; "" for the Unix socket.
    address: str
    #: Whether what its ICAP headers say about users is believed ([server] trust_identity_from).
    trusted: bool = True
    #: Over capacity: its messages are not inspected but meet the services' fail mode.
    overloaded: bool = False


#: The Unix socket's peer, and whoever else is trusted.
LOCAL = Peer("")


class Engine(Protocol):
    """Carries connections from `take` to their end.

    Made with (context: SessionContext, settings: Server, left: Callable[[Peer], None], handshake_failed:
    Callable[[str, BaseException], None]). On the worker's event loop, as everything here, `left` is called
    once for each connection that was taken, when it has ended, and `handshake_failed` with the address and
    the cause of those that never began.
    """

    @property
    def connections(self) -> int:
        """Connections that are open now."""

    async def start(self) -> None:
        """Ready to take connections."""

    def take(self, connection: socket, peer: Peer, tls: SSLContext | None) -> None:
        """Serve a connection that was just accepted; `tls`: begin with a handshake. The engine closes it."""

    def retire(self) -> None:
        """End each connection with its next answer, which says so; an idle one may wait for its request.

        Before a restart: Squid gives up a connection that is closed under a request it just sent.
        """

    async def stop(self, grace: float) -> None:
        """Close idle connections, let requests under way end for up to `grace` seconds, cut the rest."""
