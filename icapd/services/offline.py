"""Messages from files instead of a wire: what `icapd scan` does with each."""

from dataclasses import dataclass, field
from typing import Literal

from icapd.errors import CodingError
from icapd.http.charsets import SAMPLE, charset_of
from icapd.http.codings import SUPPORTED, Decoder
from icapd.http.headers import Headers
from icapd.http.heads import MessageHead, RequestHead, ResponseHead
from icapd.http.media_types import MediaType, looks_like_text
from icapd.inspection import Inspector
from icapd.services.body_plan import content_codings
from icapd.services.examination import MessageExamination, examine_message

#: Bytes by which a body shows whether it is text.
_SAMPLE = 4096


@dataclass(frozen=True, slots=True)
class Message:
    """One request or response, whole."""

    direction: Literal["request", "response"]
    method: bytes
    url: bytes
    headers: Headers
    body: bytes = field(repr=False)
    #: The body came as characters, and is in UTF-8 whatever the headers say.
    is_utf8: bool = False


def examine(message: Message, inspector: Inspector) -> MessageExamination:
    """Inspect a message by the inspector of its direction. Raises CodingError and ScanTimeout."""
    request = RequestHead(message.method, message.url, headers=message.headers)
    is_request = message.direction == "request"
    head: MessageHead = request if is_request else ResponseHead(200, headers=message.headers)
    return examine_message(inspector, head, request, _decoded(message, inspector), is_utf8=message.is_utf8)


def unreadable(message: Message) -> str:
    """Why rules can't read the body, in the word of the audit rows; "" when they can."""
    sample = message.body[:_SAMPLE]
    if content_codings(message.headers):
        return ""  # what it decodes to tells
    media_type = MediaType.parse(message.headers.get(b"content-type"))
    readable = looks_like_text(sample) or (not message.is_utf8 and charset_of(media_type, sample[:SAMPLE]))
    return "" if readable else "media-type"


def _decoded(message: Message, inspector: Inspector) -> bytes:
    codings = content_codings(message.headers)
    if not codings:
        return message.body
    if not SUPPORTED.issuperset(codings):
        raise CodingError("unknown-coding", f"a content coding of {', '.join(codings)} can't be decoded")
    decoder = Decoder(codings, inspector.limits.buffered_coding)
    return decoder.feed(message.body) + decoder.finish()
