"""How far the ICAP conversation of one transaction has come, and so which replies it allows."""

from enum import Enum, auto

from icapd.icap import Continue, ModRequest, Reply


class Phase(Enum):
    """How far an adaptation has come."""

    PREVIEW = auto()
    BUFFERING = auto()
    FLOWING = auto()
    DONE = auto()


class Exchange:
    """The client's side of one transaction: what it offered, and what it has sent so far."""

    def __init__(self, request: ModRequest) -> None:
        self._request = request
        self._paused = False  # at the end of a preview that was not the whole body
        self._continued = False
        self._ended = not request.has_body
        #: Bytes that the client is sure to hold still: those of the preview, or all where there is none.
        self.held = 0

    def data(self, size: int) -> None:
        """So many bytes of the body have arrived."""
        if not self._continued:
            self.held += size

    def end_preview(self, complete: bool) -> None:
        """The preview has ended; `complete`: nothing lies behind it."""
        self._paused = not complete

    def end(self) -> None:
        """The body has ended."""
        self._ended = True

    def ask_for_the_rest(self) -> list[Reply]:
        """100 Continue where the client waits for it; nothing elsewhere."""
        if not self._paused:
            return []
        self._paused, self._continued = False, True
        return [Continue()]

    @property
    def may_answer_204(self) -> bool:
        """RFC 3507 section 4.6: in answer to a preview, or where the request allows it."""
        answers_preview = self._request.preview is not None and not self._continued
        return answers_preview or self._request.allows_204

    def whole(self, held: bytes, received: int) -> bytes | None:
        """What is held, if that is all of a body that has ended; None when something went another way."""
        return held if self._ended and len(held) == received else None

    @property
    def held_for_206(self) -> int:
        """How far into the virgin body a 206 may point back; -1 where it is no answer at all."""
        return self.held if self.may_answer_206 else -1

    @property
    def may_answer_206(self) -> bool:
        """draft-icap-ext-partial-content-07 section 5.1, and what Squid makes of it.

        In answer to an open preview it is enough that the client allows 206; behind the whole body it must
        allow 204 too, which says that it still holds all of it.
        """
        if not (self._request.allows_206 and self._request.has_body):
            return False
        return self._paused or (self._ended and self._request.allows_204)
