"""The start of an HTTP message: request line or status line, and its header fields."""

import re
from dataclasses import dataclass, field, replace

from icapd.errors import RemoteProtocolError, TooManyFields
from icapd.http.headers import LOOSE, MAX_FIELDS, TOKEN, Headers

# RFC 9112 section 3: method SP request-target SP HTTP-version. Squid hands on targets with any byte but
# white space and controls in them, so that is what is taken.
_REQUEST_LINE = re.compile(rb"(" + TOKEN.pattern + rb") ([^\x00-\x20\x7f]+) (HTTP/\d\.\d)")
# RFC 9112 section 4: the reason may be empty, and senders leave its space out.
_STATUS_LINE = re.compile(rb"(HTTP/\d\.\d) ([1-9]\d\d)(?: ([^\r\n\x00]*))?")

END_OF_HEAD = b"\r\n\r\n"


def _split(raw: bytes, kind: str) -> tuple[bytes, bytes]:
    """The start line and the field lines of a whole head."""
    if not raw.endswith(END_OF_HEAD):
        raise RemoteProtocolError(f"the {kind} section does not end in an empty line")
    start, end_of_start, rest = raw[:-4].partition(b"\r\n")
    # With no field, the head has ended at its first empty line: whoever reads it by that finds more behind.
    if end_of_start and not rest:
        raise RemoteProtocolError(f"the {kind} section has bytes behind its empty line")
    return start, rest


def _parse_fields(lines: bytes, max_fields: int) -> Headers | None:
    """The fields; None when there are too many, which is no reason to break off the ICAP conversation."""
    try:
        return Headers.parse(lines, max_fields, LOOSE)
    except TooManyFields:
        return None


@dataclass(frozen=True, slots=True)
class RequestHead:
    """An HTTP request without its body. `raw`: the bytes it came as, for an echo that changes nothing."""

    method: bytes
    target: bytes
    version: bytes = b"HTTP/1.1"
    headers: Headers = Headers()
    raw: bytes = field(default=b"", repr=False, compare=False)
    #: The head broke the limit on fields: it can't be inspected, and must not pass unseen.
    too_many_fields: bool = False

    @classmethod
    def parse(cls, raw: bytes, max_fields: int = MAX_FIELDS) -> "RequestHead":
        """A whole request head with its empty line; RemoteProtocolError when it is none.

        A head of more fields comes with `too_many_fields` and without them.
        """
        line, lines = _split(raw, "req-hdr")
        match = _REQUEST_LINE.fullmatch(line)
        if match is None:
            raise RemoteProtocolError("the req-hdr section does not begin with `method target HTTP/x.y`")
        headers = _parse_fields(lines, max_fields)
        return cls(match[1], match[2], match[3], headers or Headers(), raw, headers is None)

    def with_headers(self, headers: Headers) -> "RequestHead":
        return replace(self, headers=headers, raw=b"")

    def with_target(self, target: bytes) -> "RequestHead":
        return replace(self, target=target, raw=b"")

    def encode(self) -> bytes:
        if self.raw:
            return self.raw
        return b"%s %s %s\r\n%s\r\n" % (self.method, self.target, self.version, self.headers.encode())

    def __repr__(self) -> str:
        # The target's query may hold credentials.
        return f"<RequestHead {self.method.decode('ascii')} {self.headers!r}>"


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """An HTTP response without its body. `raw`: the bytes it came as, for an echo that changes nothing."""

    status: int
    reason: bytes = b""
    version: bytes = b"HTTP/1.1"
    headers: Headers = Headers()
    raw: bytes = field(default=b"", repr=False, compare=False)
    #: The head broke the limit on fields: it can't be inspected, and must not pass unseen.
    too_many_fields: bool = False

    @classmethod
    def parse(cls, raw: bytes, max_fields: int = MAX_FIELDS) -> "ResponseHead":
        """As RequestHead.parse, of a response."""
        line, lines = _split(raw, "res-hdr")
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise RemoteProtocolError("the res-hdr section does not begin with `HTTP/x.y status`")
        headers = _parse_fields(lines, max_fields)
        return cls(int(match[2]), match[3] or b"", match[1], headers or Headers(), raw, headers is None)

    def with_headers(self, headers: Headers) -> "ResponseHead":
        return replace(self, headers=headers, raw=b"")

    def encode(self) -> bytes:
        if self.raw:
            return self.raw
        return b"%s %d %s\r\n%s\r\n" % (self.version, self.status, self.reason, self.headers.encode())


MessageHead = RequestHead | ResponseHead
