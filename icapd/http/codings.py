"""Content codings (RFC 9110 section 8.4.1), taken off while a body arrives."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from icapd.errors import CodingError
from icapd.http.decompressors import OPENERS, Decompressor

KiB = 1024
MiB = 1024 * KiB

#: What a Decoder takes off. Not dcb and dcz (RFC 9842): the dictionary that they refer to is not here.
SUPPORTED = frozenset({*OPENERS, "identity"})
#: Codings on top of each other. Servers apply one, by mistake two; each multiplies what a few bytes become.
MAX_LAYERS = 3
#: Bytes that any body may become whatever its ratio: a short answer full of zeros is no bomb.
RATIO_FLOOR = 1 * MiB
#: Streams behind each other in one layer, and bytes for each one more: opening one takes longer than reading
#: it. An empty one has 20 bytes in gzip and 9 in zstd; those that servers write have hundreds.
MAX_STREAMS, STREAM_FLOOR = 1024, 64

_STEP = 16 * KiB


@dataclass(frozen=True, slots=True)
class CodingLimits:
    """What a coded body may become."""

    #: Bytes; None for a body that is not held in memory.
    max_size: int | None = 4 * MiB
    #: Decoded size over encoded size. Text seldom goes beyond 20, deflate can't beyond 1032; brotli and zstd
    #: have no such bound.
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
        out: list[bytes] = []
        # What stands behind the end of a stream is copied, so that not much may.
        for at in range(0, len(data), _STEP):
            out += self._decode(data[at : at + _STEP], 0)
        return b"".join(out)

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
            layer.produced += len(piece)
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
        self._start_size, self._open = OPENERS[coding]
        self._stream: Decompressor | None = None
        self._held = b""
        self._streams_begun = 0
        self._padding_only = False
        # Of the streams that have ended.
        self._consumed = 0
        self.produced = 0

    @property
    def consumed(self) -> int:
        return self._consumed + (self._stream.consumed if self._stream is not None else 0)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces; whoever takes them counts them in `produced`."""
        data, self._held = self._held + data, b""
        while data and not self._padding_only:
            if self._stream is None:
                if len(data) < self._start_size:
                    self._held = data
                    return
                self._stream = self._open(data[: self._start_size], self._streams_begun == 0)
                self._streams_begun += 1
                if self._streams_begun > MAX_STREAMS + self._consumed // STREAM_FLOOR:
                    problem = f"{self._streams_begun} {self._coding} streams behind each other"
                    raise CodingError("bad-coding", problem)
                self._padding_only = self._stream is None
            else:
                data = yield from self._stream.pieces(data)
                if self._stream.ended:
                    self._consumed, self._stream = self._consumed + self._stream.consumed, None

    def check_complete(self) -> None:
        """CodingError unless the stream has come to its own end. No byte at all is an empty body."""
        began = self._streams_begun > 0
        if self._stream is not None or (self._held and not began):
            raise CodingError("truncated", f"the {self._coding} body ends too early")
