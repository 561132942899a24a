"""Bodies that can be made again and again, piece by piece: nobody needs to keep them."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from random import Random

BLOCK = 64 * 1024
REDACTED = b"[REDACTED]"
SECRET_LENGTH = 20
_LINES = (b"2026-01-02 03:04:05 INFO worker-7 fetched page 42 of the catalogue in 31 ms\n" * 900)[:BLOCK]
_NOISE = Random(5).randbytes(BLOCK)
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True, slots=True)
class Digest:
    """What two bodies are compared by."""

    size: int
    sha256: str


class Hasher:
    """A digest that grows."""

    def __init__(self) -> None:
        self._hash = sha256()
        self.size = 0

    def feed(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)

    def digest(self) -> Digest:
        return Digest(self.size, self._hash.hexdigest())


@dataclass(frozen=True)
class Body:
    """A body and its media type; `blocks` gives it anew each time."""

    media_type: str
    blocks: Callable[[], Iterator[bytes]]
    coding: str = ""

    @classmethod
    def of(cls, data: bytes, media_type: str, coding: str = "") -> "Body":
        return cls(media_type, lambda: iter([data] if data else []), coding)

    @cached_property
    def digest(self) -> Digest:
        hasher = Hasher()
        for block in self.blocks():
            hasher.feed(block)
        return hasher.digest()

    @property
    def size(self) -> int:
        return self.digest.size

    def data(self) -> bytes:
        return b"".join(self.blocks())

    def first(self, size: int) -> "Body":
        """Its beginning."""
        return Body.of(self.data()[:size], self.media_type, self.coding)


@dataclass(frozen=True)
class Redactable:
    """What is sent, and what may arrive."""

    sent: Body
    expected: Body

    def expected_of_length(self, held: int) -> Body:
        """What may arrive where its length was announced: one larger than `held` flows, and keeps it."""
        return self.expected if self.sent.size <= held else Body(self.expected.media_type, self._filled)

    def _filled(self) -> Iterator[bytes]:
        for block in self.expected.blocks():
            yield block.replace(REDACTED, REDACTED.ljust(SECRET_LENGTH, b"*"))


def secret(rng: Random) -> bytes:
    """Looks like an AWS access key id; nobody's."""
    return b"AKIA" + "".join(rng.choices(_ALPHABET, k=SECRET_LENGTH - 4)).encode()


def text(rng: Random, size: int, secrets: int = 0, media_type: str = "text/plain") -> Redactable:
    """Lines like a log's, each block with a mark of its own, and secrets anywhere, across blocks too."""
    mark = b"%016x" % rng.getrandbits(64)
    places = {}
    for _ in range(secrets):
        # Away from the mark at the beginning of a block and from its end.
        places[rng.randrange(max(1, size // BLOCK))] = (rng.randrange(64, min(size, BLOCK) - 64), secret(rng))

    def blocks(hidden: bool) -> Iterator[bytes]:
        for number, start in enumerate(range(0, size, BLOCK)):
            block = (b"%b %08d\n" % (mark, number) + _LINES)[: min(BLOCK, size - start)]
            if number in places:
                offset, key = places[number]
                shown = REDACTED if hidden else key
                block = block[:offset] + b" " + shown + b" " + block[offset + len(key) + 2 :]
            yield block

    return Redactable(Body(media_type, lambda: blocks(False)), Body(media_type, lambda: blocks(True)))


_SIGNATURES = {"application/zip": b"PK\x03\x04", "image/png": b"\x89PNG\r\n\x1a\n"}


def binary(rng: Random, size: int, media_type: str = "application/zip") -> Body:
    """Bytes like an archive's, or an image's."""
    mark = rng.randbytes(16)
    begins = _SIGNATURES[media_type]

    def blocks() -> Iterator[bytes]:
        for number, start in enumerate(range(0, size, BLOCK)):
            yield (b"%b%b%08d" % (begins, mark, number) + _NOISE)[: min(BLOCK, size - start)]

    return Body(media_type, blocks)


def json_document(rng: Random, items: int, secrets: int = 0) -> Redactable:
    """An answer of some API; a secret is the value of a member."""
    keys = [secret(rng).decode() for _ in range(secrets)]
    members: list[dict[str, object]] = [
        {"id": rng.getrandbits(40), "name": f"überschrift {number}", "open": rng.random() < 0.5, "tags": None}
        for number in range(items)
    ]
    for number, key in enumerate(keys):
        members[number]["aws_access_key_id"] = key
    sent = json.dumps({"items": members, "next": None}, ensure_ascii=False).encode()
    expected = sent
    for key in keys:
        expected = expected.replace(key.encode(), REDACTED)
    return Redactable(Body.of(sent, "application/json"), Body.of(expected, "application/json"))


def gzipped(body: Body) -> Body:
    """The same in a gzip coding."""
    return Body.of(gzip.compress(body.data(), mtime=0), body.media_type, "gzip")


def event_stream(rng: Random, events: int, secrets: int = 0) -> Redactable:
    """Server-sent events, one a block."""
    keys = {number: secret(rng) for number in rng.sample(range(events), secrets)}
    mark = rng.getrandbits(64)

    def blocks(hidden: bool) -> Iterator[bytes]:
        for number in range(events):
            key = keys.get(number, b"none")
            value = REDACTED if hidden and number in keys else key
            yield b'id: %d\ndata: {"mark": "%016x", "key": "%b"}\n\n' % (number, mark, value)

    media_type = "text/event-stream"
    return Redactable(Body(media_type, lambda: blocks(False)), Body(media_type, lambda: blocks(True)))
