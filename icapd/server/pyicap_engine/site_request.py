"""The reading of one request by pyicap, for a site's own service: its limits, and the framing of its body."""

import time

from icapd.errors import RemoteProtocolError
from icapd.icap import BodyData, PreviewEnd
from icapd.icap.chunked import ChunkedReader
from icapd.icap.limits import CodecLimits
from icapd.server.pyicap_engine.blocking_wire import READ_SIZE, Wire


class SiteRequest:
    """One request, from its heads to the end of its body."""

    def __init__(self, wire: Wire, limits: CodecLimits, head_deadline: float) -> None:
        self._wire = wire
        self._limits = limits
        self._deadline: float | None = head_deadline
        # A piece may have been read that reaches beyond the heads.
        self._head_end = wire.received + limits.max_icap_head + 2 * limits.max_http_head + READ_SIZE
        self._chunks: ChunkedReader | None = None
        #: The preview was the whole body (RFC 3507 section 4.5).
        self.is_complete_preview = False
        #: Whether the peer was silent for too long.
        self.timed_out = False

    def fill(self) -> bool:
        """Read on; False at the end of the connection. TimeoutError, or RemoteProtocolError: too much."""
        if self._chunks is None and self._wire.received > self._head_end:
            raise RemoteProtocolError("the heads are longer than [limits] allow")
        timeout = None if self._deadline is None else self._deadline - time.monotonic()
        try:
            return self._wire.fill(timeout)
        except TimeoutError:
            self.timed_out = True
            raise

    def begin_body(self, *, preview: bool) -> None:
        """The heads are read."""
        self._deadline = None
        self._chunks = ChunkedReader(self._limits, preview=preview)

    def read_body(self) -> bytes:
        """The next piece; b"" at the end of the body, or of its preview."""
        assert self._chunks is not None
        while (event := self._chunks.next_event(self._wire.unread)) is None:
            if not self.fill():
                raise RemoteProtocolError("the connection was closed in the middle of a request")
        if isinstance(event, BodyData):
            return event.data
        if isinstance(event, PreviewEnd):
            self.is_complete_preview = event.complete
        return b""

    def skip_body(self, timeout: float) -> bool:
        """Drop what is left of the body, or of its preview; False: that is too much, or takes too long."""
        self._deadline = time.monotonic() + timeout
        left = self._limits.max_drain
        try:
            while left > 0 and (data := self.read_body()):
                left -= len(data)
        except (OSError, RemoteProtocolError):
            return False
        return left > 0
