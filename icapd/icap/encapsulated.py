"""The Encapsulated header (RFC 3507 section 4.4.1): which parts a message has, and where each begins."""

import re
from dataclasses import dataclass

from icapd.errors import RemoteProtocolError
from icapd.http.heads import RequestHead, ResponseHead

# Every list of section 4.4.1 and its errata e4: the heads that there are, in this order, and one body.
_LIST = re.compile(
    rb"(?:req-hdr=(\d{1,10})[ \t]*,[ \t]*)?(?:res-hdr=(\d{1,10})[ \t]*,[ \t]*)?"
    rb"(req|res|opt|null)-body=(\d{1,10})",
    re.IGNORECASE,
)
# What each method may have of it: a head of the request, a head of the response, bodies.
_LEGAL = {
    "OPTIONS": (False, False, (b"opt", b"null")),
    "REQMOD": (True, False, (b"req", b"null")),
    "RESPMOD": (True, True, (b"res", b"null")),
}
# Any that adapts something, for a method that is not known.
_ANY = (True, True, (b"req", b"res", b"null"))


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
        match = _LIST.fullmatch(value.strip(b" \t"))
        if match is None:
            raise RemoteProtocolError(
                "Encapsulated is not `[req-hdr=N,] [res-hdr=N,] (req|res|opt|null)-body=N`, in this order"
            )
        request, response, kind, end = match[1], match[2], match[3].lower(), int(match[4])
        has_request, has_response, bodies = _LEGAL.get(method, _ANY)
        if kind not in bodies or (request and not has_request) or (response and not has_response):
            # An unknown method is whatever the peer wrote; messages do not repeat it.
            asked = method if method in _LEGAL else "this method"
            raise RemoteProtocolError(f"Encapsulated names parts that {asked} does not have")
        heads: list[tuple[str, int, int]] = []
        then = end
        for name, offset in (("res-hdr", response), ("req-hdr", request)):
            if offset is not None:
                start = int(offset)
                if start >= then:
                    raise RemoteProtocolError("Encapsulated: the offsets must begin at 0 and rise")
                heads.insert(0, (name, start, then))
                then = start
        if then != 0:
            raise RemoteProtocolError("Encapsulated: the offsets must begin at 0 and rise")
        return cls(tuple(heads), end, kind != b"null")

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
