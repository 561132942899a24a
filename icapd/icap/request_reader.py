"""From a whole ICAP request head to the event that it is."""

from functools import lru_cache

from icapd.errors import RemoteProtocolError
from icapd.http.headers import Headers
from icapd.icap.encapsulated import Encapsulated
from icapd.icap.events import Method, ModRequest, OptionsRequest, UnsupportedRequest
from icapd.icap.grammar import parse_request_line
from icapd.icap.limits import CodecLimits

_NOTHING = Encapsulated(heads=(), length=0, has_body=False)
_METHODS = {method.value: method for method in Method}
# More digits than any preview has; Squid never asks for more than 64 KiB.
_MAX_PREVIEW_DIGITS = 10


class IcapHead:
    """One parsed ICAP head: knows how many bytes of HTTP heads follow, and becomes an event with them."""

    def __init__(self, raw: bytes, limits: CodecLimits) -> None:
        """`raw`: the ICAP head without its empty line. Raises RemoteProtocolError (400 or 505)."""
        line, _, lines = raw.partition(b"\r\n")
        self._method, self._path = parse_request_line(line)
        self._headers = headers = Headers.parse(lines, limits.max_header_fields)
        self._max_fields = limits.max_header_fields
        hosts = len(set(headers.get_all(b"host")))
        if hosts != 1 and not (limits.tolerant and hosts == 0):
            # RFC 3507 section 4.3.2: Host is required; two that differ would leave the service open.
            raise RemoteProtocolError("exactly one Host header is needed")
        if headers.get(b"transfer-encoding") is not None:
            # RFC 3507 section 4.3.1 leaves it out of ICAP; framing by it would let requests be smuggled.
            raise RemoteProtocolError("Transfer-Encoding has no place in an ICAP head")
        self.encapsulated = self._parse_encapsulated()
        self.encapsulated.check_sizes(limits.max_http_head)
        self.preview = self._parse_preview()
        self.wants_close = b"close" in _lower(headers.get_list(b"connection"))

    def _parse_encapsulated(self) -> Encapsulated:
        values = self._headers.get_list(b"encapsulated")
        if values:
            return Encapsulated.parse(b",".join(values), self._method)
        if self._method in _METHODS:
            raise RemoteProtocolError(f"{self._method} without an Encapsulated header")
        return _NOTHING

    def _parse_preview(self) -> int | None:
        values = self._headers.get_all(b"preview")
        if not values:
            return None
        value = values[0]
        if len(set(values)) > 1 or not value.isdigit() or len(value) > _MAX_PREVIEW_DIGITS:
            raise RemoteProtocolError("Preview is not one number of bytes")
        return int(value)

    def event(self, http_heads: bytes) -> OptionsRequest | UnsupportedRequest | ModRequest:
        """The request itself; `http_heads`: the `encapsulated.length` bytes behind the ICAP head."""
        headers, path = self._headers, self._path
        if self._method == "OPTIONS":
            return OptionsRequest(path=path, headers=headers, allow=self._allow())
        method = _METHODS.get(self._method)
        if method is None:
            return UnsupportedRequest(path=path, headers=headers, method=self._method)
        request_head, response_head = self.encapsulated.cut(http_heads, self._max_fields)
        return ModRequest(
            path=path,
            headers=headers,
            method=method,
            allow=self._allow(),
            preview=self.preview,
            has_body=self.encapsulated.has_body,
            request_head=request_head,
            response_head=response_head,
        )

    def _allow(self) -> frozenset[bytes]:
        return _lower(self._headers.get_list(b"allow"))


@lru_cache(maxsize=128)
def _lower(tokens: tuple[bytes, ...]) -> frozenset[bytes]:
    # A client's Allow is one of a few; as many as a hostile one makes up are remembered for nothing.
    return frozenset(map(bytes.lower, tokens))
