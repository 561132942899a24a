"""Who takes forwarded records: a syslog server (RFC 5424 over TLS or TCP), or a webhook.

A webhook's answer says that it took them. Syslog has no answer: what TCP took may still be lost when the
connection breaks, so a break is noticed before the next batch, and the batch before it is sent again.
"""

import http.client
import re
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from icapd import __version__
from icapd.audit import instants
from icapd.audit.stored import StoredEvent
from icapd.errors import ConfigurationError, UnreachableError

#: Seconds for a connection, and for each answer.
_TIMEOUT = 30.0
#: RFC 5424 section 6.2.1: facility 13 (log audit), severity 5 (notice).
_PRIORITY = 13 * 8 + 5
#: RFC 5425 section 4.1, and IANA's for syslog-conn.
_PORTS = {"syslog+tls": 6514, "syslog+tcp": 601, "https": 443, "http": 80}
#: Characters of a HOSTNAME.
_LONGEST_NAME = 255
# What can stand in an address: with anything else `http.client` fails, and shows it.
_VISIBLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Message:
    """One line of a format, and the record that it tells of."""

    event: StoredEvent
    text: str


class Receiver(Protocol):
    """Takes batches in their order."""

    def send(self, messages: Sequence[Message]) -> None:
        """Returns once they are taken; UnreachableError when that can't be said."""

    def close(self) -> None:
        """Let go of the connection."""


def shown(url: str) -> str:
    """The address without what may be secret in it: a webhook's path and query, a password."""
    place = urlsplit(url)
    return f"{place.scheme}://{place.netloc.rpartition('@')[2]}"


def receiver_for(url: str, *, ca_file: str | None = None, token: str | None = None) -> Receiver:
    """By the scheme of the address; ConfigurationError when it is none of ours.

    `ca_file`: whose certificates to trust in place of the system's; `token`: what a webhook is shown.
    """
    try:
        place = urlsplit(url)
        port = place.port
    except ValueError:
        place, port = urlsplit(""), None
    is_place = place.scheme in _PORTS and place.username is None and _VISIBLE.fullmatch(url)
    if not is_place or not place.hostname:
        raise ConfigurationError(
            "no place to forward to; write syslog+tls://HOST:6514, syslog+tcp://HOST:601 or https://HOST/PATH"
        )
    if token is not None and not (token and token.isascii() and token.isprintable()):
        # `http.client` would fail too, and show it.
        raise ConfigurationError("the token is no single line of ASCII; write nothing else to --token-file")
    port = port or _PORTS[place.scheme]
    context = None
    if place.scheme in ("syslog+tls", "https"):
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise ConfigurationError(f"{ca_file}: is no file of certificates: {error}") from None
    if place.scheme.startswith("syslog"):
        return Syslog(place.hostname, port, context)
    return Webhook(place, port, context, token)


class Syslog:
    """A syslog server; its frames are the number of bytes, a blank, the message (RFC 5425, RFC 6587)."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self._host, self._port, self._context = host, port, context
        self._connection: socket.socket | None = None
        self._unsure: bytes = b""

    def send(self, messages: Sequence[Message]) -> None:
        data = b"".join(map(_frame, messages))
        try:
            if self._connection is not None and _is_closed(self._connection):
                self.close()
            if self._connection is None:
                self._connection = self._connect()
                self._connection.sendall(self._unsure)
            self._connection.sendall(data)
        except OSError as error:
            self.close()
            raise UnreachableError(f"{self._host}:{self._port}: {error}") from None
        self._unsure = data

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def _connect(self) -> socket.socket:
        plain = socket.create_connection((self._host, self._port), _TIMEOUT)
        if self._context is None:
            return plain
        return self._context.wrap_socket(plain, server_hostname=self._host)


class Webhook:
    """A server that takes a POST of lines, and says so with a status of 200 to 299."""

    def __init__(
        self, place: SplitResult, port: int, context: ssl.SSLContext | None, token: str | None
    ) -> None:
        self._name = f"{place.scheme}://{place.hostname}:{port}"
        self._path = (place.path or "/") + (f"?{place.query}" if place.query else "")
        self._headers = {"Content-Type": "application/x-ndjson", "User-Agent": f"icapd/{__version__}"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        host = str(place.hostname)
        self._connection: http.client.HTTPConnection = (
            http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
            if context is None
            else http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)
        )

    def send(self, messages: Sequence[Message]) -> None:
        body = "".join(message.text + "\n" for message in messages).encode()
        try:
            self._connection.request("POST", self._path, body, self._headers)
            response = self._connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnreachableError(f"{self._name}: {error or type(error).__name__}") from None
        if not 200 <= response.status < 300:
            raise UnreachableError(f"{self._name}: answered {response.status}")

    def close(self) -> None:
        self._connection.close()


def _frame(message: Message) -> bytes:
    event = message.event
    name = "".join(c for c in event.node or "" if "!" <= c <= "~")[:_LONGEST_NAME] or "-"
    head = f"<{_PRIORITY}>1 {instants.iso(event.record.occurred_at)} {name} icapd {event.writer_id} audit - "
    data = (head + message.text).encode()
    return b"%d %b" % (len(data), data)


def _is_closed(connection: socket.socket) -> bool:
    """Whether the other side has ended it: syslog servers say nothing else."""
    connection.settimeout(0)
    try:
        return connection.recv(1) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(_TIMEOUT)
