"""What the peer did, as values: the codec turns bytes into these."""

from dataclasses import dataclass, field
from enum import Enum

from icapd.http.headers import Headers
from icapd.http.heads import RequestHead, ResponseHead


class Method(Enum):
    """The two methods that adapt a message (RFC 3507 sections 4.8 and 4.9)."""

    REQMOD = "REQMOD"
    RESPMOD = "RESPMOD"


@dataclass(frozen=True, slots=True, kw_only=True)
class IcapRequest:
    """What every ICAP request begins with."""

    #: The path of the ICAP URI, without query: which service is meant (RFC 3507 section 4.2).
    path: str
    headers: Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsRequest(IcapRequest):
    """RFC 3507 section 4.10."""

    #: Tokens of Allow, lower case.
    allow: frozenset[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsupportedRequest(IcapRequest):
    """A request of a method that this server does not know; the answer is 501."""

    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModRequest(IcapRequest):
    """The heads of one REQMOD or RESPMOD request; its body, when it has one, follows as BodyData."""

    method: Method
    #: Tokens of Allow, lower case: b"204", b"206", b"trailers".
    allow: frozenset[bytes]
    #: The Preview header's number of bytes; None without the header.
    preview: int | None
    #: By Encapsulated alone (RFC 3507 errata e1): null-body has none, not even the chunk that ends it.
    has_body: bool
    request_head: RequestHead | None = field(default=None)
    response_head: ResponseHead | None = field(default=None)

    @property
    def allows_204(self) -> bool:
        """Whether a 204 is allowed outside of a preview (RFC 3507 section 4.6)."""
        return b"204" in self.allow

    @property
    def allows_206(self) -> bool:
        """Whether a 206 is understood (draft-icap-ext-partial-content-07 section 4.2)."""
        return b"206" in self.allow

    @property
    def allows_trailers(self) -> bool:
        """Whether ICAP trailers are understood (draft-rousskov-icap-trailers)."""
        return b"trailers" in self.allow


@dataclass(frozen=True, slots=True)
class BodyData:
    """A piece of the encapsulated body, cut wherever the bytes happened to arrive."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PreviewEnd:
    """The preview's last chunk (RFC 3507 section 4.5)."""

    #: ieof: the preview was the whole body, and BodyEnd follows at once.

    complete: bool


@dataclass(frozen=True, slots=True)
class BodyEnd:
    """The body's last chunk, with what HTTP trailers came behind it."""

    trailers: Headers = Headers()


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The peer closed its side between two requests."""


Event = OptionsRequest | UnsupportedRequest | ModRequest | BodyData | PreviewEnd | BodyEnd | ConnectionClosed
