"""One compressed stream of each content coding, taken apart in steps that stay small whatever it holds."""

import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

from icapd.errors import CodingError

KiB = 1024
MiB = 1024 * KiB

#: Bytes taken out of a decompressor at a time, as far as it can be asked for so few; the limits are looked at
#: in between.
STEP = 64 * KiB
#: RFC 9659 section 3: a window for HTTP is 8 MB at most. It is what a few bytes can make a decoder reserve.
MAX_ZSTD_WINDOW = 8 * MiB

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WBITS = 16 + zlib.MAX_WBITS
# RFC 8878 sections 3.1.1 and 3.1.2: a frame, or one of the sixteen that are to be skipped.
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"
# Bytes that go into brotli at a time: what a limit on the ratio is measured by stays near to what was used.
_BROTLI_SLICE = 4 * KiB
# Bytes of a brotli stream that are kept, to find its end where other bytes stand behind it: all of a response
# that is held back. In a longer one such bytes are a fault.
_MAX_BROTLI_KEPT = 256 * KiB
# The same for zstd, which takes no limit on what comes out. Four bytes can stand for a block of 128 KiB
# (RFC 8878 section 3.1.1.2), so a step is 8 MiB at the very worst.
_ZSTD_SLICE = 256

#: Yields what the data decodes to, in pieces; returns what stands behind the stream's end.
Pieces = Generator[bytes, None, bytes]


class Decompressor(Protocol):
    """One compressed stream. Raises CodingError `bad-coding` for what it can't be."""

    #: Bytes of the stream that were used.
    consumed: int
    #: Whether it has come to its own end.
    ended: bool

    def pieces(self, data: bytes) -> Pieces: ...


class _Zlib:
    """gzip (RFC 1952), zlib (RFC 1950) or bare deflate (RFC 1951)."""

    def __init__(self, name: str, wbits: int) -> None:
        self.consumed = 0
        self.ended = False
        self._name = name
        self._stream: Final = zlib.decompressobj(wbits=wbits)

    def pieces(self, data: bytes) -> Pieces:
        stream = self._stream
        while True:
            try:
                piece = stream.decompress(data, STEP)
            except zlib.error as error:
                raise _bad_coding(self._name, error) from None
            left = stream.unused_data if stream.eof else stream.unconsumed_tail
            self.consumed += len(data) - len(left)
            data = left
            if piece:
                yield piece
            if stream.eof:
                self.ended = True
                return data
            # A full piece may leave more behind inside zlib even when all input is used up.
            if not data and len(piece) < STEP:
                return b""


class _Brotli:
    """RFC 7932. Its window is 16 MiB at most, and grows with what is in it."""

    def __init__(self) -> None:
        self.consumed = 0
        self.ended = False
        self._stream: Final = brotli.Decompressor()
        # What has gone in, as long as it is kept, and how many bytes have come out.
        self._fed = bytearray()
        self._given = 0

    def pieces(self, data: bytes) -> Pieces:
        for at in range(0, len(data), _BROTLI_SLICE):
            part = data[at : at + _BROTLI_SLICE]
            before, self.consumed = self.consumed, self.consumed + len(part)
            try:
                for piece in _brotli_steps(self._stream, part):
                    self._given += len(piece)
                    yield piece
            except brotli.error as error:
                if len(self._fed) != before:
                    raise _bad_coding("br", error) from None
                behind = yield from self._up_to_the_end(part)
                return behind + data[at + _BROTLI_SLICE :]
            if self.consumed <= _MAX_BROTLI_KEPT:
                self._fed += part
            if self._stream.is_finished():
                self.ended = True
                return data[at + _BROTLI_SLICE :]
        return b""

    def _up_to_the_end(self, part: bytes) -> Pieces:
        """What a part gives that the library refuses because the stream ends within it, or has a fault there.

        To tell, a second decompressor goes the same way, and through the part byte by byte.
        """
        stream, known = brotli.Decompressor(), self._given
        inputs = [bytes(self._fed), *(part[at : at + 1] for at in range(len(part)))]
        for used, data in enumerate(inputs):
            try:
                for piece in _brotli_steps(stream, data):
                    if len(piece) > known:
                        yield piece[known:]
                    known = max(0, known - len(piece))
            except brotli.error as error:
                raise _bad_coding("br", error) from None
            if stream.is_finished():
                self.consumed, self.ended = self.consumed - len(part) + used, True
                return part[used:]
        raise CodingError("bad-coding", "the body is no br")


def _brotli_steps(stream: Any, data: bytes) -> Iterator[bytes]:
    while True:
        piece: bytes = stream.process(data, output_buffer_limit=STEP)
        if piece:
            yield piece
        # A full piece may leave more behind.
        if stream.is_finished() or (len(piece) < STEP and stream.can_accept_more_data()):
            return
        data = b""


class _Zstd:
    """A frame of RFC 8878, one that is to be skipped included."""

    def __init__(self) -> None:
        self.consumed = 0
        self.ended = False
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW)
        self._stream: Final = decompressor.decompressobj(write_size=STEP)

    def pieces(self, data: bytes) -> Pieces:
        at = 0
        while at < len(data):
            # The first byte alone: of a frame that it sees whole the library demands more than of one that
            # comes in pieces, as it comes to the client.
            part = data[at : at + (_ZSTD_SLICE if self.consumed else 1)]
            try:
                piece = self._stream.decompress(part)
            except zstandard.ZstdError as error:
                raise _bad_coding("zstd", error) from None
            self.ended = self._stream.eof
            used = len(part) - (len(self._stream.unused_data) if self.ended else 0)
            self.consumed, at = self.consumed + used, at + used
            if piece:
                yield piece
            if self.ended:
                return data[at:]
        return b""


def _bad_coding(name: str, error: Exception) -> CodingError:
    return CodingError("bad-coding", f"the body is no {name}: {error}")


def _open_gzip(start: bytes, is_first: bool) -> Decompressor | None:
    """RFC 1952 section 2.2: members follow each other. What is no member is padding: gzip(1), curl and the
    browsers ignore it, so nobody downstream reads it."""
    if is_first or start == _GZIP_MAGIC:
        return _Zlib("gzip", _GZIP_WBITS)
    return None


def _open_deflate(start: bytes, is_first: bool) -> Decompressor | None:
    """RFC 9110 section 8.4.1.2: the zlib format (RFC 1950); its note: some servers send bare deflate."""
    if not is_first:
        return None
    # RFC 1950 section 2.2: compression method 8, and a header that is a multiple of 31.
    is_zlib = start[0] & 0x0F == 8 and int.from_bytes(start, "big") % 31 == 0
    return _Zlib("deflate", zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


def _open_brotli(start: bytes, is_first: bool) -> Decompressor | None:
    return _Brotli() if is_first else None


def _open_zstd(start: bytes, is_first: bool) -> Decompressor | None:
    """RFC 8878 section 3: frames follow each other; what is none, behind the first, is padding as in gzip."""
    is_frame = start == _ZSTD_MAGIC or (start[1:] == _SKIPPABLE_MAGIC and start[0] & 0xF0 == 0x50)
    return _Zstd() if is_first or is_frame else None


#: How a stream of each coding begins: how many bytes tell what it is, and what takes it apart from them on,
#: None for padding behind the first stream. `x-gzip` is the same as `gzip` (RFC 9110 section 8.4.1.3).
OPENERS: dict[str, tuple[int, Callable[[bytes, bool], Decompressor | None]]] = {
    "gzip": (2, _open_gzip),
    "x-gzip": (2, _open_gzip),
    "deflate": (2, _open_deflate),
    "br": (1, _open_brotli),
    "zstd": (4, _open_zstd),
}
