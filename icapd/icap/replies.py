"""What this server answers, as values: the codec turns these into bytes.

An answer is one of `OptionsReply`, `Unmodified`, `PartialContent` and `ErrorReply`, or else `AdaptedHead`,
any number of `AdaptedData`, and `AdaptedEnd`. `Continue` may come before it, once, to ask for what lies
behind a preview.
"""

from dataclasses import dataclass, field

from icapd.http.headers import Headers
from icapd.http.heads import MessageHead


@dataclass(frozen=True, slots=True)
class Continue:
    """100: send what lies behind the preview (RFC 3507 section 4.5)."""


@dataclass(frozen=True, slots=True)
class OptionsReply:
    """200 to OPTIONS (RFC 3507 section 4.10.2)."""

    headers: Headers


@dataclass(frozen=True, slots=True)
class Unmodified:
    """204: the virgin message stands. Only where the request allows it; elsewhere echo it by AdaptedHead."""

    headers: Headers = Headers()


@dataclass(frozen=True, slots=True)
class AdaptedHead:
    """200 with the head of an HTTP message: adapted, echoed, or a response that satisfies a request."""

    head: MessageHead
    #: False: the message has no body (null-body), and nothing but AdaptedEnd follows.
    has_body: bool
    headers: Headers = Headers()
    #: Names of the ICAP trailers that AdaptedEnd will bring; only for those who allow them.
    trailer_names: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class PartialContent:
    """206: the head and the beginning of the adapted message; the rest is that of the virgin body.

    Only where the request allows it (draft-icap-ext-partial-content-07), and only as far as the client still
    holds the body: `use_original_body` counts virgin bytes from its start, at most those that have arrived.
    """

    head: MessageHead
    data: bytes = field(repr=False)
    use_original_body: int
    headers: Headers = Headers()


@dataclass(frozen=True, slots=True)
class AdaptedData:
    """A piece of the adapted body; becomes one chunk. Empty pieces are passed over."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AdaptedEnd:
    """The end of an adapted message."""

    #: HTTP trailers behind its body (RFC 9112 section 7.1.2).
    trailers: Headers = Headers()
    #: What the head announced as `trailer_names`.
    icap_trailers: Headers = Headers()


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """A 4xx or 5xx of the ICAP level: for what the peer did wrong in ICAP itself, never for a verdict.

    Squid counts each one as a failure of the service, and gives the service up after ten.
    """

    status: int
    #: One line for whoever reads a packet trace; holds nothing of the message's content.
    explanation: str
    #: Whether the connection can go on: only where the framing of the request is still known.
    close: bool = True
    headers: Headers = Headers()


Reply = (
    Continue
    | OptionsReply
    | Unmodified
    | AdaptedHead
    | AdaptedData
    | AdaptedEnd
    | PartialContent
    | ErrorReply
)
