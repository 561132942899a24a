"""What is in a body that flows, and is read only where all of it is there: said in its record."""

from icapd.http.media_types import MediaType
from icapd.inspection import base64_text
from icapd.inspection.escapes import Escapes
from icapd.inspection.formats import ESCAPES, WHOLE_ESCAPES, TextFormat

#: Bytes around a passage within which stands what begins or ends in it.
AROUND = 64


class Unread:
    """Looks for base64 that holds text, and for escapes and disguises that only `WHOLE_ESCAPES` has."""

    __slots__ = ("_escapes", "occurred")

    def __init__(self, media_type: MediaType, kind: TextFormat) -> None:
        #: Whether there was any of it. All parts of a multipart body are such.
        self.occurred = media_type.format == "multipart"
        self._escapes: tuple[Escapes, ...] = WHOLE_ESCAPES[kind][len(ESCAPES[kind]) :]

    def look_at(self, text: bytes) -> None:
        """The next passage, with everything decoded that is in a body that flows."""
        if not self.occurred:
            self.occurred = base64_text.may_begin_in(text) or any(
                (kind.matter_in or kind.occur_in)(text) for kind in self._escapes
            )
