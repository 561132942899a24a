"""The single parts of a request's head: segments of its path, cookies, header fields that clients make up."""

import re
from collections.abc import Iterable, Iterator

from icapd.inspection.budget import Budget
from icapd.inspection.escapes import PERCENT
from icapd.inspection.fields import Field, fields_of
from icapd.inspection.findings import Hit
from icapd.inspection.formats import WHOLE_ESCAPES
from icapd.inspection.scanning import layers_of, scan_value
from icapd.inspection.views import Views
from icapd.policy import RuleSet

#: Header fields whose values follow a grammar of their own, are a secret, or come from proxies.
_STRUCTURED = frozenset(
    b"""
    accept accept-encoding accept-language access-control-request-headers access-control-request-method age
    authorization cache-control connection content-disposition content-encoding content-length content-md5
    content-range content-type cookie2 date digest dnt etag expect forwarded host if-match if-modified-since
    if-none-match if-range if-unmodified-since keep-alive last-modified max-forwards mcp-session-id
    origin pragma proxy-authorization proxy-connection range repr-digest signature signature-input te
    traceparent tracestate trailer transfer-encoding upgrade upgrade-insecure-requests via want-digest
    """.split()
)
#: What browsers say about themselves (Fetch metadata, client hints).
_STRUCTURED_PREFIXES = (b"sec-",)
# RFC 6265 section 4.2.1: pairs with a semicolon in between.
_COOKIE = re.compile(rb"[\s;]*+([^=;]*+)(?:=([^;]*+))?")
# RFC 3986 section 3: scheme and authority; then the path, up to the query.
_PATH = re.compile(rb"(?:[A-Za-z][A-Za-z0-9+.\-]*+://[^/?#]*+)?(/[^?#]*+)")
_IS_ADDRESS = re.compile(rb"(?:[A-Za-z][A-Za-z0-9+.\-]*+:/)?/")
#: Header values that are remembered with what was found, and bytes of the longest: half a megabyte in all.
_REMEMBERED, _MAX_REMEMBERED = 1024, 512


class HeadParts:
    """Looks at the parts of heads with the rules on target `head-part`."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        # A client sends most of its header fields again with each request. Paths stand under no name.
        self._remembered: dict[tuple[bytes, bytes], tuple[Hit, ...]] = {}

    def in_header(self, name: bytes, value: bytes, budget: Budget) -> tuple[Hit, ...]:
        """What is found in the parts of a header field's value. Raises ScanTimeout."""
        if not self.rules.head_part_rules:
            return ()
        hits = self._remembered.get((name, value))
        if hits is None:
            hits = tuple(self._scan(_parts(name, value), f"header:{name.decode('latin-1')}", budget))
            self._remember(name, value, hits)
        return hits

    def in_address(self, url: bytes, budget: Budget) -> tuple[Hit, ...]:
        """What is found in the path of a request target, whole and by segment. Raises ScanTimeout."""
        if not self.rules.head_part_rules:
            return ()
        address = url.partition(b"?")[0]
        hits = self._remembered.get((b"", address))
        if hits is None:
            hits = ()
            if self.rules.head_parts_may_match(layers_of(Views(address, WHOLE_ESCAPES["url"]))):
                hits = tuple(self._scan(_segments(address), "url", budget))
            self._remember(b"", address, hits)
        return hits

    def _remember(self, name: bytes, value: bytes, hits: tuple[Hit, ...]) -> None:
        if len(name) + len(value) <= _MAX_REMEMBERED:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[name, value] = hits

    def _scan(self, parts: Iterable[Field], label: str, budget: Budget) -> Iterator[Hit]:
        for part in parts:
            budget.check(self.rules.head_part_rules[0].id)
            for match in scan_value(self.rules, "head-part", part.value, budget):
                start, end = part.locate(match.start, match.end)
                yield Hit(
                    match.rule, match.rule.action, label, start, end, part.value[match.start : match.end]
                )


def _parts(name: bytes, value: bytes) -> Iterator[Field]:
    lowered = name.lower()
    if lowered in _STRUCTURED or lowered.startswith(_STRUCTURED_PREFIXES):
        return
    match lowered:
        case b"cookie":
            yield from _cookies(value)
        case b"referer":
            yield from _address(value)
        case b"user-agent":
            yield from _products(value)
        case _:
            yield Field(value, 0, PERCENT)


def _cookies(value: bytes) -> Iterator[Field]:
    for pair in _COOKIE.finditer(value):
        for group in (1, 2):
            if pair[group]:
                yield Field(pair[group], pair.start(group), PERCENT)


def _address(value: bytes) -> Iterator[Field]:
    """The path's segments and the query's values; all of it where it is no address at all."""
    if _IS_ADDRESS.match(value) is None:
        yield Field(value, 0, PERCENT)
        return
    yield from fields_of(value, "url")
    yield from _segments(value)


def _products(value: bytes) -> Iterator[Field]:
    """All of it, and what follows the first product (RFC 9110 section 10.1.5), where anything is put."""
    yield Field(value, 0, PERCENT)
    first, blank, rest = value.partition(b" ")
    if rest:
        yield Field(rest, len(first + blank), PERCENT)


def _segments(url: bytes) -> Iterator[Field]:
    path = _PATH.match(url)
    if path is None:
        return
    offset = path.start(1) + 1
    segments = path[1][1:].split(b"/")
    if len(segments) > 1:
        yield Field(path[1][1:], offset, PERCENT)
    for segment in segments:
        if segment:
            yield Field(segment, offset, PERCENT)
        offset += len(segment) + 1
