"""The ways in which a format spells bytes by others: JSON escapes, percent-encoding, character references."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from icapd.inspection import whole_json

# Distinct escapes remembered with their meaning; a text uses a few dozen, over and over.
_REMEMBERED_ESCAPES = 4096


def _no_short_way(text: bytes) -> bytes | None:
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Escapes:
    """One kind of escapes."""

    #: With one group, around the whole.
    pattern: re.Pattern[bytes]
    #: What one escape stands for; in a stream at least one byte.
    decode: Callable[[bytes], bytes]
    #: Every escape holds one of these bytes: a text without them has no escapes.
    markers: tuple[bytes, ...]
    #: Bytes of the longest escape.
    max_length: int
    #: All of them in a text at once, where there is a short way that gives the same; else None.
    decode_whole: Callable[[bytes], bytes | None] = _no_short_way

    def occur_in(self, text: bytes) -> bool:
        """False when the text surely has no escape."""
        for marker in self.markers:  # noqa: SIM110 (asked of every single value: three times as fast)
            if marker in text:
                return True
        return False

    def split(self, text: bytes) -> list[bytes]:
        """The text in parts, in turn literal and escape; the first and the last one are literal."""
        return self.pattern.split(text) if self.occur_in(text) else [text]

    def decode_parts(self, parts: list[bytes]) -> list[bytes]:
        """Such parts with every escape decoded."""
        decoded = parts.copy()
        decoded[1::2] = map(self.decode, parts[1::2])
        return decoded


@lru_cache(_REMEMBERED_ESCAPES)
def _decode_json_escape(escape: bytes) -> bytes:
    decoded: str = json.loads(b'"%s"' % escape)
    # RFC 8259 section 8.2: a lone surrogate may be escaped; it keeps its place as three bytes.
    return decoded.encode("utf-8", "surrogatepass")


def _decode_percent(escape: bytes) -> bytes:
    return b" " if escape == b"+" else bytes.fromhex(escape[1:].decode("ascii"))


def _decode_quoted_printable(escape: bytes) -> bytes:
    return b"" if escape.endswith(b"\n") else bytes.fromhex(escape[1:].decode("ascii"))


@lru_cache(_REMEMBERED_ESCAPES)
def _decode_character_reference(reference: bytes) -> bytes:
    decoded = html.unescape(reference.decode("ascii"))
    # A reference to a code point that is no character stands for nothing; it is left as it is.
    return decoded.encode("utf-8", "surrogatepass") or reference


# RFC 8259 section 7. A surrogate pair is one escape: half of it means nothing.
JSON = Escapes(
    re.compile(
        rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
        rb'|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])'
    ),
    _decode_json_escape,
    markers=(b"\\",),
    max_length=12,
    decode_whole=whole_json.decode_whole,
)
# RFC 3986 section 2.1.
PERCENT = Escapes(re.compile(rb"(%[0-9A-Fa-f]{2})"), _decode_percent, markers=(b"%",), max_length=3)
# WHATWG URL section 5.1: application/x-www-form-urlencoded.
FORM = Escapes(re.compile(rb"(%[0-9A-Fa-f]{2}|\+)"), _decode_percent, markers=(b"%", b"+"), max_length=3)
# WHATWG HTML section 13.5: the longest name has 31 characters. Numbers may have any zeros in front, and
# browsers do without their semicolon (section 13.2.5.80).
CHARACTER_REFERENCES = Escapes(
    re.compile(rb"(&(?:#0{0,32}[0-9]{1,7};?|#[xX]0{0,32}[0-9A-Fa-f]{1,6};?|[A-Za-z][A-Za-z0-9]{1,30};))"),
    _decode_character_reference,
    markers=(b"&",),
    max_length=43,
)
# RFC 2045 section 6.7: a line that ends in an equals sign goes on in the next.
QUOTED_PRINTABLE = Escapes(
    re.compile(rb"(=(?:[0-9A-Fa-f]{2}|[ \t]{0,76}\r?\n))"),
    _decode_quoted_printable,
    markers=(b"=",),
    max_length=79,
)
#: A text that spells every byte by itself.
NONE = Escapes(re.compile(rb"((?!))"), bytes, markers=(), max_length=1)
