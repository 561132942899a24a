"""An ICAP reply read as Squid reads it: section by section, with every fault noted instead of raised.

Squid ignores the offsets of Encapsulated and parses the parts in sequence; so does this reader, and then
compares. What can't be read at all is a Violation.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import Protocol

from icapd.conformance.check import Violation, printable

KiB = 1024
#: Squid wants an ICAP head, and an encapsulated one, to fit in 64 KiB; more is read to tell it.
_MAX_HEAD = 256 * KiB
_MAX_LINE = 8 * KiB
#: Bytes of a body that are kept; of the rest only length and hash are.
KEPT = 1024 * KiB

_STATUS_LINE = re.compile(rb"ICAP/(\d+\.\d+) +(\d{3})(?: ([^\r\n]*))?")
_ENTITY = re.compile(rb"(req-hdr|res-hdr|req-body|res-body|opt-body|null-body)=(\d{1,10})", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n]*)?")

Fields = tuple[tuple[bytes, bytes], ...]


class Stream(Protocol):
    """Where a reply comes from."""

    def read_until(self, ends: tuple[bytes, ...], limit: int) -> bytes:
        """All bytes to the first of these ends, it included."""

    def read_some(self, limit: int) -> bytes:
        """At least one byte."""


@dataclass(slots=True)
class Body:
    """An encapsulated body: its beginning, length and hash."""

    kept: bytearray = field(default_factory=bytearray, repr=False)
    length: int = 0
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256, repr=False)

    def add(self, data: bytes) -> None:
        """The next piece."""
        self.length += len(data)
        self.sha256.update(data)
        self.kept += data[: KEPT - len(self.kept)]

    def is_same_as(self, data: bytes) -> bool:
        """Whether it is exactly these bytes."""
        return self.length == len(data) and self.sha256.digest() == hashlib.sha256(data).digest()


@dataclass(slots=True)
class Reply:
    """One ICAP reply."""

    raw_head: bytes = field(repr=False)
    version: bytes
    status: int
    reason: bytes
    fields: Fields = field(repr=False)
    #: Name and offset of each part, as Encapsulated has them.
    encapsulated: tuple[tuple[str, int], ...] = ()
    #: The HTTP heads by name, as bytes.
    heads: dict[str, bytes] = field(default_factory=dict, repr=False)
    body: Body | None = None
    last_chunk: bytes = b""
    trailers: Fields = ()
    icap_trailers: Fields = ()
    #: Faults of grammar by kind: "head", "encapsulated", "chunks".
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The status line, to show."""
        return printable(self.raw_head.partition(b"\n")[0].strip())

    def get(self, name: bytes) -> bytes | None:
        """The first field of that name."""
        return find(self.fields, name)

    def get_list(self, name: bytes) -> list[bytes]:
        """The members of a list field, lower case."""
        values = (value for key, value in self.fields if key.lower() == name.lower())
        return [part.strip().lower() for value in values for part in value.split(b",") if part.strip()]

    @property
    def http(self) -> bytes:
        """The head of the adapted message: the response's where there is one."""
        return self.heads.get("res-hdr") or self.heads.get("req-hdr") or b""

    @property
    def http_line(self) -> str:
        """The start line of that head, to show."""
        return printable(self.http.partition(b"\r\n")[0])

    @property
    def http_status(self) -> int:
        """Of an adapted or satisfying response; 0 where there is none."""
        match = re.match(rb"HTTP/\d\.\d (\d{3})", self.heads.get("res-hdr", b""))
        return int(match[1]) if match else 0

    @property
    def http_fields(self) -> Fields:
        """The fields of that head."""
        return parse_fields(self.http.partition(b"\r\n")[2])

    @property
    def announces_close(self) -> bool:
        """Whether the server says that it will close behind this reply."""
        return b"close" in self.get_list(b"connection")


def find(fields: Fields, name: bytes) -> bytes | None:
    """The first value of that name."""
    return next((value for key, value in fields if key.lower() == name.lower()), None)


def parse_fields(lines: bytes) -> Fields:
    """Field lines as name and value; lines without a colon are left out."""
    parted = (line.rstrip(b"\r").partition(b":") for line in lines.split(b"\n"))
    return tuple((name, value.strip(b" \t")) for name, colon, value in parted if colon)


def read_reply(stream: Stream) -> Reply:
    """The next reply, read to its last byte and not beyond."""
    head = stream.read_until((b"\r\n\r\n", b"\n\n"), _MAX_HEAD)
    line, _, lines = head.partition(b"\n")
    match = _STATUS_LINE.fullmatch(line.rstrip(b"\r"))
    if match is None:
        raise Violation("no ICAP status line where an answer should begin")
    reply = Reply(head, match[1], int(match[2]), match[3] or b"", parse_fields(lines))
    if head.count(b"\n") != head.count(b"\r\n"):
        reply.faults["head"] = "lines of the ICAP head end in LF, not in CRLF"
    elif head.count(b"\r") != head.count(b"\r\n"):
        reply.faults["head"] = "a bare CR in the ICAP head"
    if reply.status in {100, 204}:
        return reply
    _read_encapsulated(reply)
    _read_heads(reply, stream)
    if reply.encapsulated and reply.encapsulated[-1][0] in {"req-body", "res-body", "opt-body"}:
        reply.body = Body()
        _read_chunks(reply, reply.body, stream)
    # draft-rousskov-icap-trailers: announced by both fields, they stand behind the message.
    if reply.get(b"Trailer") is not None and b"trailers" in reply.get_list(b"allow"):
        reply.icap_trailers = _read_trailers(stream)
    return reply


def _read_encapsulated(reply: Reply) -> None:
    value = reply.get(b"Encapsulated")
    if value is None:
        if reply.status < 300:
            reply.faults["encapsulated"] = "no Encapsulated header"
        return
    entities = [_ENTITY.fullmatch(part.strip()) for part in value.split(b",")]
    if None in entities:
        raise Violation(f"Encapsulated can't be read: {printable(value)!r}")
    reply.encapsulated = tuple((e[1].decode().lower(), int(e[2])) for e in entities if e)
    names = [name for name, _ in reply.encapsulated]
    if not names[-1].endswith("-body") or any(name.endswith("-body") for name in names[:-1]):
        reply.faults["encapsulated"] = f"Encapsulated ends in no body part: {printable(value)!r}"


def _read_heads(reply: Reply, stream: Stream) -> None:
    position = 0
    for name, offset in reply.encapsulated:
        if offset != position:
            fault = f"Encapsulated says {name}={offset}, and it begins at {position}"
            reply.faults.setdefault("encapsulated", fault)
        if name.endswith("-hdr"):
            head = stream.read_until((b"\r\n\r\n",), _MAX_HEAD)
            reply.heads[name] = head
            position += len(head)


def _read_chunks(reply: Reply, body: Body, stream: Stream) -> None:
    while True:
        line = stream.read_until((b"\n",), _MAX_LINE)
        match = _CHUNK_SIZE.fullmatch(line.rstrip(b"\r\n"))
        if match is None:
            raise Violation("no chunk size where a chunk should begin")
        if not line.endswith(b"\r\n"):
            reply.faults["chunks"] = "a chunk-size line ends in LF, not in CRLF"
        size = int(match[1], 16)
        if not size:
            reply.last_chunk = (match[2] or b"").strip()
            reply.trailers = _read_trailers(stream)
            return
        while size:
            data = stream.read_some(min(size, 64 * KiB))
            size -= len(data)
            body.add(data)
        end = stream.read_some(2)
        if (end if len(end) == 2 else end + stream.read_some(1)) != b"\r\n":
            raise Violation("a chunk is longer than its size says")


def _read_trailers(stream: Stream) -> Fields:
    lines = b""
    while (line := stream.read_until((b"\n",), _MAX_LINE)).strip(b"\r\n"):
        lines += line
        if len(lines) > _MAX_HEAD:
            raise Violation("trailers without an end")
    return parse_fields(lines)
