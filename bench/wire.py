"""A case as Squid 5.7 would put it on the wire, by what the server said in its OPTIONS."""

import re
import socket
from dataclasses import dataclass

from bench.cases import REQUEST, Case

#: Bytes of a body that Squid can hold back: what is larger, or of unknown size, comes without `Allow: 204`.
BACKUP_SIZE = 64 * 1024
CHUNK = 64 * 1024
_TIMEOUT = 10.0  # seconds for OPTIONS


@dataclass(frozen=True)
class Offer:
    """What Squid takes from a service's OPTIONS."""

    #: None: without `Transfer-Preview: *` Squid never sends one, whatever `Preview` says.
    preview: int | None
    allows_206: bool


def ask_options(port: int, path: str) -> Offer:
    """The service's offer. Raises RuntimeError when the answer is not 200."""
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as connection:
        connection.sendall(
            f"OPTIONS icap://127.0.0.1:{port}/{path} ICAP/1.0\r\nHost: 127.0.0.1:{port}\r\n"
            "Allow: 206, trailers\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(65536)
            if not data:
                break
            head += data
    if not head.startswith(b"ICAP/1.0 200"):
        raise RuntimeError(f"/{path} answers OPTIONS by {head[:80]!r}")
    size = re.search(rb"(?im)^preview: *(\d+)", head)
    transfer = re.search(rb"(?im)^transfer-preview: *\*", head)
    allow = re.search(rb"(?im)^allow:(.*)$", head)
    return Offer(int(size[1]) if size and transfer else None, bool(allow and b"206" in allow[1]))


def encode(case: Case, port: int, path: str, offer: Offer, extra: bytes = b"") -> list[bytes]:
    """The parts of the request: each but the first is sent only after a 100. `extra`: ICAP header lines."""
    parts = b"req-hdr=0, null-body=%d" % len(REQUEST)
    if case.method == "RESPMOD":
        parts = b"req-hdr=0, res-hdr=%d, res-body=%d" % (len(REQUEST), len(REQUEST) + len(case.head))
    preview = min(offer.preview, len(case.body)) if case.with_preview and offer.preview is not None else None
    fits = len(case.body) < BACKUP_SIZE
    # The case without preview is what other clients do, and the first version of this benchmark: 204 always.
    allow = [b"204"] * (fits or not case.with_preview)
    allow += [b"206"] * (offer.allows_206 and bool(case.body) and (preview is not None or fits))
    head = b"%b icap://127.0.0.1:%d/%b ICAP/1.0\r\n" % (case.method.encode(), port, path.encode())
    head += b"Host: 127.0.0.1:%d\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nEncapsulated: %b\r\n" % (
        port,
        parts,
    )
    head += b"Preview: %d\r\n" % preview if preview is not None else b""
    head += b"Allow: %b\r\nX-Client-IP: 127.0.0.1\r\n" % b", ".join([*allow, b"trailers"])
    head += b"X-Squid-Txn: proxy1-8-1795434000\r\n%b\r\n" % extra
    head += REQUEST + case.head
    if not case.body:
        return [head]
    if preview is None:
        return [head + _chunks(case.body) + b"0\r\n\r\n"]
    first = head + _chunks(case.body[:preview])
    if preview == len(case.body):
        return [first + b"0; ieof\r\n\r\n"]
    return [first + b"0\r\n\r\n", _chunks(case.body[preview:]) + b"0\r\n\r\n"]


def _chunks(data: bytes) -> bytes:
    pieces = (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


class Answer:
    """One ICAP answer as it arrives; read to its last byte, and not beyond."""

    __slots__ = (
        "_data",
        "_has_body",
        "_has_trailers",
        "_head_end",
        "_in_trailers",
        "_pieces",
        "_position",
        "status",
        "use_original_body",
    )

    def __init__(self) -> None:
        self._data = bytearray()
        self._head_end = self._position = self.status = 0
        self._pieces: list[tuple[int, int]] = []
        self._has_body = self._has_trailers = self._in_trailers = False
        self.use_original_body: int | None = None

    def feed(self, data: bytes) -> bool:
        """Whether the answer is complete. Raises ValueError for what is no ICAP, or bytes behind the end."""
        self._data += data
        if not self._head_end and not self._read_head():
            return False
        if not self._has_body:
            # A server may send what it has of its real answer right behind a 100.
            return self.status == 100 or self._ends_at(self._position)
        while not self._in_trailers:
            line_end = self._data.find(b"\r\n", self._position)
            if line_end < 0:
                return False
            line = bytes(self._data[self._position : line_end])
            size = int(line.partition(b";")[0], 16)
            end = line_end + 2 + size + 2
            if len(self._data) < end:
                return False
            if self._data[end - 2 : end] != b"\r\n":
                raise ValueError("a chunk does not end where its size says")
            if size:
                self._pieces.append((line_end + 2, end - 2))
            else:
                original = re.search(rb"use-original-body=(\d+)", line)
                self.use_original_body = int(original[1]) if original else None
                if not self._has_trailers:
                    return self._ends_at(end)
                self._in_trailers = True
            self._position = end
        trailers_end = self._data.find(b"\r\n\r\n", self._position)
        return trailers_end >= 0 and self._ends_at(trailers_end + 4)

    def _read_head(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._position = self._head_end = end + 4
        if not self._data.startswith(b"ICAP/1.0 "):
            raise ValueError(f"no ICAP: {bytes(self._data[:40])!r}")
        self.status = int(self._data[9:12])
        if self.status not in (100, 204):
            head = self._data[:end].lower()
            encapsulated = re.search(rb"\r\nencapsulated:[^\r]*?(null-body|[a-z]+-body)=(\d+)", head)
            if encapsulated is not None:
                self._position += int(encapsulated[2])
                self._has_body = encapsulated[1] != b"null-body"
            # draft-rousskov-icap-trailers: fields of ICAP behind the last chunk.
            self._has_trailers = b"\r\ntrailer:" in head
        return True

    def _ends_at(self, end: int) -> bool:
        if len(self._data) > end:
            raise ValueError(f"{len(self._data) - end} bytes behind the end of the answer")
        return len(self._data) == end

    @property
    def behind_100(self) -> bytes:
        """What arrived behind a 100: the beginning of the next answer."""
        return bytes(self._data[self._head_end :])

    @property
    def http_status_line(self) -> bytes:
        """First line of the encapsulated head."""
        return bytes(self._data[self._head_end : self._head_end + 200]).partition(b"\r\n")[0]

    @property
    def icap_head(self) -> bytes:
        return bytes(self._data[: self._head_end])

    @property
    def body(self) -> bytes:
        """Without the chunks."""
        return b"".join(self._data[start:end] for start, end in self._pieces)
