"""Anchors: copies of checkpoints where whoever can change the database can't change them.

They are sent by a thread of their own, so that no slow disk and no lost network holds shipping up. A copy
that can't be sent is not sent again: the next one speaks for all rows before it, too.
"""

import http.client
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import structlog

from icapd.errors import AuditError

log = structlog.get_logger()

#: Copies that wait to be sent; beyond them the newest are left out.
_MOST_WAITING = 1000
#: Seconds for a server's answer, and for all copies at the end.
_TIMEOUT, _LAST = 5.0, 2.0
#: RFC 5424 section 6.2.1: facility 13 (log audit), severity 5 (notice).
_PRIORITY = 13 * 8 + 5
#: What a note follows in a message of syslog's.
_IN_SYSLOG = " icapd - checkpoint - "
#: What the line of a signature begins with, and characters of a line of a note at most.
_SIGNATURE, _LONGEST_LINE = "\N{EM DASH} ", 1024

Send = Callable[[str], None]


class Anchors:
    """Where copies go: each a name for messages and what sends one, raising OSError."""

    def __init__(self, places: Sequence[tuple[str, Send]] = ()) -> None:
        self._places = places
        self._waiting: queue.Queue[str | None] = queue.Queue(_MOST_WAITING)
        self._problems: dict[str, str] = {}
        self._thread: threading.Thread | None = None

    @property
    def problems(self) -> list[str]:
        """Of the places that did not take the last copy."""
        return list(self._problems.values())

    def put(self, note: str) -> None:
        """Send it, soon; never waits."""
        if not self._places:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="icapd-anchors", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(note)
        except queue.Full:
            self._problems.setdefault("", "anchors are behind: checkpoints are left out")

    def close(self) -> None:
        """Send what waits, if that can be done in time."""
        if self._thread is not None:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                return
            self._thread.join(_LAST)

    def _run(self) -> None:
        while (note := self._waiting.get()) is not None:
            for name, send in self._places:
                self._send(name, send, note)
            if self._waiting.empty():
                self._problems.pop("", None)

    def _send(self, name: str, send: Send, note: str) -> None:
        try:
            send(note)
        except OSError as error:
            problem = f"{name}: {error.strerror or error}"
            if self._problems.get(name) != problem:
                log.error("not-anchored", problem=problem)
            self._problems[name] = problem
        else:
            self._problems.pop(name, None)


def anchors_for(file: str, syslog: str, url: str = "") -> Anchors:
    """From the settings `anchor_file`, `anchor_syslog` and `anchor_url`.

    AuditError for an address that is none.
    """
    places: list[tuple[str, Send]] = []
    if file:
        path = Path(file)
        places.append((f"[audit] anchor_file: {path}", lambda note: append(path, note)))
    if syslog:
        places.append((f"[audit] anchor_syslog: {syslog}", _syslog(syslog)))
    if url:
        address = _http_address(url)
        # Without what may be secret: a user's name and password, a query.
        name = f"{address.scheme}://{address.hostname}{address.path}"
        places.append((f"[audit] anchor_url: {name}", lambda note: _post(address, note)))
    return Anchors(places)


def append(path: Path, note: str) -> None:
    """Add a note to the file, behind an empty line, and wait until it is on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # The line's end first: what was written in part before must not spoil this one.
        data = f"\n{note}".encode()
        if os.write(descriptor, data) != len(data):
            raise OSError("no room for a whole note")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> Iterator[str]:
    """The notes of such a file, or of a log of syslog's, whatever else is in it.

    AuditError when it can't be read.
    """
    lines: list[str] = []
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            while line := file.readline(_LONGEST_LINE):
                if _IN_SYSLOG in line:
                    yield line.partition(_IN_SYSLOG)[2].rstrip("\n").replace("\\n", "\n")
                elif line.startswith(_SIGNATURE):
                    yield "".join([*lines, line])
                    lines = []
                elif lines or line.strip():
                    # A note of ours has six lines; of what is none the last ones are looked at.
                    lines = [*lines[-5:], line]
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}") from None


def _http_address(url: str) -> SplitResult:
    try:
        address = urlsplit(url)
        has_port = address.port is None or address.port > 0
    except ValueError:
        has_port = False
    if not has_port or address.scheme not in ("http", "https") or not address.hostname or address.username:
        raise AuditError("[audit] anchor_url: write https://HOST/PATH, without a user's name")
    return address


def _post(address: SplitResult, note: str) -> None:
    """As the body of a POST; anything but a 2xx status is an OSError."""
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=_TIMEOUT)
    target = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
    try:
        connection.request("POST", target, note.encode(), {"Content-Type": "text/plain; charset=utf-8"})
        status = connection.getresponse().status
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(f"is no HTTP ({type(error).__name__})") from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise OSError(f"answered {status}")


def _syslog(address: str) -> Send:
    """What sends a note as one message of syslog, its lines apart by `\\n`."""
    kind, _, place = address.partition(":")
    host, _, port = place.removeprefix("//").rpartition(":")
    if kind == "unix" and place:
        return lambda note: _send_datagram(socket.AF_UNIX, place, note)
    if kind == "udp" and place.startswith("//") and host and port.isascii() and port.isdecimal():
        return lambda note: _send_udp(host.strip("[]"), int(port), note)
    raise AuditError(f"[audit] anchor_syslog: write udp://HOST:PORT or unix:/dev/log, not {address!r}")


def _send_udp(host: str, port: int, note: str) -> None:
    family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    _send_datagram(family, place, note)


def _send_datagram(family: int, place: Any, note: str) -> None:
    escaped = note.replace("\n", "\\n")
    # RFC 5424 section 6: no time, host, process or structured data of our own; the note has its time.
    message = f"<{_PRIORITY}>1 - -{_IN_SYSLOG}{escaped}"
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.settimeout(_TIMEOUT)
        sender.sendto(message.encode(), place)
