"""What one ICAP connection may make the codec hold, and what it takes."""

from dataclasses import dataclass

KiB = 1024
MiB = 1024 * KiB


@dataclass(frozen=True, slots=True)
class CodecLimits:
    """Sizes in bytes. What exceeds one ends in an ErrorReply, never in more memory."""

    #: The ICAP request line and headers. Squid keeps its own within 64 KiB; most have 400 bytes.
    max_icap_head: int = 64 * KiB
    #: Each encapsulated HTTP head. Squid's request_header_max_size and reply_header_max_size are 64 KiB.
    max_http_head: int = 128 * KiB
    #: Fields of one head, ICAP's or HTTP's. Squid's ICAP heads have a dozen, browsers' requests twenty.
    max_header_fields: int = 256
    #: Bytes before the end of a preview; Squid never previews more.
    max_preview: int = 64 * KiB
    #: One chunk. Its bytes are never held together: a size beyond this is a sign of lost framing.
    max_chunk_size: int = 1024 * MiB
    #: A chunk-size line with its extensions; Squid sends none longer than 24 bytes.
    max_chunk_line: int = 4 * KiB
    #: All HTTP trailer lines together, after the last chunk; Squid sends none.
    max_trailer: int = 16 * KiB
    #: What may still arrive of a body behind a final reply before the connection is closed (errata e7):
    #: reading on is cheaper than a new connection, but not for ever.
    max_drain: int = 64 * MiB
    #: Whether to take requests without Host, and a preview that ends as in RFC 3507's own example, without
    #: the empty line behind its last chunk (errata e9).
    tolerant: bool = False
