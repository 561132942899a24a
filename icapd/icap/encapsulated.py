"""The Encapsulated header (RFC 3507 section 4.4.1): which parts a message has, and where each begins."""

import itertools
import re
from dataclasses import dataclass

from icapd.errors import RemoteProtocolError
from icapd.http.heads import RequestHead, ResponseHead

_ENTITY = re.compile(r"(req-hdr|res-hdr|req-body|res-body|opt-body|null-body)=(\d{1,10})", re.IGNORECASE)

# The legal lists of section 4.4.1 and its errata e4, per method: heads that may come, body that may end it.
_LEGAL = {
    "OPTIONS": ((), ("opt-body", "null-body")),
    "REQMOD": (("req-hdr",), ("req-body", "null-body")),
    "RESPMOD": (("req-hdr", "res-hdr"), ("res-body", "null-body")),
}


@dataclass(frozen=True, slots=True)
class Encapsulated:
    """Where each part of an ICAP message's payload stands."""

    #: Name, start and end of each HTTP head, in bytes.
    heads: tuple[tuple[str, int, int], ...]
    #: Bytes of all heads together: where the body begins.
    length: int
    has_body: bool

    @classmethod
    def parse(cls, value: bytes, method: str) -> "Encapsulated":
        """Take the header's value; RemoteProtocolError for any list that section 4.4.1 does not allow.

        The offsets must begin at 0 and rise; an unknown method may carry any legal list.
        """
        entities = []
        for part in value.decode("latin-1").split(","):
            entity = _ENTITY.fullmatch(part.strip(" \t"))
            if entity is None:
                raise RemoteProtocolError(
                    "Encapsulated: each part must be one of its six names, `=`, an offset"
                )
            entities.append((entity[1].lower(), int(entity[2])))
        # An unknown method is whatever the peer wrote; messages do not repeat it.
        asked = method if method in _LEGAL else "this method"
        names = [name for name, _ in entities]
        offsets = [offset for _, offset in entities]
        allowed_heads, bodies = _LEGAL.get(
            method, (("req-hdr", "res-hdr"), ("req-body", "res-body", "null-body"))
        )
        if names[-1] not in bodies:
            raise RemoteProtocolError(f"Encapsulated: {asked} must end in one of {', '.join(bodies)}")
        if names[:-1] != [name for name in allowed_heads if name in names[:-1]]:
            listed = ", ".join(allowed_heads) or "no head"
            raise RemoteProtocolError(
                f"Encapsulated: {asked} may have {listed} before its body, in this order"
            )
        if offsets[0] != 0 or any(later <= earlier for earlier, later in itertools.pairwise(offsets)):
            raise RemoteProtocolError("Encapsulated: the offsets must begin at 0 and rise")
        heads = tuple(zip(names[:-1], offsets[:-1], offsets[1:], strict=True))
        return cls(heads, offsets[-1], names[-1] != "null-body")

    def check_sizes(self, max_http_head: int) -> None:
        """RemoteProtocolError when a head is longer than allowed, before a byte of it is waited for."""
        for name, start, end in self.heads:
            if end - start > max_http_head:
                raise RemoteProtocolError(
                    f"Encapsulated: {name} of {end - start} bytes is over {max_http_head}"
                )

    def cut(self, raw: bytes, max_fields: int) -> tuple[RequestHead | None, ResponseHead | None]:
        """The heads themselves, from the `length` bytes that carry them."""
        request_head = response_head = None
        for name, start, end in self.heads:
            if name == "req-hdr":
                request_head = RequestHead.parse(raw[start:end], max_fields)
            else:
                response_head = ResponseHead.parse(raw[start:end], max_fields)
        return request_head, response_head
