"""Requests that ask for answers which could not be inspected, made to ask for ones that can.

What is taken out are offers: a server may ignore a range and need not use a coding (RFC 9110 sections 14.2
and 12.5.3), so each client of such a request has to understand the plain answer too.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from icapd.http.codings import SUPPORTED
from icapd.http.headers import Headers
from icapd.http.heads import RequestHead
from icapd.http.target import target_of

#: What becomes of ranges: nothing; those go that may be of a text; all go.
Ranges = Literal["allow", "text", "remove"]
#: What becomes of content codings that icapd does not read.
Codings = Literal["allow", "readable"]


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What is done to requests."""

    ranges: Ranges = "text"
    codings: Codings = "readable"


# Deltas against (RFC 3229) and codings with (RFC 9842) something that the client has and we have not.
_OFFERS = (b"A-IM", b"Available-Dictionary", b"Dictionary-ID")
_RANGES = (b"Range", b"If-Range")
_ACCEPT_ENCODING = b"Accept-Encoding"

_READABLE = frozenset(name.encode() for name in SUPPORTED)
# For `*`, which stands for all that are not named.
_OFFERED = (b"gzip", b"deflate", b"br", b"zstd")
_NEVER = re.compile(rb";\s*+q\s*+=\s*+0(?:\.0*+)?\s*+\Z", re.IGNORECASE)
#: Values that are remembered, and bytes of the longest of them; each browser sends its own again and again.
_REMEMBERED, _MAX_REMEMBERED = 256, 256

# Endings of paths behind which a text is likely; what has another one is taken for something else.
_TEXTUAL_ENDINGS = frozenset(
    b"""asp aspx atom cfg cgi conf css csv do env geojson htm html ics ini js json jsonl jsp jsx log map md
    mjs ndjson pem php properties rss sh sql svg text toml tsv txt vtt wsdl xhtml xml xsd yaml yml""".split()
)
# Fetch Metadata (W3C): what a browser wants it for.
_MEDIA_DESTINATIONS = frozenset({b"audio", b"font", b"image", b"video"})
_MEDIA_TYPES = (b"audio/", b"font/", b"image/", b"video/")


def normalised(head: RequestHead, wanted: Normalisation) -> tuple[Headers, tuple[bytes, ...]]:
    """The fields that a request should go on with, and the names of those that had to change."""
    headers = head.headers
    offers: tuple[bytes, ...] = ()
    if headers.get(b"range") is not None and _takes_range(head, wanted.ranges):
        offers = _RANGES
    if wanted.codings == "readable":
        offers += _OFFERS
    changed = tuple([name for name in offers if headers.get(name) is not None])
    if changed:
        headers = headers.without(*changed)
    if wanted.codings == "readable" and (accepted := headers.get_all(_ACCEPT_ENCODING)):
        value = b", ".join(accepted)
        readable = _readable_codings(value) if len(value) <= _MAX_REMEMBERED else readable_codings(value)
        if readable != value:
            headers, changed = headers.with_(_ACCEPT_ENCODING, readable), (*changed, _ACCEPT_ENCODING)
    return headers, changed


def _takes_range(head: RequestHead, ranges: Ranges) -> bool:
    return ranges == "remove" or (ranges == "text" and _may_be_of_a_text(head))


def readable_codings(value: bytes) -> bytes:
    """An Accept-Encoding value less what can't be decoded; the same where there is nothing of that in it."""
    members = [part.strip(b" \t") for part in value.split(b",")]
    names = [member.partition(b";")[0].rstrip(b" \t").lower() for member in members]
    if _READABLE.issuperset(filter(None, names)):
        return value
    kept: list[bytes] = []
    for member, name in zip(members, names, strict=True):
        if name in _READABLE or (name == b"*" and _NEVER.search(member)):
            kept.append(member)
        elif name == b"*":
            weight = member[1:]
            kept += [coding + weight for coding in _OFFERED if coding not in names]
    # Without any, all would be welcome.
    return b", ".join(kept) or b"identity"


_readable_codings = lru_cache(maxsize=_REMEMBERED)(readable_codings)


def _may_be_of_a_text(head: RequestHead) -> bool:
    """Whether nothing in a request shows that what it asks for is no text."""
    if head.headers.get(b"sec-fetch-dest") in _MEDIA_DESTINATIONS:
        return False
    accepted = head.headers.get_list(b"accept")
    if accepted and all(member.lower().startswith(_MEDIA_TYPES) for member in accepted):
        return False
    name = target_of(head).path.rpartition(b"/")[2]
    _, dot, ending = name.rpartition(b".")
    return not dot or ending.lower() in _TEXTUAL_ENDINGS
