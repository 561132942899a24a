"""The chunked coding of an encapsulated body (RFC 3507 section 4.4, RFC 9112 section 7.1), as it arrives."""

import re

from icapd.errors import RemoteProtocolError
from icapd.http.headers import Headers
from icapd.icap.events import BodyData, BodyEnd, PreviewEnd
from icapd.icap.limits import CodecLimits

# chunk-size [ chunk-ext ]; no `0x`, no sign. Leading zeros are legal.
_CHUNK_LINE = re.compile(rb"0*([0-9A-Fa-f]{1,16})[ \t]*(;[^\r\n\x00]*)?")
_IEOF = re.compile(rb";[ \t]*ieof[ \t]*(?:;|$)", re.IGNORECASE)
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')


class ChunkedReader:
    """Takes the chunks of one body out of a buffer.

    With `preview`, the first last-chunk ends the preview; the chunks behind it are the rest of the body.
    """

    def __init__(self, limits: CodecLimits, *, preview: bool) -> None:
        self._limits = limits
        self._in_preview = preview
        self._previewed = 0  # bytes of the preview so far
        self._remaining = 0  # bytes of the current chunk that are still to come
        self._data_ends = False  # the chunk's data is all there; its CRLF is not
        self._last_chunk: bytes | None = None  # extensions of the last chunk, once it was read
        self._searched = 0  # bytes of the buffer in which no end of line, or of trailers, was found
        self._lacks_crlf = False  # the preview ended without its empty line, which may still come
        #: The trailers behind the last chunk that was read.
        self.trailers = Headers()

    def next_event(self, buffer: bytearray) -> BodyData | PreviewEnd | BodyEnd | None:
        """The next event, its bytes taken out of `buffer`; None when more must arrive.

        Raises RemoteProtocolError when the bytes are no chunked body, or exceed a limit.
        """
        while True:
            if self._remaining:
                return self._read_data(buffer)
            if self._data_ends and not self._read_end_of_data(buffer):
                return None
            if self._last_chunk is not None:
                return self._read_trailers(buffer)
            if not self._read_chunk_line(buffer):
                return None

    def _read_data(self, buffer: bytearray) -> BodyData | None:
        if not buffer:
            return None
        # One copy: a slice of a bytearray is one already.
        with memoryview(buffer) as view:
            data = bytes(view[: self._remaining])
        del buffer[: len(data)]
        self._remaining -= len(data)
        if self._in_preview:
            self._previewed += len(data)
            if self._previewed > self._limits.max_preview:
                raise RemoteProtocolError(f"a preview is over {self._limits.max_preview} bytes")
        self._data_ends = not self._remaining
        return BodyData(data)

    def _read_end_of_data(self, buffer: bytearray) -> bool:
        if not b"\r\n".startswith(buffer[:2]):
            raise RemoteProtocolError("a chunk is longer than its size says: no CRLF after its data")
        if len(buffer) < 2:
            return False
        del buffer[:2]
        self._data_ends = False
        return True

    def _read_chunk_line(self, buffer: bytearray) -> bool:
        if self._lacks_crlf and not self._skip_late_crlf(buffer):
            return False
        end = self._find(buffer, b"\r\n", self._limits.max_chunk_line)
        if end < 0:
            if len(buffer) >= self._limits.max_chunk_line:
                raise RemoteProtocolError(f"a chunk-size line is over {self._limits.max_chunk_line} bytes")
            return False
        match = _CHUNK_LINE.fullmatch(buffer, 0, end)
        if match is None:
            raise RemoteProtocolError("a chunk-size line is not a hexadecimal size with extensions")
        size = int(match[1], 16)
        if size > self._limits.max_chunk_size:
            raise RemoteProtocolError(f"a chunk is over {self._limits.max_chunk_size} bytes")
        if size:
            self._remaining = size
        else:
            self._last_chunk = bytes(match[2] or b"")
        del buffer[: end + 2]
        return True

    def _skip_late_crlf(self, buffer: bytearray) -> bool:
        """Pass over the empty line of a tolerated preview, if it comes; False while that is not known."""
        if len(buffer) < 2 and b"\r\n".startswith(buffer):
            return False
        if buffer.startswith(b"\r\n"):
            del buffer[:2]
        self._lacks_crlf = False
        return True

    def _read_trailers(self, buffer: bytearray) -> PreviewEnd | BodyEnd | None:
        if buffer.startswith(b"\r\n"):
            lines, length = b"", 2
        elif self._in_preview and self._limits.tolerant and not buffer:
            lines, length = b"", 0
            self._lacks_crlf = True
        else:
            end = self._find(buffer, b"\r\n\r\n", self._limits.max_trailer)
            if end < 0:
                if len(buffer) >= self._limits.max_trailer:
                    raise RemoteProtocolError(f"the trailers are over {self._limits.max_trailer} bytes")
                return None
            lines, length = bytes(buffer[:end]), end + 4
        self.trailers = Headers.parse(lines, self._limits.max_header_fields)
        del buffer[:length]
        extensions, self._last_chunk = self._last_chunk, None
        if self._in_preview:
            self._in_preview = False
            # RFC 3507 section 4.5: ieof says that the preview was the whole body.
            return PreviewEnd(complete=_IEOF.search(_QUOTED.sub(b"", extensions or b"")) is not None)
        return BodyEnd(self.trailers)

    def _find(self, buffer: bytearray, mark: bytes, limit: int) -> int:
        """Where the mark begins, or -1; what was searched before is not searched again."""
        end = buffer.find(mark, max(0, self._searched - len(mark) + 1), limit)
        self._searched = len(buffer) if end < 0 else 0
        return end
