"""Content codings (RFC 9110 section 8.4.1), taken off while a body arrives."""

import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from icapd.errors import CodingError

if TYPE_CHECKING:
    from zlib import _Decompress

KiB = 1024
MiB = 1024 * KiB

#: What a Decoder takes off. `x-gzip` is the same as `gzip` (RFC 9110 section 8.4.1.3).
SUPPORTED = frozenset({"gzip", "x-gzip", "deflate", "identity"})
#: Codings on top of each other. Servers apply one, by mistake two; each multiplies what a few bytes become.
MAX_LAYERS = 3
#: Bytes that any body may become whatever its ratio: a short answer full of zeros is no bomb.
RATIO_FLOOR = 1 * MiB

# Bytes taken out of a decompressor at a time; the limits are looked at in between.
_STEP = 64 * KiB
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WBITS = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class CodingLimits:
    """What a coded body may become."""

    #: Bytes; None for a body that is not held in memory.
    max_size: int | None = 4 * MiB
    #: Decoded size over encoded size. Text seldom goes beyond 20, deflate can't beyond 1032.
    max_ratio: int = 200


def parse_content_codings(value: bytes | None) -> tuple[str, ...]:
    """The codings that a Content-Encoding value names, in lower case, as applied; without `identity`."""
    names = (value or b"").decode("latin-1").lower().split(",")
    return tuple(name for part in names if (name := part.strip()) not in {"", "identity"})


class Decoder:
    """Takes codings off a body. Once a CodingError was raised, nothing more can be got out of it.

    Reasons: `unknown-coding`, `bad-coding` (not what it claims to be), `truncated`, `coding-ratio` and
    `decoded-size` (a limit is passed).
    """

    def __init__(self, codings: Sequence[str], limits: CodingLimits = CodingLimits()) -> None:
        """`codings`: as `parse_content_codings` gives them, the one applied first in front."""
        unknown = [name for name in codings if name not in SUPPORTED]
        if unknown:
            raise CodingError("unknown-coding", f'content coding "{unknown[0]}" can\'t be decoded')
        # What was applied last comes off first.
        names = [name for name in reversed(codings) if name != "identity"]
        if len(names) > MAX_LAYERS:
            raise CodingError("unknown-coding", f"{len(names)} content codings on top of each other")
        self._layers = [_Layer(name) for name in names]
        self._limits = limits

    def feed(self, data: bytes) -> bytes:
        """What the next bytes of the body add to the decoded one."""
        return b"".join(self._decode(data, 0))

    def finish(self) -> bytes:
        """Nothing more: what could be decoded has been given. CodingError when the body was cut short."""
        for layer in self._layers:
            layer.check_complete()
        return b""

    def _decode(self, data: bytes, depth: int) -> Iterator[bytes]:
        """The data less the codings from `depth` on, in pieces small enough for the limits to hold."""
        if depth == len(self._layers):
            yield data
            return
        layer = self._layers[depth]
        for piece in layer.feed(data):
            self._check_limits(layer)
            yield from self._decode(piece, depth + 1)

    def _check_limits(self, layer: "_Layer") -> None:
        max_size, max_ratio = self._limits.max_size, self._limits.max_ratio
        if max_size is not None and layer.produced > max_size:
            raise CodingError("decoded-size", f"the decoded body is over {max_size} bytes")
        # Every layer is held against the bytes that really travelled.
        travelled = self._layers[0].consumed
        if layer.produced > max(RATIO_FLOOR, max_ratio * travelled):
            raise CodingError("coding-ratio", f"the decoded body is over {max_ratio} times the encoded one")


class _Layer:
    """One coding of a body: a compressed stream, or several behind each other."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._open = _OPENERS[coding]
        self._stream: _Decompress | None = None
        self._held = b""
        self._streams_begun = 0
        self._ended = False
        self.consumed = 0
        self.produced = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces of at most _STEP bytes."""
        data, self._held = self._held + data, b""
        while data and not self._ended:
            if self._stream is None:
                # Two bytes tell what begins here.
                if len(data) < 2:
                    self._held = data
                    return
                self._stream = self._open(data[:2], self._streams_begun == 0)
                self._streams_begun += 1
                self._ended = self._stream is None
            else:
                data = yield from self._decompress(self._stream, data)

    def _decompress(self, stream: "_Decompress", data: bytes) -> Generator[bytes, None, bytes]:
        """All that the data yields in this stream; returns what stands behind the stream's end."""
        while True:
            try:
                piece = stream.decompress(data, _STEP)
            except zlib.error as error:
                raise CodingError("bad-coding", f"the body is no {self._coding}: {error}") from None
            left = stream.unused_data if stream.eof else stream.unconsumed_tail
            self.consumed += len(data) - len(left)
            self.produced += len(piece)
            data = left
            if piece:
                yield piece
            if stream.eof:
                self._stream = None
                return data
            # A full piece may leave more behind inside zlib even when all input is used up.
            if not data and len(piece) < _STEP:
                return b""

    def check_complete(self) -> None:
        """CodingError unless the stream has come to its own end. No byte at all is an empty body."""
        began = self._streams_begun > 0
        if self._stream is not None or (self._held and not began):
            raise CodingError("truncated", f"the {self._coding} body ends too early")


def _open_gzip(start: bytes, is_first: bool) -> "_Decompress | None":
    """RFC 1952 section 2.2: members follow each other. What is no member is padding: gzip(1), curl and the
    browsers ignore it, so nobody downstream reads it."""
    if is_first or start == _GZIP_MAGIC:
        return zlib.decompressobj(wbits=_GZIP_WBITS)
    return None


def _open_deflate(start: bytes, is_first: bool) -> "_Decompress | None":
    """RFC 9110 section 8.4.1.2: the zlib format (RFC 1950); its note: some servers send bare deflate."""
    if not is_first:
        return None
    # RFC 1950 section 2.2: compression method 8, and a header that is a multiple of 31.
    is_zlib = start[0] & 0x0F == 8 and int.from_bytes(start, "big") % 31 == 0
    return zlib.decompressobj(wbits=zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


_OPENERS: dict[str, Callable[[bytes, bool], "_Decompress | None"]] = {
    "gzip": _open_gzip,
    "x-gzip": _open_gzip,
    "deflate": _open_deflate,
}
